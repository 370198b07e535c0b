/**
 * Knows which connection of this process writes each upload. When an upload is opened again here,
 * the older connection is told at once; one in another process learns it from the database, at its
 * next write.
 */
export class WriterRegistry {
  readonly #writers = new Map<string, { epoch: bigint; fence: () => void }>();

  /**
   * Takes the upload over from an older writer of this process. If the known one has a higher
   * epoch, this one was overtaken while it opened, or the upload was restored from a backup since:
   * nobody is fenced here, and the database tells the wrong one at its next write. Dispose when the
   * connection ends.
   */
  claim(key: string, epoch: bigint, fence: () => void): Disposable {
    const known = this.#writers.get(key);
    if (!known || known.epoch <= epoch) {
      known?.fence();
      this.#writers.set(key, { epoch, fence });
    }
    return {
      [Symbol.dispose]: () => {
        if (this.#writers.get(key)?.fence === fence) this.#writers.delete(key);
      },
    };
  }
}
