import { setTimeout as wait } from "node:timers/promises";
import { OneAtATime } from "../../domain/one-at-a-time.ts";
import { type SealSecret, Seals } from "../../domain/seals.ts";
import { asOwn } from "./callers.ts";
import { type Database, systemTransaction } from "./database.ts";
import { every } from "./every.ts";
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
 * shares the next one.
 */
const MIN_INTERVAL_MS = 500;

/** The keys of seals, which every process reads from the database again and again. */
export class SealDirectory implements AsyncDisposable {
  readonly seals: Seals;
  readonly #db: Database;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  // The process reads for itself, whoever asks: others wait for it too, so it outlives the asker's
  // call.
  readonly #reading = new OneAtATime(() => asOwn("seal keys", () => this.#read()));
  #earliest = 0;

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
    return this.#reading.run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #read(): Promise<void> {
    const delayMs = this.#earliest - performance.now();
    if (delayMs > 0) await wait(delayMs, undefined, { signal: this.#stop.signal });
    this.#earliest = performance.now() + MIN_INTERVAL_MS;
    this.seals.replace(await systemTransaction(this.#db, readSealSecrets));
  }

  #follow({ intervalMs = 2_000, onError: report }: SealDirectoryOptions): Promise<void> {
    const { signal } = this.#stop;
    const onError = (error: unknown) => signal.aborted || report(error);
    return every({ intervalMs, firstMs: intervalMs, signal, ref: false, onError }, () => this.refresh());
  }
}
