import { TandemError } from "../domain/errors.ts";

/** Places that are taken for a time: so many in all, and so many for each key. */
export class Places {
  readonly #what: string;
  readonly #most: number;
  readonly #mostOfOne: number;
  readonly #taken = new Map<string, number>();
  #count = 0;

  /** @param what as the refusal names them. */
  constructor(what: string, most: number, mostOfOne: number) {
    this.#what = what;
    this.#most = most;
    this.#mostOfOne = mostOfOne;
  }

  /** Takes a place until it is disposed. @throws TandemError TOO_MANY_STREAMS */
  take(key: string): Disposable {
    const taken = this.#taken.get(key) ?? 0;
    const limit = taken >= this.#mostOfOne ? this.#mostOfOne : this.#most;
    if (taken >= this.#mostOfOne || this.#count >= this.#most)
      throw new TandemError("TOO_MANY_STREAMS", `too many ${this.#what} are open`, { limit: String(limit) });
    this.#taken.set(key, taken + 1);
    this.#count += 1;
    let isTaken = true;
    return {
      [Symbol.dispose]: () => {
        if (!isTaken) return;
        isTaken = false;
        this.#give(key);
      },
    };
  }

  #give(key: string): void {
    this.#count -= 1;
    const left = (this.#taken.get(key) ?? 1) - 1;
    if (left > 0) this.#taken.set(key, left);
    else this.#taken.delete(key);
  }
}
