import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import pg from "pg";
import { addCarrier } from "../test/support/carriers.ts";
import { startHelper } from "./helper-process.ts";
import type { IdleClientArgument } from "./idle-client.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

const STREAMS_PER_CARRIER = 8;
const WARM_UP_STREAMS = 80;
const SETTLE_MS = 2_000;
const AFTER_COLLECTION_MS = 10_000;

/** What idle feed streams cost the server. */
export interface IdleStreamFigures {
  /** Of one stream, KiB: by how much the process grows, after a full collection. */
  kib: number;
  /** Sent to PostgreSQL while one stream is open, and while all are. */
  statementsPerSecond: { one: number; all: number };
}

/**
 * Opens so many streams that have caught up; 8 for each carrier, as the limit is, and a connection
 * for each. The clients are in another process.
 * @param seconds how long statements are counted: every stream should send a heartbeat.
 */
export async function measureIdleStreams(streams: number, seconds: number): Promise<IdleStreamFigures> {
  const count = countStatements();
  await using world = await openBenchWorld({
    heartbeatIntervalMs: seconds * 1_000,
    maxConnectionsPerAddress: 10_000,
    // A minute after the start it goes through all carriers.
    retentionIntervalMs: 0,
  });
  const carriers = Array.from({ length: Math.ceil(streams / STREAMS_PER_CARRIER) }, (_, index) => `bench-${index}`);
  for (const carrier of carriers) await addCarrier(world.app.services.db, carrier);
  const rate = async () => {
    const before = count.statements;
    await sleep(seconds * 1_000);
    return (count.statements - before) / seconds;
  };
  const one = await holdStreams(world, carriers.slice(0, 1), 1, rate);
  await holdStreams(world, carriers.slice(0, WARM_UP_STREAMS / STREAMS_PER_CARRIER), STREAMS_PER_CARRIER, rate);
  const before = residentKib();
  const during = await holdStreams(world, carriers, STREAMS_PER_CARRIER, async () => {
    const resident = residentKib();
    // The collection stopped the process for a second or more.
    await sleep(AFTER_COLLECTION_MS);
    return { resident, all: await rate() };
  });
  return {
    kib: (during.resident - before) / (carriers.length * STREAMS_PER_CARRIER),
    statementsPerSecond: { one, all: during.all },
  };
}

async function holdStreams<T>(
  world: BenchWorld,
  carriers: readonly string[],
  streamsEach: number,
  measure: () => Promise<T>,
): Promise<T> {
  const tokens = await Promise.all(carriers.map((carrier) => world.carrierToken(carrier)));
  const argument: IdleClientArgument = { url: world.app.url, tokens, streamsEach };
  const client = startHelper("idle-client.ts", argument);
  await client.ready;
  await sleep(SETTLE_MS);
  const measured = await measure();
  client.go();
  await client.result;
  return measured;
}

/** Counts what this process sends to PostgreSQL, from now on. */
function countStatements(): { readonly statements: number } {
  const count = { statements: 0 };
  const send = pg.Client.prototype.query;
  pg.Client.prototype.query = function query(this: pg.Client, ...args: Parameters<typeof send>) {
    count.statements++;
    return send.apply(this, args);
  } as typeof send;
  return count;
}

function residentKib(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().rss / 1_024;
}
