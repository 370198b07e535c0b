import { setTimeout as wait } from "node:timers/promises";
import { type SealSecret, Seals } from "../domain/seals.ts";
import { type Database, systemTransaction } from "./database.ts";
import { readSealSecrets } from "./seal-keys.ts";

export interface SealDirectoryOptions {
  readonly db: Database;
  /** The installation's secret. */
  readonly unsealedSecret: Buffer;
  /** Between two looks, milliseconds. Default 2,000. */
  readonly intervalMs?: number;
  readonly onError: (error: unknown) => void;
}

/**
 * Least time between two readings, milliseconds: anyone may make up a key id. Who asks meanwhile
 * waits, and shares the next one.
 */
const MIN_INTERVAL_MS = 500;

/**
 * The keys of seals, which every process reads from the database again and again. Dispose it to
 * stop.
 */
export class SealDirectory implements AsyncDisposable {
  readonly seals: Seals;
  readonly #db: Database;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #next: Promise<void> | undefined;
  #earliest = 0;
  #begun = 0;
  #taken = 0;

  /** Reads them for the first time. */
  static async open(options: SealDirectoryOptions): Promise<SealDirectory> {
    return new SealDirectory(options, await systemTransaction(options.db, readSealSecrets));
  }

  private constructor(options: SealDirectoryOptions, secrets: readonly SealSecret[]) {
    this.#db = options.db;
    this.seals = new Seals(secrets, options.unsealedSecret, () => this.refresh());
    this.#running = this.#follow(options);
  }

  /** Reads them once more; resolves when what was there at the call is in use. */
  refresh(): Promise<void> {
    this.#next ??= this.#readNext();
    return this.#next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  // A reading that has begun may miss what was written just now: who asks then waits for the next
  // one.
  async #readNext(): Promise<void> {
    const delayMs = this.#earliest - performance.now();
    try {
      if (delayMs > 0) await wait(delayMs, undefined, { signal: this.#stop.signal });
    } finally {
      this.#next = undefined;
    }
    this.#earliest = performance.now() + MIN_INTERVAL_MS;
    const number = ++this.#begun;
    const secrets = await systemTransaction(this.#db, readSealSecrets);
    if (number < this.#taken) return;
    this.#taken = number;
    this.seals.replace(secrets);
  }

  async #follow({ intervalMs = 2_000, onError }: SealDirectoryOptions): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await wait(intervalMs, undefined, { signal, ref: false }).catch(() => {});
      if (!signal.aborted) await this.refresh().catch((error) => signal.aborted || onError(error));
    }
  }
}
