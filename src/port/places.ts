import { TandemError } from "../domain/errors.ts";

/** How many places there are, and what a refusal says. */
export interface PlaceLimits {
  readonly mostOfOne: number;
  /** Of all keys together. Default: no limit. */
  readonly most?: number;
  readonly refusal: (limit: number) => string;
}

/** Places that are taken for a time, counted by key. */
export class Places {
  readonly #taken = new Map<string, number>();
  #count = 0;

  /** How many are taken. */
  get count(): number {
    return this.#count;
  }

  /** How many a key has taken. */
  takenBy(key: string): number {
    return this.#taken.get(key) ?? 0;
  }

  /** Takes a place until it is disposed. @throws TandemError TOO_MANY_STREAMS */
  takeWithin(key: string, { mostOfOne, most = Number.POSITIVE_INFINITY, refusal }: PlaceLimits): Disposable {
    const isOneOver = this.takenBy(key) >= mostOfOne;
    const limit = isOneOver ? mostOfOne : most;
    if (isOneOver || this.#count >= most)
      throw new TandemError("TOO_MANY_STREAMS", refusal(limit), { limit: String(limit) });
    return this.take(key);
  }

  /** Takes a place until it is disposed, whatever is taken. */
  take(key: string): Disposable {
    this.#add(key, 1);
    let isTaken = true;
    return {
      [Symbol.dispose]: () => {
        if (isTaken) this.#add(key, -1);
        isTaken = false;
      },
    };
  }

  #add(key: string, count: number): void {
    this.#count += count;
    const taken = this.takenBy(key) + count;
    if (taken > 0) this.#taken.set(key, taken);
    else this.#taken.delete(key);
  }
}
