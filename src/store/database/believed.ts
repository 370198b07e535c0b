import { callerKey, currentCaller, outlivingCall } from "./callers.ts";

const MAX_REMEMBERED = 10_000;

interface Entry<T> {
  until: number;
  readonly value: Promise<T>;
  /** Who is reading it: nobody waits in another's line for it. */
  reader: string | undefined;
}

/** Reads from the database once for all who ask, and believes it for a time. */
export class Believed<T> {
  readonly #believedMs: number;
  readonly #known = new Map<string, Entry<T>>();

  /** @param believedMs how long what was read is believed without asking again, milliseconds. */
  constructor(believedMs = 2_000) {
    this.#believedMs = believedMs;
  }

  /** The known value of a key, or what `read` finds. */
  get(key: string, read: () => Promise<T>): Promise<T> {
    const caller = currentCaller();
    const reader = caller ? callerKey(caller) : "";
    const known = this.#known.get(key);
    const isMine = known?.reader === undefined || known.reader === reader;
    if (known && isMine && known.until > performance.now()) return known.value;
    const entry: Entry<T> = { until: performance.now() + this.#believedMs, value: outlivingCall(read), reader };
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
    this.#known.set(key, entry);
    entry.value.then(
      () => {
        entry.reader = undefined;
      },
      // A failure is not believed: the next who asks tries again.
      () => void (this.#known.get(key) === entry && this.#known.delete(key)),
    );
    return entry.value;
  }

  /**
   * Believes a known value anew, or forgets it: somebody has just looked.
   * @param isStill whether the value is what was seen.
   * @param until how long it is believed then, by performance.now().
   */
  async confirm(key: string, isStill: (value: T) => boolean, until: number): Promise<void> {
    const known = this.#known.get(key);
    if (!known || known.reader !== undefined) return;
    const value = await known.value;
    if (this.#known.get(key) !== known) return;
    if (isStill(value)) known.until = Math.max(known.until, until);
    else this.#known.delete(key);
  }

  /** Forgets what this process has just changed, or all. */
  forget(key?: string): void {
    if (key === undefined) this.#known.clear();
    else this.#known.delete(key);
  }
}
