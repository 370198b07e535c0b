// Tandem in a process of its own, whose parent asks what is still open in it and how much memory it holds. Needs --expose-gc.
import { setImmediate } from "node:timers/promises";
import { openApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import { openLog } from "../../src/log.ts";

/** What the server tells of itself. */
export type ServerNews = { readonly url: string } | { readonly logged: string } | ServerState;

/** What a call may leave behind, none of which it should. */
export interface ServerState {
  readonly callCount: number;
  readonly streamCount: number;
  /** After a collection, bytes; only if it was asked for. */
  readonly heapBytes?: number;
}

/** What its parent asks. */
export type ServerQuestion = "state" | "heap" | "stop";

const ROUNDS = 4;

const tell = (news: ServerNews) => process.send?.(news);
const app = await openApp(
  loadConfig(),
  openLog("warn", (logged) => tell({ logged })),
);
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
  tell(question === "heap" ? { ...state, heapBytes: await collect() } : state);
}

// Finalizers of one round let go of what the next collects.
async function collect(): Promise<number> {
  for (let round = 0; round < ROUNDS; round++) {
    globalThis.gc?.();
    await setImmediate();
  }
  return process.memoryUsage().heapUsed;
}
