// Follows the feed of call detail records and counts what it decodes, as any client of Connect
// does.
import { createClient } from "@connectrpc/connect";
import { createTandemTransport } from "../src/client/transport.ts";
import { CdrService } from "../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { ownCpuMicros } from "./cpu-time.ts";
import { helperArgument, sayReady, sayResult } from "./helper-process.ts";

/**
 * Which feed to follow, from `earliest` to its head, or from `latest` until so many records have
 * come.
 */
export interface FeedClientArgument {
  url: string;
  token: string;
  from: "earliest" | "latest";
  /** Only from `latest`. */
  records?: number;
}

/**
 * Each batch that came: up to which sequence, and when, nanoseconds of the machine's monotonic
 * clock (as text).
 */
export interface FeedClientResult {
  records: number;
  seconds: number;
  cpuMicros: number;
  batches: [through: number, nanoseconds: string][];
}

const { url, token, from, records: wanted = Number.POSITIVE_INFINITY } = helperArgument<FeedClientArgument>();
using transport = createTandemTransport({ baseUrl: url, token });
const client = createClient(CdrService, transport);
const batches: FeedClientResult["batches"] = [];
let records = 0;
// A stream that follows is ready when it has caught up, so that nothing is written before it
// listens.
if (from === "earliest") await sayReady();
const cpuBefore = ownCpuMicros();
const started = performance.now();
const request =
  from === "earliest"
    ? { start: { position: { case: from, value: {} } }, end: { position: { case: "head" as const, value: {} } } }
    : { start: { position: { case: from, value: {} } } };
for await (const { frame, throughSequence } of client.streamCdrs(request)) {
  if (frame.case === "caughtUp" && from === "latest" && records === 0) void sayReady();
  if (frame.case !== "batch") continue;
  records += frame.value.entries.length;
  batches.push([Number(throughSequence), String(process.hrtime.bigint())]);
  if (records >= wanted) break;
}
const seconds = (performance.now() - started) / 1000;
const result: FeedClientResult = {
  records,
  seconds,
  cpuMicros: ownCpuMicros() - cpuBefore,
  batches: from === "latest" ? batches : [],
};
sayResult(result);
