/**
 * How many bytes of records all uploads of this process have received and not yet committed. Beyond
 * the limit nobody gets new credit; what was credited before may still arrive, so the limit is a
 * soft one: it is passed by at most one window for each open upload.
 */
export class ByteBudget {
  readonly #limit: number;
  #used = 0;
  /** Called, once each, when there is room again. */
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
