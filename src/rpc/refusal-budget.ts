/** How many refusals of one kind are written at once, and how many more each hour. */
export const KIND_ALLOWANCE = 5;
/** How many of all kinds together. */
export const TOTAL_ALLOWANCE = 1_000;
const PERIOD_MS = 3_600_000;
const MAX_KINDS = 10_000;

interface Bucket {
  level: number;
  atMs: number;
  /** Refusals since the last that was written. */
  unwritten: number;
}

/**
 * Limits how many refusals go into the audit log, where they would stay for a year: a program that repeats a call that is refused must not fill it. What
 * goes over is counted, and the next of its kind says how many there were. Each process counts for itself.
 */
export class RefusalBudget {
  readonly #kinds = new Map<string, Bucket>();
  readonly #now: () => number;
  readonly #total: Bucket;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#total = { level: 0, atMs: now(), unwritten: 0 };
  }

  /** Whether one more of a kind may be written; then how many before it were not. */
  take(kind: string): { unwritten: number } | undefined {
    const bucket = this.#bucketOf(kind);
    this.#drain(bucket, KIND_ALLOWANCE);
    this.#drain(this.#total, TOTAL_ALLOWANCE);
    if (bucket.level + 1 > KIND_ALLOWANCE || this.#total.level + 1 > TOTAL_ALLOWANCE) {
      bucket.unwritten++;
      return undefined;
    }
    bucket.level++;
    this.#total.level++;
    const { unwritten } = bucket;
    bucket.unwritten = 0;
    return { unwritten };
  }

  // The kind that was asked for longest ago makes room.
  #bucketOf(kind: string): Bucket {
    const bucket = this.#kinds.get(kind) ?? { level: 0, atMs: this.#now(), unwritten: 0 };
    this.#kinds.delete(kind);
    this.#kinds.set(kind, bucket);
    const [oldest] = this.#kinds.keys();
    if (this.#kinds.size > MAX_KINDS && oldest !== undefined) this.#kinds.delete(oldest);
    return bucket;
  }

  #drain(bucket: Bucket, allowance: number): void {
    const now = this.#now();
    bucket.level = Math.max(0, bucket.level - ((now - bucket.atMs) * allowance) / PERIOD_MS);
    bucket.atMs = now;
  }
}
