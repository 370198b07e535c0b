import { type Database, systemTransaction } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import { ageUploads } from "../store/records/age-uploads.ts";

export interface AgeUploadsOptions {
  readonly db: Database;
  /** Between two turns, milliseconds. Default six hours; the first turn is at once. */
  readonly intervalMs?: number;
  /** Uploads of one transaction. Default 100. */
  readonly batchSize?: number;
  readonly onError: (error: unknown) => void;
}

/** Milliseconds; an upload of a hundred million records has fifty thousand batches. */
const STATEMENT_TIMEOUT_MS = 60_000;

/** Seals uploads idle for 30 days and forgets verdicts 30 days later, until the signal aborts. */
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
