import { Buckets } from "../../../port/buckets.ts";

/** How many refusals of one kind are written at once, and how many more each hour. */
export const KIND_ALLOWANCE = 5;
/** The same for one caller. */
export const CALLER_ALLOWANCE = 100;
/** How many of a caller's are written however many others there are. */
export const OWN_ALLOWANCE = 10;
/** How many of all callers together, beyond those. */
export const TOTAL_ALLOWANCE = 1_000;
const HOUR_S = 3_600;
/** Most kinds, and most callers, that are remembered. */
const MAX_REMEMBERED = 10_000;

/** What was not written of a caller's refusals. */
export interface UnwrittenSum {
  /** Undefined: of callers that were forgotten, because there were too many. */
  readonly caller: string | undefined;
  readonly unwritten: number;
}

/**
 * Limits how many refusals go into the audit log, which keeps them for a year: a program that
 * repeats a refused call must neither fill the log nor take the room of others. Refusals over the
 * limit are counted: the next written one of the same kind says how many were left out, and what
 * remains of a caller's is summed up. Each process counts for itself.
 */
export class RefusalBudget {
  readonly #kinds: Buckets;
  readonly #callers: Buckets;
  readonly #total: Buckets;
  /** Refusals that were not written and not reported since, by kind and by caller. */
  readonly #unwrittenOfKinds = new Map<string, number>();
  readonly #unwrittenOfCallers = new Map<string, number>();
  readonly #maxRemembered: number;
  #ofForgotten = 0;

  constructor(now: () => number = () => performance.now(), maxRemembered: number = MAX_REMEMBERED) {
    const hourly = (burst: number) => new Buckets({ perSecond: burst / HOUR_S, burst, maxKeys: maxRemembered, now });
    this.#kinds = hourly(KIND_ALLOWANCE);
    this.#callers = hourly(CALLER_ALLOWANCE);
    this.#total = hourly(TOTAL_ALLOWANCE);
    this.#maxRemembered = maxRemembered;
  }

  /**
   * Whether one more refusal of this caller and kind may be written; if so, how many of the kind
   * before it were not.
   */
  take(caller: string, kind: string): { unwritten: number } | undefined {
    const isOwn = this.#callers.waitMs(caller, 1 + CALLER_ALLOWANCE - OWN_ALLOWANCE) === 0;
    const mayWrite = this.#kinds.waitMs(kind) === 0 && this.#callers.waitMs(caller) === 0;
    if (!mayWrite || (!isOwn && this.#total.waitMs("") > 0)) {
      this.#note(this.#unwrittenOfKinds, kind, 1);
      this.#ofForgotten += this.#note(this.#unwrittenOfCallers, caller, 1);
      return undefined;
    }
    this.#kinds.spend(kind, 1);
    this.#callers.spend(caller, 1);
    if (!isOwn) this.#total.spend("", 1);
    const unwritten = this.#unwrittenOfKinds.get(kind) ?? 0;
    this.#unwrittenOfKinds.delete(kind);
    this.#ofForgotten += this.#note(this.#unwrittenOfCallers, caller, -unwritten);
    return { unwritten };
  }

  /** What was not written and not reported since, by caller; from then on it counts as reported. */
  takeSums(): UnwrittenSum[] {
    const sums: UnwrittenSum[] = [...this.#unwrittenOfCallers].map(([caller, unwritten]) => ({ caller, unwritten }));
    if (this.#ofForgotten > 0) sums.push({ caller: undefined, unwritten: this.#ofForgotten });
    this.#unwrittenOfCallers.clear();
    this.#unwrittenOfKinds.clear();
    this.#ofForgotten = 0;
    return sums;
  }

  // Drops the oldest note when there are too many, and returns it.
  #note(notes: Map<string, number>, key: string, count: number): number {
    const unwritten = Math.max(0, (notes.get(key) ?? 0) + count);
    notes.delete(key);
    if (unwritten > 0) notes.set(key, unwritten);
    const [oldest] = notes;
    if (notes.size <= this.#maxRemembered || oldest === undefined) return 0;
    notes.delete(oldest[0]);
    return oldest[1];
  }
}
