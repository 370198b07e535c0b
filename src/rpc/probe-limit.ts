import { TandemError } from "../domain/errors.ts";

/** How many NUMBER_UNAVAILABLE answers a carrier can have, and how many more each hour. */
export const PROBE_ALLOWANCE = 1_000;
const PERIOD_MS = 3_600_000;
const MAX_CARRIERS = 10_000;

/**
 * Limits how often a carrier can learn that a number is another's, so that nobody can map the others' inventory. A call that goes beyond the allowance
 * is answered, and those after it wait until it is paid back: to refuse single items would tell as much. Each process counts for itself.
 */
export class ProbeLimit {
  readonly #spent = new Map<string, { count: number; atMs: number }>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Throws RATE_LIMITED while the carrier's allowance is used up. */
  assertAllowed(carrierId: string): void {
    const over = this.#count(carrierId) - PROBE_ALLOWANCE;
    if (over < 0) return;
    const retryAfterMs = Math.ceil(((over + 1) * PERIOD_MS) / PROBE_ALLOWANCE);
    throw new TandemError(
      "RATE_LIMITED",
      "too many numbers of late were another carrier's: call again later",
      {},
      { retryAfterMs },
    );
  }

  /** Counts answers. */
  spend(carrierId: string, answers: number): void {
    if (answers === 0) return;
    const count = this.#count(carrierId) + answers;
    if (this.#spent.size >= MAX_CARRIERS) this.#spent.clear();
    this.#spent.set(carrierId, { count, atMs: this.#now() });
  }

  #count(carrierId: string): number {
    const spent = this.#spent.get(carrierId);
    if (!spent) return 0;
    return Math.max(0, spent.count - ((this.#now() - spent.atMs) * PROBE_ALLOWANCE) / PERIOD_MS);
  }
}
