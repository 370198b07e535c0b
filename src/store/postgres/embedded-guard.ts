import { setTimeout as wait } from "node:timers/promises";
import type { EmbeddedServer } from "./embedded-postgres.ts";

const LOOK_MS = 250;
/**
 * Longest that one start may take: recovery after a crash reads what was written since the last
 * checkpoint.
 */
const START_MS = 300_000;
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 30_000;
/** A server that ran for so long has started well. */
const STEADY_MS = 60_000;

export interface GuardOptions {
  /**
   * Most starts in a row. One that is followed by a minute without an end begins a new row. 0:
   * none.
   */
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

/**
 * Starts an embedded server again whenever its process has ended: killed, or by itself because its
 * folder was full. Dispose it before the server.
 */
export function guardEmbeddedPostgres(server: EmbeddedServer, options: GuardOptions): AsyncDisposable {
  const stop = new AbortController();
  const watching = new Guard(server, options, stop.signal).run().catch((error: unknown) => {
    if (!stop.signal.aborted) options.onLost(lost(error));
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watching;
    },
  };
}

class Guard {
  readonly #server: EmbeddedServer;
  readonly #options: GuardOptions;
  readonly #signal: AbortSignal;
  /** Starts of this row. */
  #starts = 0;
  #startedMs = Number.NEGATIVE_INFINITY;
  #lastError: unknown;

  constructor(server: EmbeddedServer, options: GuardOptions, signal: AbortSignal) {
    this.#server = server;
    this.#options = options;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    for (;;) {
      await this.#untilEnded();
      this.#options.onEnded();
      await this.#startAgain();
    }
  }

  async #untilEnded(): Promise<void> {
    while (await this.#server.isRunning()) await wait(LOOK_MS, undefined, { signal: this.#signal });
    // One that ends again and again soon after its start is no better than one that does not start.
    if (performance.now() - this.#startedMs < STEADY_MS) return;
    this.#starts = 0;
    this.#lastError = undefined;
  }

  /** @throws Error when no start is left. */
  async #startAgain(): Promise<void> {
    for (;;) {
      if (this.#starts >= this.#options.maxStarts) throw this.#lastError ?? new Error("its process ended");
      await wait(pauseBefore(this.#starts), undefined, { signal: this.#signal });
      this.#starts++;
      try {
        await this.#server.revive(AbortSignal.any([this.#signal, AbortSignal.timeout(START_MS)]));
        this.#startedMs = performance.now();
        this.#options.onStarted();
        return;
      } catch (error) {
        this.#signal.throwIfAborted();
        this.#lastError = error;
        this.#options.onFailed(error, pauseBefore(this.#starts));
      }
    }
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
