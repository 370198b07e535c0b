/**
 * Most keys that are remembered: beyond it the least recently used is forgotten, and starts with a
 * full bucket again.
 */
const MAX_KEYS = 10_000;

/** The error of summed fractions that is allowed. */
const ROUNDING = 1e-6;

export interface BucketOptions {
  /** How fast a bucket fills, units a second. 0: there is no limit. */
  readonly perSecond: number;
  /** How much it holds at most, and at first. */
  readonly burst: number;
  readonly maxKeys?: number;
  /** Milliseconds, from any start. */
  readonly now?: () => number;
}

/** Token buckets by key: each key may spend a burst at once and so much a second on average. */
export class Buckets {
  readonly #options: BucketOptions;
  readonly #now: () => number;
  readonly #levels = new Map<string, { level: number; atMs: number }>();

  constructor(options: BucketOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#levels.size;
  }

  /**
   * Takes the amount and returns 0 if there is enough; else takes nothing and returns how long it
   * will be until there is, milliseconds.
   */
  take(key: string, amount = 1): number {
    const waitMs = this.waitMs(key, amount);
    if (waitMs === 0) this.spend(key, amount);
    return waitMs;
  }

  /** How long until there is enough, milliseconds; 0: now. */
  waitMs(key: string, amount = 1): number {
    const { perSecond } = this.#options;
    const missing = amount - this.left(key);
    return perSecond === 0 || missing <= ROUNDING ? 0 : Math.ceil((missing * 1000) / perSecond - ROUNDING);
  }

  /** How much there is; less than 0 for a debt. */
  left(key: string): number {
    const { perSecond, burst } = this.#options;
    const known = this.#levels.get(key);
    if (!known) return burst;
    return Math.min(burst, known.level + ((this.#now() - known.atMs) * perSecond) / 1000);
  }

  /**
   * Takes the amount even if it is not there; the debt has to fill up first. A negative amount is
   * given back.
   */
  spend(key: string, amount: number): void {
    const { perSecond, maxKeys = MAX_KEYS } = this.#options;
    if (perSecond === 0) return;
    const level = this.left(key) - amount;
    this.#levels.delete(key);
    const [oldest] = this.#levels.keys();
    if (this.#levels.size >= maxKeys && oldest !== undefined) this.#levels.delete(oldest);
    this.#levels.set(key, { level, atMs: this.#now() });
  }
}
