import { type Database, systemTransaction } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import { ageUploads } from "../store/records/age-uploads.ts";

export interface AgeUploadsOptions {
  readonly db: Database;
  /** Between two turns, milliseconds. Default six hours; the first turn is at once. */
  readonly intervalMs?: number;
  /**
   * How many uploads one transaction seals, and of how many it forgets the verdicts. Default 100.
   */
  readonly batchSize?: number;
  readonly onError: (error: unknown) => void;
}

/**
 * Longest that one statement may take, milliseconds: an upload of a hundred million records has
 * fifty thousand batches.
 */
const STATEMENT_TIMEOUT_MS = 60_000;

/**
 * Seals uploads that were idle for 30 days, and forgets the verdicts of those that were sealed 30
 * days ago, for as long as the process lives. Several processes may do so at once: what one has
 * done, the others find done. Resolves when the signal aborts.
 */
export function runAgeUploads(options: AgeUploadsOptions, signal: AbortSignal): Promise<void> {
  const { intervalMs = 21_600_000, onError } = options;
  return every({ intervalMs, signal, onError }, () => ageAll(options, signal));
}

async function ageAll({ db, batchSize = 100 }: AgeUploadsOptions, signal: AbortSignal): Promise<void> {
  let isMore = true;
  while (isMore && !signal.aborted) {
    const { sealed, forgotten } = await systemTransaction(db, (tx) => ageUploads(tx, batchSize), {
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    });
    isMore = sealed === batchSize || forgotten === batchSize;
  }
}
