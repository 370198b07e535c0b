/**
 * What this process may still be delivering, and since when the oldest of it was read. An erasure
 * is over only when nothing is left that was read before.
 */
export class DeliveryWatch {
  readonly #held = new Set<{ readonly sinceMs: number }>();

  /** Says that something is read from now on, and may be delivered until this is disposed. */
  hold(): Disposable {
    const held = { sinceMs: performance.now() };
    this.#held.add(held);
    return { [Symbol.dispose]: () => void this.#held.delete(held) };
  }

  /** How long ago reading the oldest of it began, milliseconds; 0: there is nothing. */
  get oldestMs(): number {
    // In the order in which they came.
    const [oldest] = this.#held;
    return oldest === undefined ? 0 : performance.now() - oldest.sinceMs;
  }
}
