// A server process of its own on a database that is there, which may also commit records at a
// steady rate.
import { setTimeout as sleep } from "node:timers/promises";
import { openApp } from "../src/app.ts";
import { type ConfigOverrides, loadConfig } from "../src/config/config.ts";
import { FeedId } from "../src/domain/feed-id.ts";
import { openLog } from "../src/log.ts";
import { helperArgument, sayReady, sayResult } from "./helper-process.ts";
import { cdrUpload } from "./ingest.ts";

export interface LiveServerArgument {
  settings: ConfigOverrides;
  /** What to commit, when told to go on; undefined: nothing. */
  writes: { carriers: string[]; numbers: string[]; seconds: number } | undefined;
}

export interface LiveServerReady {
  url: string;
  pid: number;
}

export interface LiveServerResult {
  /**
   * The carrier's index, the head, and when COMMIT had returned, nanoseconds of the machine's
   * monotonic clock.
   */
  commits: [carrier: number, head: number, nanoseconds: string][];
  recordsEach: number;
  seconds: number;
}

const INTERVAL_MS = 10;
const RECORDS_EACH = 10;
/** Commits to each carrier before those that are measured. */
const WARM_UP_ROUNDS = 3;
const ARRIVE_MS = 2_000;

const { settings, writes } = helperArgument<LiveServerArgument>();
const app = await openApp(loadConfig({}, { ...settings, port: 0, reconcileIntervalMs: 0 }), openLog("error"));
const ready: LiveServerReady = { url: app.url, pid: process.pid };
await sayReady(ready);
const result = writes ? await write(writes) : { commits: [], recordsEach: RECORDS_EACH, seconds: 0 };
await app[Symbol.asyncDispose]();
sayResult(result);

async function write({ carriers, numbers, seconds }: NonNullable<typeof writes>): Promise<LiveServerResult> {
  const commits: LiveServerResult["commits"] = [];
  const { hub } = app.services;
  const notify = hub.notify.bind(hub);
  const indexes = new Map(carriers.map((carrierId, index) => [carrierId, index]));
  hub.notify = (carrierId, feed, head) => {
    const at = String(process.hrtime.bigint());
    if (feed === FeedId.CDRS) commits.push([indexes.get(carrierId) ?? -1, Number(head), at]);
    notify(carrierId, feed, head);
  };
  const uploads = carriers.map((carrierId, index) => cdrUpload(app, carrierId, "live", numbers[index]));
  const warmUp = WARM_UP_ROUNDS * carriers.length;
  const wanted = warmUp + Math.round((seconds * 1_000) / INTERVAL_MS);
  const started = performance.now();
  // Commits of different carriers do not wait for each other, one carrier's do.
  const last: Promise<void>[] = [];
  for (let commit = 0; commit < wanted; commit++) {
    await sleep(Math.max(0, started + commit * INTERVAL_MS - performance.now()));
    const carrier = commit % uploads.length;
    await last[carrier];
    last[carrier] = uploads[carrier]?.append(RECORDS_EACH) ?? Promise.resolve();
    last[carrier].catch(() => {});
  }
  await Promise.all(last);
  const took = (performance.now() - started) / 1_000;
  // What was committed last has to arrive.
  await sleep(ARRIVE_MS);
  return { commits: commits.slice(warmUp), recordsEach: RECORDS_EACH, seconds: (took * (wanted - warmUp)) / wanted };
}
