import { setImmediate as nextTurn } from "node:timers/promises";
import { isTransient } from "./database.ts";

interface Waiting<Item, Result> extends PromiseWithResolvers<Result> {
  readonly item: Item;
}

/**
 * Gathers work for the database. One run at a time works for each key, and what comes meanwhile
 * shares the next: many who come at once take few connections and few commits, and no result comes
 * from a run that began before it was asked for. A run that fails because of its data is tried
 * again item by item, so that nobody else suffers for it.
 */
export class Gathered<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #fitting: (items: readonly Item[]) => number;
  readonly #lines = new Map<string, Waiting<Item, Result>[]>();

  /**
   * @param run works on several items, and gives the result of each in their order.
   * @param fitting how many of those that wait, from the first on, may share a run: 1 or more.
   */
  constructor(
    run: (items: readonly Item[]) => Promise<readonly Result[]>,
    fitting: (items: readonly Item[]) => number,
  ) {
    this.#run = run;
    this.#fitting = fitting;
  }

  /** The result of an item. Those of one key are worked on in the order of the calls. */
  add(key: string, item: Item): Promise<Result> {
    const one = { ...Promise.withResolvers<Result>(), item };
    const line = this.#lines.get(key);
    if (line) line.push(one);
    else {
      const fresh = [one];
      this.#lines.set(key, fresh);
      void this.#work(key, fresh);
    }
    return one.promise;
  }

  async #work(key: string, line: Waiting<Item, Result>[]): Promise<void> {
    // So that what came in together is worked on together.
    await nextTurn();
    while (line.length > 0) await this.#runGroup(line.splice(0, this.#fitting(line.map(({ item }) => item))));
    this.#lines.delete(key);
  }

  async #runGroup(group: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#run(group.map(({ item }) => item));
      for (const [index, { resolve }] of group.entries()) resolve(results[index] as Result);
    } catch (error) {
      if (group.length > 1 && !isTransient(error)) for (const one of group) await this.#runGroup([one]);
      else for (const { reject } of group) reject(error);
    }
  }
}
