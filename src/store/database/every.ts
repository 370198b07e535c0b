import { setTimeout as wait } from "node:timers/promises";
import type { Pulse } from "../../domain/pulse.ts";

/** Ends a rest before its time. */
export class Wake {
  #calls = new AbortController();

  /** Aborts when the next turn is called for. */
  get signal(): AbortSignal {
    return this.#calls.signal;
  }

  /** Calls for the next turn at once; during a turn, for another right after it. */
  call(): void {
    this.#calls.abort();
  }

  /** A turn begins: what called for it is answered. */
  answer(): void {
    this.#calls = new AbortController();
  }
}

/** When `every` works, and whom it tells of failures. */
export interface Turns {
  /** Rest between two turns, milliseconds. */
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  readonly onError: (error: unknown) => void;
  /** Rest before the first turn, milliseconds. Default 0. */
  readonly firstMs?: number;
  readonly wake?: Wake;
  /** Asked before each rest: whether nobody needs a turn any more. Default: never. */
  readonly isOver?: () => boolean;
  /** Whether a rest keeps the process alive. Default true. */
  readonly ref?: boolean;
  /**
   * For work that has something to do only when something was written: after a turn that asks for
   * its own rest, the next one comes `intervalMs` after a write, or once that rest is over.
   */
  readonly pulse?: Pulse;
}

/**
 * Works in turns, with a rest between them, until the signal aborts. A failed turn is reported, and
 * the next one comes all the same.
 * @param work may return another rest after this turn, milliseconds; 0: none.
 */
export async function every(turns: Turns, work: () => Promise<void> | Promise<number>): Promise<void> {
  const { intervalMs, signal, onError, firstMs = 0, wake, isOver, ref = true, pulse } = turns;
  let restMs = firstMs;
  let seen: number | undefined;
  while (!signal.aborted && !isOver?.()) {
    const early = wake ? AbortSignal.any([signal, wake.signal]) : signal;
    if (pulse && seen !== undefined)
      await pulse.rest({ seen, everyMs: intervalMs, mostMs: restMs, signal: early, ref });
    else if (restMs > 0) await wait(restMs, undefined, { signal: early, ref }).catch(() => {});
    if (signal.aborted) return;
    wake?.answer();
    restMs = intervalMs;
    seen = undefined;
    const before = pulse?.changes;
    try {
      const asked = await work();
      if (typeof asked !== "number") continue;
      restMs = asked;
      seen = before;
    } catch (error) {
      onError(error);
    }
  }
}

/** Works on at most `limit` rows at a time until fewer are left, or the signal aborts. */
export async function drain(limit: number, signal: AbortSignal, work: () => Promise<number>): Promise<void> {
  let isMore = true;
  while (isMore && !signal.aborted) isMore = (await work()) >= limit;
}
