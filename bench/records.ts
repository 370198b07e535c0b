import { createHash } from "node:crypto";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { UploadDurationsRequestSchema } from "../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { IngestCdrsRequestSchema } from "../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import type { CallDetailRecordSchema } from "../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDurationSchema } from "../src/gen/tandem/type/v1/call_duration_pb.js";

/** How many numbers the calls of a benchmark spread over. */
export const NUMBER_COUNT = 1_000;

/** The subscriber numbers of a benchmark's carrier. */
export function benchNumbers(): string[] {
  return Array.from({ length: NUMBER_COUNT }, (_, index) => numberAt(index));
}

function numberAt(index: number): string {
  return `+441632960${String(index % NUMBER_COUNT).padStart(3, "0")}`;
}

/**
 * A typical duration: one answered outbound call with its dialog, as a carrier's mediation writes
 * it. Deterministic.
 */
export function benchDuration(
  upload: string,
  index: number,
  nowMs: number,
  recordId = `${upload}-${index}`,
): MessageInitShape<typeof CallDurationSchema> {
  const invite = nowMs - 3_600_000 - (index % 3_000_000);
  const connectedMs = 1_000 + ((index * 7_919) % 600_000);
  return {
    recordId,
    recordDate: new Date(invite).toISOString().slice(0, 10),
    direction: 1,
    calling: { kind: 1, value: numberAt(index) },
    called: { kind: 1, value: `+1202555${String(index % 10_000).padStart(4, "0")}` },
    inviteTime: timestampFromMs(invite),
    answerTime: timestampFromMs(invite + 4_000),
    endTime: timestampFromMs(invite + 4_000 + connectedMs),
    connectedDurationMs: BigInt(connectedMs),
    answered: true,
    finalSipCode: 200,
    q850Cause: 16,
    trunkId: "trunk-1",
    correlation: { interconnectDialog: { callId: `${upload}-${index}@sbc.example`, fromTag: "f1", toTag: "t1" } },
  };
}

/** A typical call detail record with two measured streams. Deterministic. */
export function benchCdr(
  prefix: string,
  index: number,
  nowMs: number,
  calling = numberAt(index),
): MessageInitShape<typeof CallDetailRecordSchema> {
  const invite = nowMs - 3_600_000 - (index % 3_000_000);
  const stream = {
    edge: 1,
    packetsSent: 3_000n,
    packetsLost: 3n,
    lossRatioAvg: 0.001,
    jitterAvgMs: 4.5,
    roundTripAvgMs: 40,
    mosLq: 4.2,
  };
  return {
    recordId: `${prefix}-${index}`,
    recordDate: new Date(invite).toISOString().slice(0, 10),
    callId: `${prefix}-call-${index}`,
    direction: 1,
    callType: 1,
    parties: {
      calling: { kind: 1, value: calling },
      called: { kind: 1, value: `+1202555${String(index % 10_000).padStart(4, "0")}` },
    },
    times: {
      inviteTime: timestampFromMs(invite),
      ringingTime: timestampFromMs(invite + 800),
      answerTime: timestampFromMs(invite + 4_000),
      endTime: timestampFromMs(invite + 64_000),
    },
    outcome: { finalSipCode: 200, q850Cause: 16, releaseParty: 1 },
    route: { trunkId: "trunk-1", codec: "PCMA" },
    correlation: { interconnectDialog: { callId: `${prefix}-${index}@sbc.example`, fromTag: "f1", toTag: "t1" } },
    streamQualities: [
      { direction: 1, ...stream },
      { direction: 2, ...stream },
    ],
  };
}

/** The id of a record: in the order of the records, or anywhere among all ids. */
export function idOf(upload: string, index: number, isRandom: boolean): string {
  return isRandom ? createHash("md5").update(`${upload}-${index}`).digest("hex") : `${upload}-${index}`;
}

/** One gRPC message of an upload's batch, encoded with its five-byte prefix. */
export function encodedBatch(
  upload: string,
  firstOffset: number,
  count: number,
  nowMs: number,
  isRandom = false,
): Buffer {
  const records = Array.from({ length: count }, (_, each) => {
    const index = firstOffset + each;
    return benchDuration(upload, index, nowMs, idOf(upload, index, isRandom));
  });
  return grpcMessage({ frame: { case: "batch", value: { firstOffset: BigInt(firstOffset), records } } });
}

/** As `encodedBatch`, of call detail records. */
export function encodedCdrBatch(upload: string, firstOffset: number, count: number, nowMs: number): Buffer {
  const records = Array.from({ length: count }, (_, index) => benchCdr(upload, firstOffset + index, nowMs));
  const frame = { case: "batch" as const, value: { firstOffset: BigInt(firstOffset), records } };
  return grpcBytes(toBinary(IngestCdrsRequestSchema, create(IngestCdrsRequestSchema, { frame })));
}

/** The first frame of an ingest of call detail records. */
export function encodedCdrOpen(carrierId: string, uploadId: string): Buffer {
  const frame = { case: "open" as const, value: { carrierId, open: { uploadId } } };
  return grpcBytes(toBinary(IngestCdrsRequestSchema, create(IngestCdrsRequestSchema, { frame })));
}

/** Any frame of an upload as one gRPC message. */
export function grpcMessage(frame: MessageInitShape<typeof UploadDurationsRequestSchema>): Buffer {
  return grpcBytes(toBinary(UploadDurationsRequestSchema, create(UploadDurationsRequestSchema, frame)));
}

function grpcBytes(body: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(5 + body.length);
  message.writeUInt8(0, 0);
  message.writeUInt32BE(body.length, 1);
  message.set(body, 5);
  return message;
}
