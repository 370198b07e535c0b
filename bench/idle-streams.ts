import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { addCarrier } from "../test/support/carriers.ts";
import { startHelper } from "./helper-process.ts";
import type { IdleClientArgument } from "./idle-client.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

const STREAMS_PER_CARRIER = 8;
const WARM_UP_STREAMS = 80;
const SETTLE_MS = 2_000;

/**
 * What an idle feed stream takes of the server's memory, KiB: by how much the process grows, after
 * a full collection, when so many streams are open that have caught up; 8 for each carrier, as the
 * limit is, and a connection for each. The clients are in another process.
 */
export async function measureIdleStreams(streams: number): Promise<number> {
  await using world = await openBenchWorld();
  const carriers = Array.from({ length: Math.ceil(streams / STREAMS_PER_CARRIER) }, (_, index) => `bench-${index}`);
  for (const carrier of carriers) await addCarrier(world.app.services.db, carrier);
  await holdStreams(world, carriers.slice(0, WARM_UP_STREAMS / STREAMS_PER_CARRIER));
  await sleep(SETTLE_MS);
  const before = residentKib();
  const during = await holdStreams(world, carriers);
  return (during - before) / (carriers.length * STREAMS_PER_CARRIER);
}

async function holdStreams(world: BenchWorld, carriers: readonly string[]): Promise<number> {
  const tokens = await Promise.all(carriers.map((carrier) => world.carrierToken(carrier)));
  const argument: IdleClientArgument = { url: world.app.url, tokens, streamsEach: STREAMS_PER_CARRIER };
  const client = startHelper("idle-client.ts", argument);
  await client.ready;
  await sleep(SETTLE_MS);
  const resident = residentKib();
  client.go();
  await client.result;
  return resident;
}

function residentKib(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().rss / 1_024;
}
