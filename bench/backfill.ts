import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { createTandemTransport } from "../src/client/transport.ts";
import { CdrService, type StreamCdrsResponse } from "../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { COMPRESS_MIN_BYTES, fastGzip } from "../src/port/compression.ts";
import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import { ownCpuMicros, treeCpuMicros } from "./cpu-time.ts";
import type { FeedClientArgument, FeedClientResult } from "./feed-client.ts";
import { startHelper } from "./helper-process.ts";
import { ingestCdrs } from "./ingest.ts";
import { benchNumbers } from "./records.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

/** What one round measured. */
export interface BackfillRound {
  backfill: Reading;
  memory: Reading;
}

interface Reading {
  recordsPerSecond: number;
  /** Of the server and PostgreSQL, for a record. */
  cpuMicros: number;
}

const CARRIER = "bench-0";
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * A backfill of stored call detail records over a server that has the very same messages in memory:
 * StreamCdrs from earliest to head, out of PostgreSQL; against a plain connect-node server in the
 * same process that yields the messages that such a backfill brought, with the same compression and
 * limits. Both to the same client, which decodes every record, each time in a new process. In
 * alternation.
 */
export async function measureBackfill(rounds: number, records: number): Promise<BackfillRound[]> {
  await using world = await openBenchWorld();
  await addCarrier(world.app.services.db, CARRIER);
  await assignNumbers(world.app.services.db, CARRIER, benchNumbers(), "customer-1");
  await ingestCdrs(world.app, CARRIER, records);
  const token = await world.carrierToken(CARRIER);
  await using memory = await openMemoryServer(await collect(world, token));
  const measured: BackfillRound[] = [];
  // The first pair warms both up.
  for (let round = 0; round <= rounds; round++) {
    const backfill = await runClient({ url: world.app.url, token }, records, world.postgresPid);
    const memoryRead = await runClient({ url: memory.url, token }, records, world.postgresPid);
    if (round > 0) measured.push({ backfill, memory: memoryRead });
  }
  return measured;
}

async function runClient(argument: FeedClientArgument, expected: number, postgresPid: number): Promise<Reading> {
  const client = startHelper<FeedClientResult>("feed-client.ts", argument);
  await client.ready;
  const cpu = () => ownCpuMicros() + treeCpuMicros(postgresPid);
  const before = cpu();
  client.go();
  const { records, seconds } = await client.result;
  if (records !== expected) throw new Error(`${records} of ${expected} records came`);
  return { recordsPerSecond: records / seconds, cpuMicros: (cpu() - before) / records };
}

async function collect(world: BenchWorld, token: string): Promise<StreamCdrsResponse[]> {
  using transport = createTandemTransport({ baseUrl: world.app.url, token });
  const messages: StreamCdrsResponse[] = [];
  const start = { position: { case: "earliest" as const, value: {} } };
  const end = { position: { case: "head" as const, value: {} } };
  for await (const message of createClient(CdrService, transport).streamCdrs({ start, end })) messages.push(message);
  return messages;
}

async function openMemoryServer(messages: readonly StreamCdrsResponse[]) {
  const handle = connectNodeAdapter({
    routes: (router) =>
      router.service(CdrService, {
        async *streamCdrs() {
          yield* messages;
        },
      }),
    acceptCompression: [fastGzip],
    compressMinBytes: COMPRESS_MIN_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
  });
  const server = createServer(handle).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
