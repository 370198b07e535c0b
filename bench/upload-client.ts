// Sends prepared batches as fast as the server's credit lets it: as little work as a client can do,
// so that the server is what is measured.
import { type ClientHttp2Session, connect } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import {
  type UploadDurationsResponse,
  UploadDurationsResponseSchema,
} from "../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { ownCpuMicros } from "./cpu-time.ts";
import { helperArgument, sayReady, sayResult } from "./helper-process.ts";
import { encodedBatch, encodedCdrBatch, encodedCdrOpen, grpcMessage } from "./records.ts";

/** What to send: an upload for each token. */
export interface UploadClientArgument {
  url: string;
  tokens: string[];
  recordsEach: number;
  batchSize: number;
  runName: string;
  /** Whether the ids of durations are random. Default: they are in order. */
  hasRandomIds?: boolean;
  /** Of call detail records: the carrier of each upload. Absent: durations are uploaded. */
  carrierIds?: readonly string[];
}

/** What came of it, from the first byte sent to the last record acknowledged. */
export interface UploadClientResult {
  seconds: number;
  accepted: number;
  cpuMicros: number;
}

const PREFIX_BYTES = 5;
const { url, tokens, recordsEach, batchSize, runName, carrierIds, hasRandomIds } =
  helperArgument<UploadClientArgument>();
const nowMs = Date.now();
const uploads = tokens.map((token, index) => {
  const name = `${runName}-${index}`;
  const batches: Buffer[] = [];
  for (let first = 0; first < recordsEach; first += batchSize) {
    const count = Math.min(batchSize, recordsEach - first);
    batches.push(
      carrierIds ? encodedCdrBatch(name, first, count, nowMs) : encodedBatch(name, first, count, nowMs, hasRandomIds),
    );
  }
  const carrierId = carrierIds?.[index];
  const open =
    carrierId === undefined
      ? grpcMessage({ frame: { case: "open", value: { uploadId: name } } })
      : encodedCdrOpen(carrierId, name);
  return { token, batches, open };
});
await sayReady();

const cpuBefore = ownCpuMicros();
const started = performance.now();
const session = connect(url, { settings: { initialWindowSize: 8 * 1024 * 1024 } });
const accepted = await Promise.all(uploads.map((upload) => sendUpload(session, upload)));
const result: UploadClientResult = {
  seconds: (performance.now() - started) / 1000,
  accepted: accepted.reduce((sum, count) => sum + count, 0),
  cpuMicros: ownCpuMicros() - cpuBefore,
};
sayResult(result);

async function sendUpload(connection: ClientHttp2Session, upload: (typeof uploads)[number]): Promise<number> {
  const stream = connection.request({
    ":method": "POST",
    ":path": carrierIds
      ? "/tandem.platform.v1.CdrService/IngestCdrs"
      : "/tandem.carrier.v1.DurationService/UploadDurations",
    "content-type": "application/grpc+proto",
    te: "trailers",
    authorization: `Bearer ${upload.token}`,
  });
  stream.write(upload.open);
  let sent = 0;
  let count = 0;
  for await (const { frame } of messagesOf(stream)) {
    if (frame.case !== "opened" && frame.case !== "ack") continue;
    const limit = Number(frame.value.sendLimitOffset);
    while (sent < upload.batches.length && Math.min((sent + 1) * batchSize, recordsEach) <= limit)
      stream.write(upload.batches[sent++]);
    if (frame.case === "ack") count += Number(frame.value.counts?.accepted ?? 0n);
    if (frame.case === "ack" && Number(frame.value.committedOffset) === recordsEach) return count;
  }
  throw new Error(`the upload ended after ${count} records`);
}

// The frames of both methods are alike.
async function* messagesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<UploadDurationsResponse> {
  let pending = Buffer.alloc(0);
  for await (const chunk of stream) {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= PREFIX_BYTES && pending.length >= PREFIX_BYTES + pending.readUInt32BE(1)) {
      const end = PREFIX_BYTES + pending.readUInt32BE(1);
      yield fromBinary(UploadDurationsResponseSchema, pending.subarray(PREFIX_BYTES, end));
      pending = pending.subarray(end);
    }
  }
}
