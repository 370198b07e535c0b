import { setTimeout as wait } from "node:timers/promises";
import { OneAtATime } from "../../domain/one-at-a-time.ts";
import { Seals } from "../../domain/seals.ts";
import { asOwn } from "./callers.ts";
import { type Database, systemTransaction } from "./database.ts";
import { every } from "./every.ts";
import { readSealSecrets } from "./seal-keys.ts";

interface SealDirectoryOptions {
  readonly db: Database;
  /** The installation's. */
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

/** Longest time without a look although nothing was written, milliseconds. */
const QUIET_MS = 60_000;

/** The keys of seals, which every process reads from the database again and again. */
export interface SealDirectory extends AsyncDisposable {
  readonly seals: Seals;
  /** Reads them once more; resolves when what was there at the call is in use. */
  refresh(): Promise<void>;
}

/** Reads the keys, and goes on reading them until it is disposed. */
export async function openSealDirectory(options: SealDirectoryOptions): Promise<SealDirectory> {
  const { db, unsealedSecret, intervalMs = 2_000, onError: report } = options;
  const stop = new AbortController();
  const { signal } = stop;
  let earliest = 0;
  const read = async () => {
    const delayMs = earliest - performance.now();
    if (delayMs > 0) await wait(delayMs, undefined, { signal });
    earliest = performance.now() + MIN_INTERVAL_MS;
    seals.replace(await systemTransaction(db, readSealSecrets));
  };
  // The process reads for itself: others wait for it too, so it outlives the asker's call.
  const reading = new OneAtATime(() => asOwn("seal keys", read));
  const refresh = () => reading.run();
  const seals = new Seals(await systemTransaction(db, readSealSecrets), unsealedSecret, refresh);
  const onError = (error: unknown) => signal.aborted || report(error);
  const running = every({ intervalMs, firstMs: intervalMs, signal, ref: false, onError, pulse: db.pulse }, async () => {
    await refresh();
    return QUIET_MS;
  });
  return {
    seals,
    refresh,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
