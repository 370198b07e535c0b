import { type Database, systemTransaction } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import { closeLeftBlocks, findCarriersOfLeftBlocks } from "../store/privacy/open-disclosures.ts";

export interface CloseDisclosuresOptions {
  readonly db: Database;
  /** Between two turns, milliseconds. Default ten minutes; the first turn is at once. */
  readonly intervalMs?: number;
  readonly onError: (error: unknown) => void;
}

/** How many carriers are read at once, and how many blocks one transaction closes. */
const BATCH = 100;
/** Longest that one statement may take, milliseconds. */
const STATEMENT_TIMEOUT_MS = 60_000;

/**
 * Closes the blocks of disclosed records whose stream went with its process, for as long as this
 * one lives. Several processes may do so at once: what one has closed, the others no longer see as
 * open. Resolves when the signal aborts.
 */
export function runCloseDisclosures(options: CloseDisclosuresOptions, signal: AbortSignal): Promise<void> {
  const { db, intervalMs = 600_000, onError } = options;
  return every({ intervalMs, signal, onError }, () => closeAll(db, signal));
}

async function closeAll(db: Database, signal: AbortSignal): Promise<void> {
  let after = "";
  while (!signal.aborted) {
    const carriers = await systemTransaction(db, (tx) => findCarriersOfLeftBlocks(tx, after, BATCH));
    for (const carrierId of carriers) await closeOf(db, carrierId, signal);
    if (carriers.length < BATCH) return;
    after = carriers.at(-1) ?? after;
  }
}

async function closeOf(db: Database, carrierId: string, signal: AbortSignal): Promise<void> {
  let closed = BATCH;
  while (closed === BATCH && !signal.aborted) {
    closed = await systemTransaction(db, (tx) => closeLeftBlocks(tx, carrierId, BATCH), {
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    });
  }
}
