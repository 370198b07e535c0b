/** How many refusals of one kind are written at once, and how many more each hour. */
export const KIND_ALLOWANCE = 5;
/** How many of one caller. */
export const CALLER_ALLOWANCE = 100;
/** How many of them are written whatever others do. */
export const OWN_ALLOWANCE = 10;
/** How many of all callers together, besides. */
export const TOTAL_ALLOWANCE = 1_000;
const PERIOD_MS = 3_600_000;
/** Most kinds, and most callers, that are remembered. */
const MAX_REMEMBERED = 10_000;

interface Bucket {
  level: number;
  atMs: number;
  /** Refusals that were not written, and not told of since. */
  unwritten: number;
}

/** What was not written of a caller's refusals. */
export interface UnwrittenSum {
  /** Undefined: of callers that were forgotten, because there were too many. */
  readonly caller: string | undefined;
  readonly unwritten: number;
}

/**
 * Limits how many refusals go into the audit log, where they would stay for a year: a program that
 * repeats a call that is refused must not fill it, nor take the room of others. What goes over is
 * counted: the next of its kind says how many there were, and what is left of a caller's is summed
 * up. Each process counts for itself.
 */
export class RefusalBudget {
  readonly #kinds = new Map<string, Bucket>();
  readonly #callers = new Map<string, Bucket>();
  readonly #now: () => number;
  readonly #maxRemembered: number;
  readonly #total: Bucket;
  #ofForgotten = 0;

  constructor(now: () => number = () => performance.now(), maxRemembered: number = MAX_REMEMBERED) {
    this.#now = now;
    this.#maxRemembered = maxRemembered;
    this.#total = { level: 0, atMs: now(), unwritten: 0 };
  }

  /**
   * Whether one more of a caller's, of a kind, may be written; then how many of the kind before it
   * were not.
   */
  take(caller: string, kind: string): { unwritten: number } | undefined {
    const ofKind = this.#bucketOf(this.#kinds, kind);
    const ofCaller = this.#bucketOf(this.#callers, caller);
    this.#drain(ofKind, KIND_ALLOWANCE);
    this.#drain(ofCaller, CALLER_ALLOWANCE);
    this.#drain(this.#total, TOTAL_ALLOWANCE);
    const isOwn = ofCaller.level + 1 <= OWN_ALLOWANCE;
    const isOver = ofKind.level + 1 > KIND_ALLOWANCE || ofCaller.level + 1 > CALLER_ALLOWANCE;
    if (isOver || (!isOwn && this.#total.level + 1 > TOTAL_ALLOWANCE)) {
      ofKind.unwritten++;
      ofCaller.unwritten++;
      return undefined;
    }
    ofKind.level++;
    ofCaller.level++;
    if (!isOwn) this.#total.level++;
    const { unwritten } = ofKind;
    ofKind.unwritten = 0;
    ofCaller.unwritten = Math.max(0, ofCaller.unwritten - unwritten);
    return { unwritten };
  }

  /** What was not written and not told of since, by caller; then it counts as told. */
  takeSums(): UnwrittenSum[] {
    const sums: UnwrittenSum[] = [];
    for (const [caller, bucket] of this.#callers) {
      if (bucket.unwritten > 0) sums.push({ caller, unwritten: bucket.unwritten });
      bucket.unwritten = 0;
    }
    for (const bucket of this.#kinds.values()) bucket.unwritten = 0;
    if (this.#ofForgotten > 0) sums.push({ caller: undefined, unwritten: this.#ofForgotten });
    this.#ofForgotten = 0;
    return sums;
  }

  // The one that was asked for longest ago makes room.
  #bucketOf(buckets: Map<string, Bucket>, key: string): Bucket {
    const bucket = buckets.get(key) ?? { level: 0, atMs: this.#now(), unwritten: 0 };
    buckets.delete(key);
    buckets.set(key, bucket);
    const [oldest] = buckets;
    if (buckets.size > this.#maxRemembered && oldest !== undefined) {
      buckets.delete(oldest[0]);
      if (buckets === this.#callers) this.#ofForgotten += oldest[1].unwritten;
    }
    return bucket;
  }

  #drain(bucket: Bucket, allowance: number): void {
    const now = this.#now();
    bucket.level = Math.max(0, bucket.level - ((now - bucket.atMs) * allowance) / PERIOD_MS);
    bucket.atMs = now;
  }
}
