/** A count that only rises, and can be waited for. */
export class Level {
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

  /** True once the value is there; false when the signal is aborted first. */
  async reaches(value: bigint, signal: AbortSignal): Promise<boolean> {
    while (this.#value < value && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
    }
    return this.#value >= value;
  }
}
