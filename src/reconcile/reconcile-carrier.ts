import { noCarrier } from "../domain/errors.ts";
import { FeedId } from "../domain/feed-id.ts";
import { RULE_VERSION } from "../domain/matching/result.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import type { Micros } from "../domain/time/instant.ts";
import { readCarrier } from "../store/carriers/carriers.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { confirmLease, type JobLease, withLease } from "../store/database/job-lease.ts";
import { readClock, type Tx } from "../store/database/run.ts";
import { raiseIngestTime } from "../store/feeds/feed-head.ts";
import {
  isAnyMinuteMarked,
  MOST_ROUNDS,
  markDueMinutes,
  readMarkedMinutes,
  readReconcilePosition,
  writeReconcilePosition,
} from "../store/reconciliation/reconcile-progress.ts";
import { keepSums } from "../store/usage/sum-upkeep.ts";
import { type Reconciled, reconciled } from "./carrier.ts";
import { markArrivals } from "./mark-arrivals.ts";
import { reconcileMinutes, type TurnOutcome } from "./reconcile-minutes.ts";

export interface ReconcileOptions {
  readonly db: Database;
  readonly carrierId: string;
  /** This process, in the lease. */
  readonly holder: string;
  readonly signal: AbortSignal;
  readonly readErased?: ((tx: Tx, carrierId: string) => Promise<readonly ErasureScope[]>) | undefined;
  /** Replaces the database's clock in tests. */
  readonly now?: Micros;
  /** Called after a commit with discrepancies. */
  readonly onAppended?: (carrierId: string, feed: FeedId, headSequence: bigint) => void;
  /** Default: MOST_ROUNDS. */
  readonly mostRounds?: number;
}

/** Limits a slice. */
export interface WorkLimit {
  /** Transactions. */
  readonly steps: number;
  /** No transaction begins after this, milliseconds. */
  readonly ms: number;
}

export interface Slice {
  readonly judged: number;
  /** Whether all work of the beginning is done. */
  readonly isDone: boolean;
}

const JOB = "reconcile";
const LEASE_S = 60;
/** Marked minutes of a turn are at most so far from its first one: at the start, and at most. */
const FIRST_REACH_MINUTES = 60;
const MOST_REACH_MINUTES = 1_440;
/** After a turn with more results the next reaches half as far; with a quarter, twice as far. */
const MANY_RESULTS = 20_000;
const MOST_DUE = 20_000;
const WITHOUT_LIMIT: WorkLimit = { steps: Number.POSITIVE_INFINITY, ms: Number.POSITIVE_INFINITY };
const STATEMENT_TIMEOUT_MS = 60_000;
const OPTIONS = {
  statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  // Matching between statements may take long on a busy machine.
  idleTimeoutMs: STATEMENT_TIMEOUT_MS,
  byIndexOnly: true,
} as const;

/**
 * Marks the minutes that new records or the time touch, and matches them, each step in a
 * transaction under the carrier's lease. A stopped run is continued by the next.
 * @returns how many results were judged; undefined: another process has the carrier.
 */
export async function reconcileCarrier(options: ReconcileOptions): Promise<number | undefined> {
  return (await reconcileSlice(options, WITHOUT_LIMIT))?.judged;
}

/** As reconcileCarrier, up to a limit, so that no carrier keeps another waiting. */
export async function reconcileSlice(options: ReconcileOptions, limit: WorkLimit): Promise<Slice | undefined> {
  const { db, carrierId, holder, signal } = options;
  const request = { carrierId, job: JOB, holder, ttlS: LEASE_S };
  return withLease(db, request, async (lease) => {
    const begin = performance.now();
    const work: Work = { steps: 0, judged: 0, spanMinutes: FIRST_REACH_MINUTES };
    const mayGoOn = () => !signal.aborted && work.steps < limit.steps && performance.now() - begin < limit.ms;
    const isMatched = await workThrough(options, lease, work, mayGoOn);
    const isSummed = await keepAllSums(options, lease, work, mayGoOn);
    return { judged: work.judged, isDone: isMatched && isSummed };
  });
}

// Records that arrive meanwhile wait for the next run, so the position moves on. An interrupted run
// finishes its marks before it makes new ones.
async function workThrough(
  options: ReconcileOptions,
  lease: JobLease,
  work: Work,
  mayGoOn: () => boolean,
): Promise<boolean> {
  let hasMore = true;
  while (hasMore && mayGoOn()) {
    const now = options.now ?? (await waitForWriters(options));
    const step = await underLease(options, lease, (tx, carrier) =>
      markWhatIsNew(tx, carrier, now, mostRounds(options)),
    );
    work.steps++;
    hasMore = step.hasMore;
    if (!step.isRead) continue;
    if (!(await matchMarked(options, lease, work, mayGoOn))) return false;
    await underLease(options, lease, (tx) => settle(tx, options.carrierId));
  }
  return !hasMore && !options.signal.aborted;
}

// At least one step, however long matching took.
async function keepAllSums(
  options: ReconcileOptions,
  lease: JobLease,
  work: Work,
  mayGoOn: () => boolean,
): Promise<boolean> {
  do {
    if (options.signal.aborted) return false;
    if (!(await underLease(options, lease, (tx) => keepSums(tx, options.carrierId)))) return true;
    work.steps++;
  } while (mayGoOn());
  return false;
}

function mostRounds(options: ReconcileOptions): number {
  return options.mostRounds ?? MOST_ROUNDS;
}

interface Work {
  steps: number;
  judged: number;
  spanMinutes: number;
}

/** Matches until no minute is marked; false: stopped before. */
async function matchMarked(
  options: ReconcileOptions,
  lease: JobLease,
  work: Work,
  mayGoOn: () => boolean,
): Promise<boolean> {
  // At least one turn: the smallest limit makes progress.
  do {
    if (options.signal.aborted) return false;
    const { spanMinutes } = work;
    const outcome = await underLease(options, lease, (tx, carrier) => takeTurn(tx, carrier, spanMinutes, options));
    if (!outcome) return true;
    work.steps++;
    work.judged += outcome.judged;
    if (outcome.headSequence !== undefined)
      options.onAppended?.(options.carrierId, FeedId.DISCREPANCIES, outcome.headSequence);
    if (outcome.judged > MANY_RESULTS) work.spanMinutes = Math.max(1, spanMinutes >> 1);
    else if (outcome.judged < MANY_RESULTS / 4) work.spanMinutes = Math.min(MOST_REACH_MINUTES, spanMinutes * 2);
  } while (mayGoOn());
  return false;
}

interface Marked {
  /** Whether both feeds were read to their ends, so that calls can be matched. */
  isRead: boolean;
  hasMore: boolean;
}

async function markWhatIsNew(tx: Tx, carrier: Reconciled, now: Micros, most: number): Promise<Marked> {
  const { carrierId } = carrier;
  const stored = await readReconcilePosition(tx, carrierId);
  if (stored?.markedThrough !== undefined && (await isAnyMinuteMarked(tx, carrierId, most)))
    return { isRead: true, hasMore: true };
  if (await markArrivals(tx, carrier, most)) return { isRead: false, hasMore: true };
  const due = await markDueMinutes(tx, carrierId, now, MOST_DUE);
  const position = await readReconcilePosition(tx, carrierId);
  if (position) await writeReconcilePosition(tx, carrierId, { ...position, markedThrough: now });
  return { isRead: true, hasMore: due === MOST_DUE };
}

// Waits for writers in flight: heads that are read later include every older ingest time. In its
// own transaction, so that no writer waits for the marking.
function waitForWriters({ db, carrierId }: ReconcileOptions): Promise<Micros> {
  return systemTransaction(db, async (tx) => {
    const now = await readClock(tx);
    await raiseIngestTime(tx, carrierId, FeedId.CDRS, now);
    await raiseIngestTime(tx, carrierId, FeedId.DURATIONS, now);
    return now;
  });
}

async function takeTurn(
  tx: Tx,
  carrier: Reconciled,
  spanMinutes: number,
  options: ReconcileOptions,
): Promise<TurnOutcome | undefined> {
  const search = { spanMinutes, mostRounds: mostRounds(options) };
  const marked = await readMarkedMinutes(tx, carrier.carrierId, search);
  return marked && reconcileMinutes(tx, carrier, marked, options.now ?? (await readClock(tx)));
}

async function settle(tx: Tx, carrierId: string): Promise<void> {
  const position = await readReconcilePosition(tx, carrierId);
  if (position?.markedThrough === undefined) return;
  await writeReconcilePosition(tx, carrierId, {
    ...position,
    cdrSequence: position.markedCdrSequence,
    durationSequence: position.markedDurationSequence,
    ruleVersion: RULE_VERSION,
    reconciledThrough: position.markedThrough,
    markedThrough: undefined,
  });
}

function underLease<T>(
  { db, carrierId, readErased }: ReconcileOptions,
  lease: JobLease,
  run: (tx: Tx, carrier: Reconciled) => Promise<T>,
): Promise<T> {
  const work = async (tx: Tx) => {
    await confirmLease(tx, lease, LEASE_S);
    const carrier = await readCarrier(tx, carrierId);
    if (!carrier) throw noCarrier(carrierId);
    return run(tx, reconciled(carrier, await readErased?.(tx, carrierId)));
  };
  return systemTransaction(db, work, OPTIONS);
}
