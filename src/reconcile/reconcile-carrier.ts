import type { ErasureScope } from "../domain/erasure.ts";
import { TandemError } from "../domain/errors.ts";
import type { Micros } from "../domain/instant.ts";
import { RULE_VERSION } from "../domain/matching/result.ts";
import { readCarrier } from "../store/carriers.ts";
import { type Database, readClock, systemTransaction, type Tx } from "../store/database.ts";
import { raiseIngestTime } from "../store/feed-head.ts";
import { confirmLease, type JobLease, releaseLease, takeLease } from "../store/job-lease.ts";
import {
  markDueMinutes,
  readMarkedMinutes,
  readReconcilePosition,
  writeReconcilePosition,
} from "../store/reconcile-progress.ts";
import { Feed } from "../store/schema.ts";
import { markArrivals } from "./arrivals.ts";
import { type Reconciled, reconciled } from "./carrier.ts";
import { reconcileMinutes, type TurnOutcome } from "./turn.ts";

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
  readonly onAppended?: (carrierId: string, feed: Feed, headSequence: bigint) => void;
}

const JOB = "reconcile";
const LEASE_S = 60;
/** Minutes that one turn takes, at most; fewer where they hold many calls. */
const MOST_MINUTES = 60;
/** A turn of more results than this takes half the minutes next time. */
const MANY_RESULTS = 20_000;
const MOST_DUE = 20_000;
/** So often a run matches a minute again because its offsets or rounding rules did not come to agree with its pairs. */
const MOST_REPEATS = 3;
const STATEMENT_TIMEOUT_MS = 60_000;
const OPTIONS = {
  statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  // It matches between its statements, and a busy machine takes its time.
  idleTimeoutMs: STATEMENT_TIMEOUT_MS,
  byIndexOnly: true,
} as const;

/**
 * Reconciles what a carrier has by now: marks what its new records touch and what time alone changes, and matches that anew, each step in a transaction
 * of its own under the carrier's lease. Stopped anywhere, it goes on from there.
 * @returns how many results were judged; undefined when another process has the carrier.
 */
export async function reconcileCarrier(options: ReconcileOptions): Promise<number | undefined> {
  const { db, carrierId, holder } = options;
  const lease = await systemTransaction(db, (tx) => takeLease(tx, { carrierId, job: JOB, holder, ttlS: LEASE_S }));
  if (!lease) return undefined;
  try {
    return await reconcileAll(options, lease);
  } finally {
    await systemTransaction(db, (tx) => releaseLease(tx, lease));
  }
}

// What comes while marked minutes are matched is the next run's: a carrier whose records never cease to come keeps no other waiting, and its position moves.
async function reconcileAll(options: ReconcileOptions, lease: JobLease): Promise<number> {
  const { carrierId, signal } = options;
  let judged = 0;
  let hasMore = true;
  while (hasMore && !signal.aborted) {
    const now = options.now ?? (await waitForWriters(options));
    const step = await underLease(options, lease, (tx, carrier) => markWhatIsNew(tx, carrier, now));
    hasMore = step.hasMore;
    if (step.isRead) judged += await matchMarked(options, lease);
    if (step.isRead && !signal.aborted) await underLease(options, lease, (tx) => settleAt(tx, carrierId, now));
  }
  return judged;
}

/** Matches until no minute is marked. */
async function matchMarked(options: ReconcileOptions, lease: JobLease): Promise<number> {
  const { carrierId, signal } = options;
  let judged = 0;
  let spanMinutes = MOST_MINUTES;
  const repeats = new Map<Micros, number>();
  const mayRepeat = (minute: Micros) => (repeats.get(minute) ?? 0) < MOST_REPEATS;
  while (!signal.aborted) {
    const outcome = await underLease(options, lease, (tx, carrier) =>
      takeTurn(tx, carrier, { spanMinutes, now: options.now, mayRepeat }),
    );
    if (!outcome) break;
    judged += outcome.judged;
    for (const minute of outcome.repeated) repeats.set(minute, (repeats.get(minute) ?? 0) + 1);
    if (outcome.headSequence !== undefined) options.onAppended?.(carrierId, Feed.DISCREPANCIES, outcome.headSequence);
    if (outcome.judged > MANY_RESULTS) spanMinutes = Math.max(1, spanMinutes >> 1);
    else if (outcome.judged < MANY_RESULTS / 4) spanMinutes = Math.min(MOST_MINUTES, spanMinutes * 2);
  }
  return judged;
}

interface Marked {
  /** Whether the feeds were read to their ends: as they are then, the calls can be matched. */
  isRead: boolean;
  /** Whether there is more to mark: further records, or calls that are due. */
  hasMore: boolean;
}

async function markWhatIsNew(tx: Tx, carrier: Reconciled, now: Micros): Promise<Marked> {
  if (await markArrivals(tx, carrier)) return { isRead: false, hasMore: true };
  const due = await markDueMinutes(tx, carrier.carrierId, now, MOST_DUE);
  return { isRead: true, hasMore: due === MOST_DUE };
}

// Whoever reads the feeds' ends after this sees every record that has an ingest time before it: the writers in flight have ended, and later ones get
// later times. By itself, so that no writer waits for the marking.
function waitForWriters({ db, carrierId }: ReconcileOptions): Promise<Micros> {
  return systemTransaction(db, async (tx) => {
    const now = await readClock(tx);
    await raiseIngestTime(tx, carrierId, Feed.CDRS, now);
    await raiseIngestTime(tx, carrierId, Feed.DURATIONS, now);
    return now;
  });
}

async function takeTurn(
  tx: Tx,
  carrier: Reconciled,
  {
    spanMinutes,
    now,
    mayRepeat,
  }: { spanMinutes: number; now: Micros | undefined; mayRepeat: (minute: Micros) => boolean },
): Promise<TurnOutcome | undefined> {
  const minutes = await readMarkedMinutes(tx, carrier.carrierId, spanMinutes);
  if (minutes.length === 0) return undefined;
  return reconcileMinutes(tx, carrier, minutes, { now: now ?? (await readClock(tx)), mayRepeat });
}

async function settleAt(tx: Tx, carrierId: string, now: Micros): Promise<void> {
  const position = await readReconcilePosition(tx, carrierId);
  if (!position) return;
  await writeReconcilePosition(tx, carrierId, {
    ...position,
    cdrSequence: position.markedCdrSequence,
    durationSequence: position.markedDurationSequence,
    ruleVersion: RULE_VERSION,
    reconciledThrough: now,
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
