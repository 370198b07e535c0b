import { isTransient } from "../../../store/database/database.ts";

/** Most keys of one query. */
const MAX_KEYS = 1_000;

/**
 * Gathers look-ups into few queries: one query runs at a time, and what is asked for meanwhile
 * shares the next. So it needs only one connection, and no answer comes from a query that began
 * before the question.
 */
export class GatheredLookups<Row> {
  readonly #find: (keys: readonly string[]) => Promise<readonly (readonly [key: string, row: Row])[]>;
  readonly #asked = new Map<string, PromiseWithResolvers<Row | undefined>>();
  #isRunning = false;

  constructor(find: (keys: readonly string[]) => Promise<readonly (readonly [key: string, row: Row])[]>) {
    this.#find = find;
  }

  /** The row of a key; undefined when there is none. */
  find(key: string): Promise<Row | undefined> {
    const asked = this.#asked.get(key) ?? Promise.withResolvers<Row | undefined>();
    this.#asked.set(key, asked);
    if (!this.#isRunning) void this.#run();
    return asked.promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#asked.size > 0) {
      const next = [...this.#asked].slice(0, MAX_KEYS);
      for (const [key] of next) this.#asked.delete(key);
      await this.#answer(next);
    }
    this.#isRunning = false;
  }

  async #answer(asked: readonly (readonly [string, PromiseWithResolvers<Row | undefined>])[]): Promise<void> {
    const keys = asked.map(([key]) => key);
    try {
      const rows = new Map(await this.#find(keys));
      for (const [key, { resolve }] of asked) resolve(rows.get(key));
    } catch (error) {
      // One key that makes the query fail must not fail the others.
      if (asked.length > 1 && !isTransient(error)) {
        for (const one of asked) await this.#answer([one]);
        return;
      }
      for (const [, { reject }] of asked) reject(error);
    }
  }
}
