// A process of its own that sends prepared batches as fast as the server's credit lets it: as little work as a client can do, so that the server is what
// is measured. Arguments: URL, a token for each upload, records an upload, batch size, run name. Prints one JSON line when every record is acknowledged.
import http2 from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { UploadDurationsResponseSchema } from "../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { encodedBatch, grpcMessage } from "./records.ts";

const [url = "", tokens = "", records = "50000", batch = "1000", run = "run"] = process.argv.slice(2);
const recordCount = Number(records);
const batchSize = Number(batch);
const nowMs = Date.now();

const names = tokens.split(",").map((_, index) => `${run}-${index}`);
const prepared = new Map(
  names.map((name) => [
    name,
    Array.from({ length: Math.ceil(recordCount / batchSize) }, (_, index) =>
      encodedBatch(name, index * batchSize, Math.min(batchSize, recordCount - index * batchSize), nowMs),
    ),
  ]),
);
process.send?.("ready");
await new Promise((resolve) => process.once("message", resolve));

const cpuBefore = process.cpuUsage();
const started = performance.now();
const session = http2.connect(url, { settings: { initialWindowSize: 8 * 1024 * 1024 } });
const counts = await Promise.all(tokens.split(",").map((token, index) => sendUpload(`${run}-${index}`, token)));
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
session.close();
const result = {
  seconds,
  records: recordCount * names.length,
  accepted: counts.reduce((sum, accepted) => sum + accepted, 0),
  cpuMicros: user + system,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.disconnect?.();

function sendUpload(name: string, token: string): Promise<number> {
  const batches = prepared.get(name) ?? [];
  const stream = session.request({
    ":method": "POST",
    ":path": "/tandem.carrier.v1.DurationService/UploadDurations",
    "content-type": "application/grpc+proto",
    te: "trailers",
    authorization: `Bearer ${token}`,
  });
  let next = 0;
  let limit = 0;
  let accepted = 0;
  let pending = Buffer.alloc(0);
  const pump = () => {
    while (next < batches.length && Math.min((next + 1) * batchSize, recordCount) <= limit)
      stream.write(batches[next++]);
  };
  stream.write(grpcMessage({ frame: { case: "open", value: { uploadId: name } } }));
  return new Promise((resolve, reject) => {
    stream.on("data", (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
        const length = pending.readUInt32BE(1);
        const { frame } = fromBinary(UploadDurationsResponseSchema, pending.subarray(5, 5 + length));
        pending = pending.subarray(5 + length);
        if (frame.case === "opened" || frame.case === "ack") limit = Number(frame.value.sendLimitOffset);
        if (frame.case === "ack") accepted += Number(frame.value.counts?.accepted ?? 0n);
        if (frame.case === "ack" && Number(frame.value.committedOffset) === recordCount) {
          stream.end();
          resolve(accepted);
        }
        pump();
      }
    });
    stream.on("error", reject);
    stream.on("trailers", (trailers) => {
      if (trailers["grpc-status"] !== "0") reject(new Error(`${trailers["grpc-status"]} ${trailers["grpc-message"]}`));
    });
  });
}
