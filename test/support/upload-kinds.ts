import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import type { ServerFrame } from "../../src/client/upload-frames.ts";
import { FeedId } from "../../src/domain/feed-id.ts";
import { CDR, DURATION, type RECORD_KINDS } from "../../src/domain/record-kind.ts";
import {
  DurationService,
  type UploadDurationsRequestSchema,
} from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CdrService, type IngestCdrsRequestSchema } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import type { Exchange } from "./exchange.ts";

/** The number that the carriers of these tests hold, assigned since long ago. */
export const OWN_NUMBER = "+441632960001";
/** Noon yesterday, UTC: far from midnight, so that a record's day is what a test says it is. */
export const NOON_MS = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 43_200_000;

/** A record as tests speak of it, of either kind. */
export interface RecordSpec {
  id: string;
  /** When the call began. Default: noon yesterday. */
  startMs?: number;
  /** record_date. Default: the day of `startMs`. */
  day?: string;
  revision?: number;
  isVoid?: boolean;
  /** Default 60,000. */
  connectedMs?: number;
  /** Default: the carrier's own number. */
  calling?: string;
  called?: string;
  /** Without a direction, so that it is REJECTED. */
  isBroken?: boolean;
  /** Some text of the record, for its size. */
  note?: string;
}

/** A frame as a test sends it. */
export type SentFrame =
  | { case: "open"; uploadId: string; acknowledgedOffset?: bigint; validateOnly?: boolean }
  | { case: "batch"; firstOffset: bigint; records: readonly RecordSpec[] }
  | { case: "keepAlive" }
  | { case: "finish"; finalOffset: bigint; recordCount: bigint; connectedDurationMs: bigint }
  | { case: undefined };

/** One of the two upload methods, as far as they differ. */
export interface TestedUpload {
  readonly name: string;
  readonly kind: (typeof RECORD_KINDS)[number];
  readonly feed: FeedId;
  readonly recordTable: string;
  readonly keyTable: string;
  connect(exchange: Exchange, carrierId: string): Promise<Transport>;
  call(
    transport: Transport,
    carrierId: string,
    frames: AsyncIterable<SentFrame>,
    signal: AbortSignal,
  ): AsyncIterable<{ frame: ServerFrame }>;
}

export const durationUpload: TestedUpload = {
  name: "UploadDurations",
  kind: DURATION,
  feed: FeedId.DURATIONS,
  recordTable: "duration_record",
  keyTable: "duration_key",
  connect: (exchange, carrierId) => exchange.carrierTransport(carrierId),
  call: (transport, _carrierId, frames, signal) =>
    createClient(DurationService, transport).uploadDurations(mapFrames(frames, durationFrame), { signal }),
};

export const cdrUpload: TestedUpload = {
  name: "IngestCdrs",
  kind: CDR,
  feed: FeedId.CDRS,
  recordTable: "cdr_record",
  keyTable: "cdr_key",
  connect: (exchange) => exchange.platformTransport(),
  call: (transport, carrierId, frames, signal) =>
    createClient(CdrService, transport).ingestCdrs(
      mapFrames(frames, (frame) => cdrFrame(frame, carrierId)),
      { signal },
    ),
};

/** For `describe.each`: what holds for both. */
export const BOTH_UPLOADS = [durationUpload, cdrUpload].map((upload) => ({ method: upload.name, upload }));

/** Records `r<from>` to `r<to - 1>`, good ones, each a second longer than the one before. */
export function someRecords(from: number, to: number, changes: Partial<RecordSpec> = {}): RecordSpec[] {
  return Array.from({ length: to - from }, (_, index) => ({
    id: `r${from + index}`,
    connectedMs: 1_000 * (from + index + 1),
    ...changes,
  }));
}

/** The sum that control totals ask for. */
export function connectedMsOf(records: readonly RecordSpec[]): bigint {
  return records.reduce((sum, record) => sum + BigInt(record.connectedMs ?? 60_000), 0n);
}

export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

export function durationOf(spec: RecordSpec): CallDuration {
  const { startMs = NOON_MS, connectedMs = 60_000 } = spec;
  return create(CallDurationSchema, {
    ...identityOf(spec),
    ...(spec.isVoid ? {} : { direction: spec.isBroken ? 0 : 1, answered: true }),
    calling: { kind: 1, value: spec.calling ?? OWN_NUMBER },
    called: { kind: 1, value: spec.called ?? "+12025550123" },
    inviteTime: timestampFromMs(startMs),
    answerTime: timestampFromMs(startMs + 5_000),
    endTime: timestampFromMs(startMs + 5_000 + connectedMs),
    connectedDurationMs: BigInt(connectedMs),
    ...(spec.note === undefined ? {} : { trunkId: spec.note }),
  });
}

export function cdrOf(spec: RecordSpec): CallDetailRecord {
  const { startMs = NOON_MS, connectedMs = 60_000 } = spec;
  return create(CallDetailRecordSchema, {
    ...identityOf(spec),
    callId: `call-${spec.id}`,
    direction: spec.isBroken ? 0 : 1,
    parties: {
      calling: { kind: 1, value: spec.calling ?? OWN_NUMBER },
      called: { kind: 1, value: spec.called ?? "+12025550123" },
    },
    times: {
      inviteTime: timestampFromMs(startMs),
      answerTime: timestampFromMs(startMs + 5_000),
      endTime: timestampFromMs(startMs + 5_000 + connectedMs),
    },
    lengths: { connectedDurationMs: BigInt(connectedMs) },
    outcome: { finalSipCode: 200, ...(spec.note === undefined ? {} : { closeReason: spec.note }) },
  });
}

function identityOf({ id, startMs = NOON_MS, day, revision, isVoid }: RecordSpec) {
  return {
    recordId: id,
    recordDate: day ?? dayOf(startMs),
    ...(revision === undefined ? {} : { revision }),
    kind: isVoid ? RecordKind.VOID : RecordKind.REPORT,
  };
}

type DurationRequest = MessageInitShape<typeof UploadDurationsRequestSchema>;
type CdrRequest = MessageInitShape<typeof IngestCdrsRequestSchema>;

function durationFrame(frame: SentFrame): DurationRequest {
  switch (frame.case) {
    case "open":
      return { frame: { case: "open", value: openOf(frame) } };
    case "batch":
      return {
        frame: { case: "batch", value: { firstOffset: frame.firstOffset, records: frame.records.map(durationOf) } },
      };
    default:
      return { frame: otherFrame(frame) } as DurationRequest;
  }
}

function cdrFrame(frame: SentFrame, carrierId: string): CdrRequest {
  switch (frame.case) {
    case "open":
      return { frame: { case: "open", value: { carrierId, open: openOf(frame) } } };
    case "batch":
      return { frame: { case: "batch", value: { firstOffset: frame.firstOffset, records: frame.records.map(cdrOf) } } };
    default:
      return { frame: otherFrame(frame) } as CdrRequest;
  }
}

function openOf({ uploadId, acknowledgedOffset = 0n, validateOnly = false }: SentFrame & { case: "open" }) {
  return { uploadId, acknowledgedOffset, validateOnly };
}

function otherFrame(frame: Exclude<SentFrame, { case: "open" | "batch" }>) {
  if (frame.case === "keepAlive") return { case: "keepAlive", value: {} } as const;
  if (frame.case === undefined) return { case: undefined } as const;
  const { finalOffset, recordCount, connectedDurationMs } = frame;
  return { case: "finish", value: { finalOffset, totals: { recordCount, connectedDurationMs } } } as const;
}

async function* mapFrames<T>(frames: AsyncIterable<SentFrame>, map: (frame: SentFrame) => T): AsyncGenerator<T> {
  for await (const frame of frames) yield map(frame);
}
