import { noCarrier } from "../domain/errors.ts";
import { FeedId } from "../domain/feed-id.ts";
import { RULE_VERSION } from "../domain/matching/result.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import type { Micros } from "../domain/time/instant.ts";
import { readCarrier } from "../store/carriers/carriers.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { type JobLease, withLease } from "../store/database/job-lease.ts";
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
import { RECONCILE_JOB, TURN_LEASE_S, TurnLeases, ZoneTaken } from "../store/reconciliation/turn-leases.ts";
import { keepSums } from "../store/usage/sum-upkeep.ts";
import { type Reconciled, reconciled } from "./carrier.ts";
import { markArrivals } from "./mark-arrivals.ts";
import { reconcileMinutes, type TurnOutcome } from "./reconcile-minutes.ts";
import { spansOfMinutes } from "./settle-turn.ts";
import { type Claim, rangesNear, zonesAround, zonesOf } from "./zones.ts";

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
  /** How far the first turn reaches, minutes. Default: an hour. */
  readonly reachMinutes?: number | undefined;
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
  /** How far the next slice's first turn should reach, minutes. */
  readonly reachMinutes: number;
}

/** Marked minutes of a turn are at most so far from its first one: at the start, and at most. */
const FIRST_REACH_MINUTES = 60;
const MOST_REACH_MINUTES = 7 * 1_440;
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
 * transaction under the carrier's lease. A stopped run is continued by the next. While another
 * process has the carrier, it matches marked minutes far from those that others match.
 * @returns how many results were judged; undefined: another process has the carrier, and there was
 *   nothing to help it with.
 */
export async function reconcileCarrier(options: ReconcileOptions): Promise<number | undefined> {
  return (await reconcileSlice(options, WITHOUT_LIMIT))?.judged;
}

/** As reconcileCarrier, up to a limit, so that no carrier keeps another waiting. */
export async function reconcileSlice(options: ReconcileOptions, limit: WorkLimit): Promise<Slice | undefined> {
  const { db, carrierId, holder, signal, reachMinutes = FIRST_REACH_MINUTES } = options;
  const begin = performance.now();
  const work: Work = { steps: 0, judged: 0, reachMinutes };
  const mayGoOn = () => !signal.aborted && work.steps < limit.steps && performance.now() - begin < limit.ms;
  const request = { carrierId, job: RECONCILE_JOB, holder, ttlS: TURN_LEASE_S };
  const led = await withLease(db, request, (lead) =>
    withZones(options, lead, async (leases) => {
      const isMatched = await workThrough(options, leases, work, mayGoOn);
      const isSummed = await keepAllSums(options, leases, work, mayGoOn);
      return { judged: work.judged, isDone: isMatched && isSummed, reachMinutes: work.reachMinutes };
    }),
  );
  if (led !== undefined || signal.aborted) return led;
  return withZones(options, undefined, async (leases) => {
    const ended = await matchMarked(options, leases, work, mayGoOn);
    if (work.steps === 0) return undefined;
    return { judged: work.judged, isDone: ended !== "stopped", reachMinutes: work.reachMinutes };
  });
}

async function withZones<T>(
  { db, carrierId, holder }: ReconcileOptions,
  lead: JobLease | undefined,
  run: (leases: TurnLeases) => Promise<T>,
): Promise<T> {
  const leases = new TurnLeases(carrierId, holder, lead);
  try {
    return await run(leases);
  } finally {
    await leases.release(db);
  }
}

// Records that arrive meanwhile wait for the next run, so the position moves on. An interrupted run
// finishes its marks before it makes new ones. So does one whose last minutes others are matching.
async function workThrough(
  options: ReconcileOptions,
  leases: TurnLeases,
  work: Work,
  mayGoOn: () => boolean,
): Promise<boolean> {
  let hasMore = true;
  while (hasMore && mayGoOn()) {
    const now = options.now ?? (await waitForWriters(options));
    const step = await underLeases(options, leases, (tx, carrier) =>
      markWhatIsNew(tx, carrier, now, mostRounds(options)),
    );
    work.steps++;
    hasMore = step.hasMore;
    if (!step.isRead) continue;
    const ended = await matchMarked(options, leases, work, mayGoOn);
    if (ended === "waits") return !options.signal.aborted;
    if (ended === "stopped") return false;
    await underLeases(options, leases, (tx) => settle(tx, options.carrierId));
  }
  return !hasMore && !options.signal.aborted;
}

// At least one step, however long matching took.
async function keepAllSums(
  options: ReconcileOptions,
  leases: TurnLeases,
  work: Work,
  mayGoOn: () => boolean,
): Promise<boolean> {
  do {
    if (options.signal.aborted) return false;
    if (!(await underLeases(options, leases, (tx) => keepSums(tx, options.carrierId)))) return true;
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
  reachMinutes: number;
}

/** Why matching ended: no minute is marked, others have those that are, or the limit. */
type Ended = "done" | "waits" | "stopped";

async function matchMarked(
  options: ReconcileOptions,
  leases: TurnLeases,
  work: Work,
  mayGoOn: () => boolean,
): Promise<Ended> {
  // At least one turn: the smallest limit makes progress.
  let isLimit = false;
  while (!isLimit) {
    if (options.signal.aborted) return "stopped";
    const { reachMinutes } = work;
    const outcome = await stepOf(options, leases, reachMinutes);
    if (outcome === "done" || outcome === "waits") return outcome;
    if (outcome === "moved") continue;
    work.steps++;
    work.judged += outcome.judged;
    if (outcome.headSequence !== undefined)
      options.onAppended?.(options.carrierId, FeedId.DISCREPANCIES, outcome.headSequence);
    if (outcome.judged > MANY_RESULTS) work.reachMinutes = Math.max(1, reachMinutes >> 1);
    else if (outcome.judged < MANY_RESULTS / 4) work.reachMinutes = Math.min(MOST_REACH_MINUTES, reachMinutes * 2);
    isLimit = !mayGoOn();
  }
  return "stopped";
}

type Step = TurnOutcome | "done" | "waits" | "moved";

async function stepOf(options: ReconcileOptions, leases: TurnLeases, spanMinutes: number): Promise<Step> {
  try {
    return await underLeases(options, leases, (tx, carrier) =>
      takeTurn(tx, carrier, leases, { ...options, spanMinutes }),
    );
  } catch (error) {
    if (error instanceof ZoneTaken) return "waits";
    throw error;
  }
}

interface Marked {
  /** Whether both feeds were read to their ends, so that calls can be matched. */
  isRead: boolean;
  hasMore: boolean;
}

async function markWhatIsNew(tx: Tx, carrier: Reconciled, now: Micros, most: number): Promise<Marked> {
  const { carrierId } = carrier;
  const stored = await readReconcilePosition(tx, carrierId);
  if (stored?.markedThrough !== undefined) {
    if (await isAnyMinuteMarked(tx, carrierId, most)) return { isRead: true, hasMore: true };
    // From here on nobody may match before all is marked.
    await settle(tx, carrierId);
  }
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

// Moves to the zones of the first marked minutes that no other worker is near, or matches them.
async function takeTurn(
  tx: Tx,
  carrier: Reconciled,
  leases: TurnLeases,
  options: ReconcileOptions & { readonly spanMinutes: number },
): Promise<Step> {
  const { carrierId } = carrier;
  const most = mostRounds(options);
  const except = rangesNear(await leases.readOthers(tx));
  const markedBy = leases.isLead ? undefined : RULE_VERSION;
  const marked = await readMarkedMinutes(tx, carrierId, {
    spanMinutes: options.spanMinutes,
    mostRounds: most,
    except,
    markedBy,
  });
  if (!marked) return except.length > 0 && (await isAnyMinuteMarked(tx, carrierId, most)) ? "waits" : "done";
  const zones = zonesAround(spansOfMinutes(marked.minutes));
  if (!leases.has(zones)) {
    await leases.moveTo(tx, zones);
    return "moved";
  }
  const claim: Claim = (spans) => leases.addTo(tx, zonesOf(spans));
  return reconcileMinutes(tx, carrier, marked, { now: options.now ?? (await readClock(tx)), claim });
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

function underLeases<T>(
  { db, carrierId, readErased }: ReconcileOptions,
  leases: TurnLeases,
  run: (tx: Tx, carrier: Reconciled) => Promise<T>,
): Promise<T> {
  const work = async (tx: Tx) => {
    if (!(await leases.confirm(tx))) throw new ZoneTaken("the carrier is kept from being reconciled");
    const carrier = await readCarrier(tx, carrierId);
    if (!carrier) throw noCarrier(carrierId);
    return run(tx, reconciled(carrier, await readErased?.(tx, carrierId)));
  };
  return systemTransaction(db, work, OPTIONS);
}
