// Tandem in a process of its own, whose parent asks what is still open in it and how much memory it
// holds. Needs --expose-gc.
import { setImmediate } from "node:timers/promises";
import { openApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/config.ts";
import { openLog } from "../../src/log.ts";
import { callerKey } from "../../src/store/database/callers.ts";

/** What the server tells of itself. */
export type ServerNews = { readonly url: string } | { readonly logged: string } | ServerState;

/** What a call may leave behind, none of which it should. */
export interface ServerState {
  readonly callCount: number;
  readonly streamCount: number;
  /** After a collection, bytes; only if it was asked for. */
  readonly heapBytes?: number;
  /** What it was made to bear since it was last asked for this; only if it was. */
  readonly load?: ServerLoad;
}

export interface ServerLoad {
  readonly rssBytes: number;
  /** How much of the time the event loop was busy, 0 to 1. */
  readonly busy: number;
  /** How long each connection to the database was waited for, milliseconds, by who took it. */
  readonly waitsMs: Readonly<Record<string, readonly number[]>>;
}

/** What its parent asks. */
export type ServerQuestion = "state" | "heap" | "load" | "stop";

const ROUNDS = 4;
/** Most waits that are remembered of one caller. */
const MAX_WAITS = 20_000;

const tell = (news: ServerNews) => process.send?.(news);
const config = loadConfig();
const app = await openApp(
  config,
  // What is no warning is of no interest, unless a level was set.
  openLog(process.env["TANDEM_LOG_LEVEL"] === undefined ? "warn" : config.logLevel, (logged) => tell({ logged })),
);
let waitsMs: Record<string, number[]> = {};
app.services.db.lanes.watch((caller, waitedMs) => {
  waitsMs[callerKey(caller)] ??= [];
  const waits = waitsMs[callerKey(caller)] ?? [];
  if (waits.length < MAX_WAITS) waits.push(waitedMs);
});
let loop = performance.eventLoopUtilization();
process.on("warning", ({ stack = "" }) => tell({ logged: stack }));
process.on("message", (question: ServerQuestion) => void answer(question));
tell({ url: app.url });

async function answer(question: ServerQuestion): Promise<void> {
  if (question === "stop") {
    await app[Symbol.asyncDispose]();
    process.disconnect();
    return;
  }
  const state = { callCount: app.callCount, streamCount: app.services.slots.count };
  if (question === "load") tell({ ...state, load: readLoad() });
  else tell(question === "heap" ? { ...state, heapBytes: await collect() } : state);
}

function readLoad(): ServerLoad {
  const now = performance.eventLoopUtilization();
  const load = {
    rssBytes: process.memoryUsage.rss(),
    busy: performance.eventLoopUtilization(now, loop).utilization,
    waitsMs,
  };
  loop = now;
  waitsMs = {};
  return load;
}

// Finalizers of one round let go of what the next collects.
async function collect(): Promise<number> {
  for (let round = 0; round < ROUNDS; round++) {
    globalThis.gc?.();
    await setImmediate();
  }
  return process.memoryUsage().heapUsed;
}
