/**
 * How long nothing may move before what is awaited counts as lost, milliseconds. A busy machine is
 * slow, but it moves: this only ends what hangs.
 */
export const STILL_MS = 180_000;

/** A count that only rises, and can be waited for. */
export class RisingCount {
  #value = 0n;
  readonly #waiting = new Set<() => void>();

  get value(): bigint {
    return this.#value;
  }

  raise(value: bigint): void {
    if (value <= this.#value) return;
    this.#value = value;
    for (const wake of [...this.#waiting]) wake();
  }

  /**
   * True once the value is there; false when the signal is aborted first, or the count has not
   * risen for `stillMs`.
   */
  async reaches(value: bigint, signal: AbortSignal, stillMs = STILL_MS): Promise<boolean> {
    let hasRisen = true;
    while (this.#value < value && !signal.aborted && hasRisen) {
      const before = this.#value;
      await this.#moves(signal, stillMs);
      hasRisen = this.#value > before;
    }
    return this.#value >= value;
  }

  #moves(signal: AbortSignal, stillMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, stillMs);
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}
