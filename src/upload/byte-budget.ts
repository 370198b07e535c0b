/**
 * Counts the bytes of records that all uploads of this process have received and not yet committed.
 * Beyond the limit nobody gets new credit; what was credited before may still arrive, so that the
 * limit may be exceeded by at most one window for each open upload.
 */
export class ByteBudget {
  readonly #limit: number;
  #used = 0;
  /** Each is called once, when there is room again. */
  readonly waiting = new Set<() => void>();

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  get hasRoom(): boolean {
    return this.#used < this.#limit;
  }

  take(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
    if (!this.hasRoom) return;
    for (const wake of [...this.waiting]) wake();
  }
}
