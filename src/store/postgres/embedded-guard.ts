import { setTimeout as wait } from "node:timers/promises";
import type { EmbeddedServer } from "./embedded-postgres.ts";

const LOOK_MS = 250;
/** Longest that one start may take: recovery reads what was written since the last checkpoint. */
const START_MS = 300_000;
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 30_000;
/** A server that ran for so long has started well. */
const STEADY_MS = 60_000;

export interface GuardOptions {
  /** Most starts in a row; a minute without an end begins a new row. 0: none. */
  readonly maxStarts: number;
  /** Told when the server's process was found to have ended. */
  readonly onEnded: () => void;
  /** Told when it runs again; its URL may be another. */
  readonly onStarted: () => void;
  /** Told of a start that failed, and how long the next is waited for. */
  readonly onFailed: (error: unknown, pauseMs: number) => void;
  /** Told once, when no start is left. Nothing is tried any more. */
  readonly onLost: (error: Error) => void;
}

/** Starts an embedded server again whenever its process has ended. Dispose it before the server. */
export function guardEmbeddedPostgres(server: EmbeddedServer, options: GuardOptions): AsyncDisposable {
  const stop = new AbortController();
  const watching = guard(server, options, stop.signal).catch((error: unknown) => {
    if (!stop.signal.aborted) options.onLost(lost(error));
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watching;
    },
  };
}

/** @throws Error when no start is left. */
async function guard(server: EmbeddedServer, options: GuardOptions, signal: AbortSignal): Promise<never> {
  const rest = (ms: number) => wait(ms, undefined, { signal });
  let starts = 0;
  let startedMs = Number.NEGATIVE_INFINITY;
  let lastError: unknown;
  for (;;) {
    while (server.isRunning()) await rest(LOOK_MS);
    // One that ends again and again soon after its start is no better than one that does not start.
    if (performance.now() - startedMs >= STEADY_MS) [starts, lastError] = [0, undefined];
    options.onEnded();
    for (let isStarted = false; !isStarted; ) {
      if (starts >= options.maxStarts) throw lastError ?? new Error("its process ended");
      await rest(pauseBefore(starts++));
      try {
        await server.revive(AbortSignal.any([signal, AbortSignal.timeout(START_MS)]));
        isStarted = true;
      } catch (error) {
        signal.throwIfAborted();
        lastError = error;
        options.onFailed(error, pauseBefore(starts));
      }
    }
    startedMs = performance.now();
    options.onStarted();
  }
}

/** None before the first start of a row; then each is twice as long, up to half a minute. */
function pauseBefore(starts: number): number {
  return starts === 0 ? 0 : Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (starts - 1));
}

function lost(cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new Error(`PostgreSQL ended and could not be started again: ${why}`, { cause });
}
