// Follows the feed of call detail records and counts what it decodes, as any client of Connect
// does.
import { createClient } from "@connectrpc/connect";
import { createTandemTransport } from "../src/client/transport.ts";
import { CdrService } from "../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { ownCpuMicros } from "./cpu-time.ts";
import { helperArgument, sayReady, sayResult } from "./helper-process.ts";

/** Which feed to read, from its earliest entry to its head. */
export interface FeedClientArgument {
  url: string;
  token: string;
}

export interface FeedClientResult {
  records: number;
  seconds: number;
  cpuMicros: number;
}

const { url, token } = helperArgument<FeedClientArgument>();
using transport = createTandemTransport({ baseUrl: url, token });
const client = createClient(CdrService, transport);
await sayReady();
const cpuBefore = ownCpuMicros();
const started = performance.now();
let records = 0;
const start = { position: { case: "earliest" as const, value: {} } };
const end = { position: { case: "head" as const, value: {} } };
for await (const { frame } of client.streamCdrs({ start, end }))
  if (frame.case === "batch") records += frame.value.entries.length;
const seconds = (performance.now() - started) / 1000;
const result: FeedClientResult = { records, seconds, cpuMicros: ownCpuMicros() - cpuBefore };
sayResult(result);
