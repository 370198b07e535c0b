import { setTimeout as wait } from "node:timers/promises";
import { asOwn } from "./callers.ts";
import { type Database, systemTransaction } from "./database.ts";
import { readClock } from "./run.ts";

export interface DatabaseWatchOptions {
  readonly db: Database;
  /** Told of each change, with what the database was last heard to fail with. */
  readonly onChange: (answers: boolean, error: unknown) => void;
}

const INTERVAL_MS = 1_000;
/** After a first failure: a connection may have been cut that the next question does without. */
const DOUBT_MS = 250;
/** A database that takes longer does not answer. */
const ANSWER_MS = 5_000;

/** Asks the database again and again whether it answers, on a connection of its own. */
export class DatabaseWatch implements AsyncDisposable {
  readonly #options: DatabaseWatchOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #answers = true;
  readonly #listeners = new Set<() => void>();

  /** Begins with an answer: whoever opens it has just used the database. */
  constructor(options: DatabaseWatchOptions) {
    this.#options = options;
    this.#running = asOwn("health", () => this.#run()).catch(() => {});
  }

  get answers(): boolean {
    return this.#answers;
  }

  /** Has a listener told of each change, until it is disposed. */
  watch(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    for (;;) {
      const error = await this.#ask();
      failures = error === undefined ? 0 : failures + 1;
      if (failures !== 1) this.#tell(failures === 0, error);
      await wait(failures === 1 ? DOUBT_MS : INTERVAL_MS, undefined, { signal });
    }
  }

  /**
   * Returns why it does not answer. One question at a time: a silent database is not asked a
   * thousand.
   */
  async #ask(): Promise<unknown> {
    const late = setTimeout(() => this.#tell(false, new Error(`no answer for ${ANSWER_MS} ms`)), ANSWER_MS);
    const stopped = Promise.withResolvers<never>();
    const stop = () => stopped.reject(this.#stop.signal.reason);
    this.#stop.signal.addEventListener("abort", stop, { once: true });
    try {
      const asked = systemTransaction(this.#options.db, readClock);
      return await Promise.race([asked.then(() => undefined), stopped.promise]);
    } catch (error) {
      this.#stop.signal.throwIfAborted();
      return error;
    } finally {
      clearTimeout(late);
      this.#stop.signal.removeEventListener("abort", stop);
    }
  }

  #tell(answers: boolean, error: unknown): void {
    if (answers === this.#answers) return;
    this.#answers = answers;
    this.#options.onChange(answers, error);
    for (const listener of this.#listeners) listener();
  }
}
