import { type Database, systemTransaction } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import { closeLeftBlocks, findCarriersOfLeftBlocks } from "../store/privacy/open-disclosures.ts";

export interface CloseDisclosuresOptions {
  readonly db: Database;
  /** Between two turns, milliseconds. Default ten minutes; the first turn is at once. */
  readonly intervalMs?: number;
  readonly onError: (error: unknown) => void;
}

/** Carriers read at once, and blocks closed by one transaction. */
const BATCH = 100;
/** Milliseconds. */
const STATEMENT_TIMEOUT_MS = 60_000;

/** Closes blocks of disclosed records that dead processes left open, until the signal aborts. */
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
