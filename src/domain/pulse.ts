import { setTimeout as wait } from "node:timers/promises";
import { unlessAborted } from "./unless-aborted.ts";

/** Whoever asks so soon after another gets the other's answer, milliseconds. */
const SHARED_MS = 20;

/** How somebody rests who works only when something was written. */
export interface Rest {
  /** What `changes` was before the work that found nothing more to do. */
  readonly seen: number;
  /** Between two questions, milliseconds. */
  readonly everyMs: number;
  /** Longest rest, milliseconds. */
  readonly mostMs: number;
  readonly signal: AbortSignal;
  /** Whether the rest keeps the process alive. */
  readonly ref: boolean;
}

/**
 * Notices that something was written in the database. The loops of a process ask at the same
 * moments, so it is one question for all of them.
 */
export class Pulse {
  readonly #read: () => Promise<string | undefined>;
  #asking: Promise<void> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #state: string | undefined;
  #changes = 0;

  /**
   * @param read gives the database's state: two that are equal show the same rows. Undefined: that
   *   can not be told.
   */
  constructor(read: () => Promise<string | undefined>) {
    this.#read = read;
  }

  /** How often something may have been written, as far as anybody has asked. */
  get changes(): number {
    return this.#changes;
  }

  /** Asks. Rejects if the database does not answer, which counts as a change. */
  ask(): Promise<void> {
    if (this.#asking && performance.now() - this.#askedAt < SHARED_MS) return this.#asking;
    this.#askedAt = performance.now();
    const asking = this.#look();
    this.#asking = asking;
    return asking;
  }

  /** Rests until something was written, or for `mostMs`, or until the signal aborts. */
  async rest({ seen, everyMs, mostMs, signal, ref }: Rest): Promise<void> {
    const end = performance.now() + mostMs;
    while (!signal.aborted) {
      const leftMs = end - performance.now();
      if (leftMs <= 0) return;
      await wait(Math.min(untilTick(everyMs), leftMs), undefined, { signal, ref }).catch(() => {});
      if (signal.aborted || performance.now() >= end) return;
      // What the failure is, the work itself will find.
      await unlessAborted(this.ask(), signal).catch(() => {});
      if (this.#changes !== seen) return;
    }
  }

  async #look(): Promise<void> {
    let state: string | undefined;
    try {
      state = await this.#read();
    } finally {
      if (state === undefined || state !== this.#state) this.#changes++;
      this.#state = state;
    }
  }
}

/** Until the next multiple of an interval, milliseconds: those who wait for it ask together. */
export function untilTick(everyMs: number): number {
  return Math.ceil(everyMs - (performance.now() % everyMs));
}
