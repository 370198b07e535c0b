import { setTimeout as sleep } from "node:timers/promises";
import { FeedId } from "../src/domain/feed-id.ts";
import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import type { FeedClientResult } from "./feed-client.ts";
import { startHelper } from "./helper-process.ts";
import { cdrUpload } from "./ingest.ts";
import { benchNumbers } from "./records.ts";
import { quantile } from "./statistics.ts";
import { openBenchWorld } from "./world.ts";

/** From a COMMIT to the client, milliseconds. */
export interface LiveLatency {
  p50Ms: number;
  p99Ms: number;
  /** What was reached of the 1,000 records a second that were meant. */
  recordsPerSecond: number;
}

const CARRIER = "bench-0";
const INTERVAL_MS = 20;
const RECORDS_PER_BATCH = 20;

/**
 * Records at 1,000 a second, in commits of 20, followed live by a client in another process: for
 * each record the time from when COMMIT returned in the process to when the client had it decoded.
 * Both clocks are the machine's monotonic one.
 */
export async function measureLive(seconds: number): Promise<LiveLatency> {
  await using world = await openBenchWorld();
  const { services } = world.app;
  await addCarrier(services.db, CARRIER);
  await assignNumbers(services.db, CARRIER, benchNumbers(), "customer-1");
  const commits: { head: number; at: bigint }[] = [];
  const { hub } = services;
  const notify = hub.notify.bind(hub);
  hub.notify = (carrierId, feed, headSequence) => {
    if (feed === FeedId.CDRS) commits.push({ head: Number(headSequence), at: process.hrtime.bigint() });
    notify(carrierId, feed, headSequence);
  };
  const upload = cdrUpload(world.app, CARRIER, "live");
  const warmUp = 50;
  const batches = Math.round((seconds * 1_000) / INTERVAL_MS);
  const records = (warmUp + batches) * RECORDS_PER_BATCH;
  const token = await world.carrierToken(CARRIER);
  const client = startHelper<FeedClientResult>("feed-client.ts", {
    url: world.app.url,
    token,
    from: "latest",
    records,
  });
  await client.ready;
  const started = performance.now();
  for (let batch = 0; batch < warmUp + batches; batch++) {
    await sleep(Math.max(0, started + batch * INTERVAL_MS - performance.now()));
    await upload.append(RECORDS_PER_BATCH);
  }
  const took = (performance.now() - started) / 1_000;
  const delays = delaysOf(commits.slice(warmUp), (await client.result).batches);
  return { p50Ms: quantile(delays, 0.5), p99Ms: quantile(delays, 0.99), recordsPerSecond: records / took };
}

// Every commit has as many records, so one delay a commit is one a record.
function delaysOf(commits: readonly { head: number; at: bigint }[], batches: FeedClientResult["batches"]): number[] {
  let next = 0;
  return commits.map(({ head, at }) => {
    while ((batches[next]?.[0] ?? Number.POSITIVE_INFINITY) < head) next++;
    const received = batches[next];
    if (!received) throw new Error(`sequence ${head} did not come`);
    return Number(BigInt(received[1]) - at) / 1e6;
  });
}
