import { TandemError } from "../domain/errors.ts";
import { FeedId } from "../domain/feed-id.ts";
import { RULE_VERSION } from "../domain/matching/result.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import type { Micros } from "../domain/time/instant.ts";
import { readCarrier } from "../store/carriers/carriers.ts";
import { type Database, readClock, systemTransaction, type Tx } from "../store/database/database.ts";
import { confirmLease, type JobLease, releaseLease, takeLease } from "../store/database/job-lease.ts";
import { raiseIngestTime } from "../store/feeds/feed-head.ts";
import {
  isAnyMinuteMarked,
  MOST_ROUNDS,
  markDueMinutes,
  readMarkedMinutes,
  readReconcilePosition,
  writeReconcilePosition,
} from "../store/reconciliation/reconcile-progress.ts";
import { markArrivals } from "./arrivals.ts";
import { type Reconciled, reconciled } from "./carrier.ts";
import { reconcileMinutes, type TurnOutcome } from "./reconcile-minutes.ts";

export interface ReconcileOptions {
  readonly db: Database;
  readonly carrierId: string;
  /** Names this process in the lease. */
  readonly holder: string;
  readonly signal: AbortSignal;
  /** What is erased at the carrier. */
  readonly readErased?: ((tx: Tx, carrierId: string) => Promise<readonly ErasureScope[]>) | undefined;
  /** Instead of the database's clock: for records of another time, in tests and benchmarks. */
  readonly now?: Micros;
  /** Told after a commit that added entries to the discrepancy feed. */
  readonly onAppended?: (carrierId: string, feed: FeedId, headSequence: bigint) => void;
  /**
   * How often marks may follow from each other before they are set aside; MOST_ROUNDS when absent.
   */
  readonly mostRounds?: number;
}

/** How much of a carrier's work is done at a time. */
export interface WorkLimit {
  /** Transactions. */
  readonly steps: number;
  /** After so long no further one begins, milliseconds. */
  readonly ms: number;
}

/** What was done of a carrier's work. */
export interface Slice {
  /** Results that were judged. */
  readonly judged: number;
  /** Whether all is done that there was to do when it began. */
  readonly isDone: boolean;
}

const JOB = "reconcile";
const LEASE_S = 60;
/** Minutes that one turn takes, at most; fewer where they hold many calls. */
const MOST_MINUTES = 60;
/** A turn of more results than this takes half the minutes next time. */
const MANY_RESULTS = 20_000;
const MOST_DUE = 20_000;
const WITHOUT_LIMIT: WorkLimit = { steps: Number.POSITIVE_INFINITY, ms: Number.POSITIVE_INFINITY };
const STATEMENT_TIMEOUT_MS = 60_000;
const OPTIONS = {
  statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  // It matches between its statements, and a busy machine takes its time.
  idleTimeoutMs: STATEMENT_TIMEOUT_MS,
  byIndexOnly: true,
} as const;

/**
 * Reconciles what a carrier has by now: marks what its new records touch and what time alone
 * changes, and matches that anew, each step in a transaction of its own under the carrier's lease.
 * Stopped anywhere, it goes on from there.
 * @returns how many results were judged; undefined when another process has the carrier.
 */
export async function reconcileCarrier(options: ReconcileOptions): Promise<number | undefined> {
  return (await reconcileSlice(options, WITHOUT_LIMIT))?.judged;
}

/**
 * The same, as far as a limit of work goes: so nothing that one carrier sends keeps another
 * waiting.
 */
export async function reconcileSlice(options: ReconcileOptions, limit: WorkLimit): Promise<Slice | undefined> {
  const { db, carrierId, holder } = options;
  const lease = await systemTransaction(db, (tx) => takeLease(tx, { carrierId, job: JOB, holder, ttlS: LEASE_S }));
  if (!lease) return undefined;
  try {
    return await workThrough(options, lease, limit);
  } finally {
    await systemTransaction(db, (tx) => releaseLease(tx, lease));
  }
}

// What comes while marked minutes are matched is the next run's: a carrier whose records never
// cease to come keeps no other waiting, and its position moves. A run that is stopped in between is
// gone on with before anything is marked anew.
async function workThrough(options: ReconcileOptions, lease: JobLease, limit: WorkLimit): Promise<Slice> {
  const { signal } = options;
  const begin = performance.now();
  const work: Work = { steps: 0, judged: 0, spanMinutes: MOST_MINUTES };
  const mayGoOn = () => !signal.aborted && work.steps < limit.steps && performance.now() - begin < limit.ms;
  let hasMore = true;
  while (hasMore && mayGoOn()) {
    const now = options.now ?? (await waitForWriters(options));
    const step = await underLease(options, lease, (tx, carrier) =>
      markWhatIsNew(tx, carrier, now, mostRounds(options)),
    );
    work.steps++;
    hasMore = step.hasMore;
    if (!step.isRead) continue;
    if (!(await matchMarked(options, lease, work, mayGoOn))) return { judged: work.judged, isDone: false };
    await underLease(options, lease, (tx) => settle(tx, options.carrierId));
  }
  return { judged: work.judged, isDone: !hasMore && !signal.aborted };
}

function mostRounds(options: ReconcileOptions): number {
  return options.mostRounds ?? MOST_ROUNDS;
}

interface Work {
  steps: number;
  judged: number;
  spanMinutes: number;
}

/** Matches until no minute is marked; false when it was stopped before. */
async function matchMarked(
  options: ReconcileOptions,
  lease: JobLease,
  work: Work,
  mayGoOn: () => boolean,
): Promise<boolean> {
  // Once at least: a limit, however small, is one within which the work moves.
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
    else if (outcome.judged < MANY_RESULTS / 4) work.spanMinutes = Math.min(MOST_MINUTES, spanMinutes * 2);
  } while (mayGoOn());
  return false;
}

interface Marked {
  /** Whether the feeds were read to their ends: as they are then, the calls can be matched. */
  isRead: boolean;
  /** Whether there is more to mark: further records, or calls that are due. */
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

// Whoever reads the feeds' ends after this sees every record that has an ingest time before it: the
// writers in flight have ended, and later ones get later times. By itself, so that no writer waits
// for the marking.
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

// All that was marked is worked off.
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
    if (!carrier) throw new TandemError("CARRIER_NOT_FOUND", `no carrier ${carrierId}`, { carrier_id: carrierId });
    return run(tx, reconciled(carrier, await readErased?.(tx, carrierId)));
  };
  return systemTransaction(db, work, OPTIONS);
}
