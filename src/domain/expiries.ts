import type { Micros } from "./time/instant.ts";
import { wallMicros } from "./time/wall-clock.ts";

/** Most ends that are remembered; beyond it, the one not asked for longest is forgotten. */
const MAX_REMEMBERED = 20_000;

/** Clocks drift, and are read one after the other: less than this is no step, milliseconds. */
const DRIFT_MS = 1_000;

/**
 * The ends of credentials, judged by two clocks. An end is a moment that somebody wrote down. If
 * the time of day steps back, what is over would be good again. So when something is first seen
 * good, we also note how long it has left by a clock that only goes forward. The earlier counts.
 */
export class Expiries {
  /** Ends by the clock that only goes forward, milliseconds; the last asked for come last. */
  readonly #ends = new Map<string, number>();
  readonly #most: number;

  constructor(most: number = MAX_REMEMBERED) {
    this.#most = most;
  }

  /**
   * When it is over, by the present time of day; undefined: it is over.
   * @param key names what ends, and must differ if its end differs.
   */
  endOf(key: string, expiresAt: Micros): Micros | undefined {
    const now = wallMicros();
    const nowMs = performance.now();
    const noted = this.#ends.get(key);
    if (expiresAt <= now || (noted !== undefined && noted <= nowMs)) return undefined;
    // A moment far away has more microseconds than a number counts exactly, and need not be exact.
    const endMs = Math.min(noted ?? Number.POSITIVE_INFINITY, nowMs + Number(expiresAt - now) / 1_000);
    this.#note(key, endMs);
    const lostMs = Number(expiresAt - now) / 1_000 - (endMs - nowMs);
    return lostMs < DRIFT_MS ? expiresAt : now + BigInt(Math.floor((endMs - nowMs) * 1_000));
  }

  #note(key: string, endMs: number): void {
    this.#ends.delete(key);
    const [oldest] = this.#ends.keys();
    if (this.#ends.size >= this.#most && oldest !== undefined) this.#ends.delete(oldest);
    this.#ends.set(key, endMs);
  }
}
