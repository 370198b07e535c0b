import { FeedId } from "../domain/feed-id.ts";
import { EVIDENCE_DAYS_MS } from "../domain/matching/clocks/clock-offset.ts";
import { FAR_REACH_MS } from "../domain/matching/clocks/far-calls.ts";
import { type MatchedInput, matchToExplain } from "../domain/matching/explain/explain.ts";
import type { CarrierFacts, KnownRounding, MatchingInput } from "../domain/matching/facts.ts";
import { addDays, type Micros, microsFromMs, msFromMicros, utcDay } from "../domain/time/instant.ts";
import type { Tx } from "../store/database/database.ts";
import { advanceFeed, lockFeed } from "../store/feeds/feed-head.ts";
import {
  type CallResultRow,
  clearDueTimes,
  deleteResults,
  readResultsIn,
  readResultsNamed,
  writeResults,
} from "../store/reconciliation/call-results.ts";
import {
  readClockMinutes,
  readClockVotes,
  readRoundedMinutes,
  readRoundingVotes,
  writeClockVotes,
  writeRoundingVotes,
} from "../store/reconciliation/clock-offsets.ts";
import { appendDiscrepancies } from "../store/reconciliation/discrepancy-log.ts";
import { clearMinutes, type MarkedMinutes, markMinutes } from "../store/reconciliation/reconcile-progress.ts";
import { readDaysOf } from "../store/zone-days/zone-days.ts";
import type { Reconciled } from "./carrier.ts";
import { FAR_VOTES_MS, renewEvidence } from "./clock-evidence-turn.ts";
import { edgesOf, matchWhole, NEIGHBOUR_MS } from "./read-whole.ts";
import { findChanges, isTold, type Judged, judge, logChanges, memberNames } from "./result-log.ts";
import { nameText } from "./result-row.ts";
import { findTied } from "./tied.ts";
import { CarrierVotes, type ClockVote, parseClockKey, parseDayKey } from "./votes.ts";
import { isIn, mergeSpans, minuteOf, type Span, TurnRecords, type Window } from "./window.ts";

/** What one turn did. */
export interface TurnOutcome {
  /** Results that it looked at, and those that it wrote. */
  judged: number;
  written: number;
  /** The discrepancy feed's newest entry, when it gained any. */
  headSequence: bigint | undefined;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Marked minutes that are less apart are matched as one run. */
const JOINED_GAP_MS = 5 * MINUTE_MS;
/** As far from a turn's minutes days may lie whose votes on rounding it changes. */
const ROUNDING_REACH_MS = FAR_VOTES_MS + 2 * 3_600_000;
/**
 * As far from the hours whose votes a turn changes lie those whose offsets rest on them; and as far
 * from these again what else they rest on.
 */
const CLOCK_REACH_MS = 2 * EVIDENCE_DAYS_MS;
/**
 * What pairs say of clocks and rounding changes the next trial; what they say does not depend on
 * it, so that few are enough.
 */
const MAX_TRIALS = 4;

/**
 * Works off marked minutes: gathers anew what their records say of the carrier's clock, matches
 * their calls, and writes what that changes: evidence, results, discrepancies, votes, and marks of
 * the round after theirs; all in the caller's transaction, which holds the carrier's lease. What a
 * result depends on is read whole: every record of a component, with its neighbourhood.
 */
export async function reconcileMinutes(
  tx: Tx,
  carrier: Reconciled,
  { minutes, round }: MarkedMinutes,
  now: Micros,
): Promise<TurnOutcome> {
  const { carrierId } = carrier;
  const marked = baseSpans(minutes);
  const records = new TurnRecords(tx, carrier);
  const heard = await renewEvidence(tx, carrierId, { records, base: marked });
  const settled = await settle(tx, carrier, { marked, records, heard, now });
  const { judged, votes, rows, base, stored } = settled;
  const changes = findChanges(judged, rows);
  const isLogged = changes.merged.length > 0 || changes.changed.some(isTold);
  const lock = isLogged ? await lockFeed(tx, carrierId, FeedId.DISCREPANCIES) : undefined;
  const { rows: written, entries } = logChanges(carrierId, changes, lock);
  await deleteResults(tx, carrierId, changes.deleted);
  await writeResults(tx, carrierId, written, lock?.ingestTime ?? now);
  if (lock) {
    await appendDiscrepancies(tx, carrierId, lock, entries);
    await advanceFeed(tx, carrierId, FeedId.DISCREPANCIES, lock.nextSequence + BigInt(entries.length));
  }
  const changedVotes = votes.changes();
  await writeClockVotes(tx, carrierId, changedVotes.clock);
  await writeRoundingVotes(tx, carrierId, changedVotes.rounding);
  await clearDueTimes(tx, carrierId, findOrphans(rows, judged, base, now));
  await clearMinutes(tx, carrierId, minutes);
  // Those that were matched with other votes than these are among what changes.
  const changed = [
    ...(await minutesOfChange(tx, carrierId, stored(), settled.used)).filter((minute) => !isOf(base, minute)),
    ...(await minutesOfChange(tx, carrierId, settled.used, votes)),
    ...crowdEdges(settled).filter((minute) => !isOf(base, minute)),
  ];
  await markMinutes(tx, carrierId, changed, round + 1);
  return {
    judged: judged.length,
    written: written.length,
    headSequence: lock && lock.nextSequence + BigInt(entries.length) - 1n,
  };
}

// Rows that are due and whose records are no longer where they were: retention took them, or
// another minute has them.
function findOrphans(
  rows: ReadonlyMap<string, CallResultRow>,
  judged: readonly Judged[],
  base: readonly Span[],
  now: Micros,
): CallResultRow[] {
  const names = new Set(judged.map(({ name }) => name));
  const isDue = (row: CallResultRow) => row.dueTime !== null && row.dueTime <= now;
  return [...rows.values()].filter(
    (row) => isDue(row) && isIn(base, msFromMicros(row.startTime)) && !names.has(nameText(row)),
  );
}

function baseSpans(minutes: readonly Micros[]): Span[] {
  const spans = minutes.map((minute) => {
    const startMs = msFromMicros(minute);
    return { startMs, endMs: startMs + MINUTE_MS + JOINED_GAP_MS };
  });
  return mergeSpans(spans).map(({ startMs, endMs }) => ({ startMs, endMs: endMs - JOINED_GAP_MS }));
}

interface StoredVotes {
  /** As they are stored, before what the turn's records say. */
  readonly stored: () => CarrierVotes;
  /** With it; anew each time, for a trial to change. */
  readonly known: () => CarrierVotes;
}

async function readVotes(
  tx: Tx,
  carrierId: string,
  base: readonly Span[],
  heard: readonly ClockVote[],
): Promise<StoredVotes> {
  const startMs = Math.min(...base.map((span) => span.startMs));
  const endMs = Math.max(...base.map((span) => span.endMs));
  const hours = heard.map(({ hourMs }) => hourMs);
  const clock = await readClockVotes(tx, carrierId, {
    start: microsFromMs(Math.min(startMs - FAR_REACH_MS, ...hours) - CLOCK_REACH_MS),
    end: microsFromMs(Math.max(endMs + FAR_REACH_MS, ...hours) + CLOCK_REACH_MS),
  });
  const days = {
    first: addDays(utcDay(microsFromMs(startMs - ROUNDING_REACH_MS)), -1),
    last: addDays(utcDay(microsFromMs(endMs + ROUNDING_REACH_MS)), 1),
  };
  const rounding = await readRoundingVotes(tx, carrierId, days);
  const stored = () => new CarrierVotes(clock, rounding);
  const known = () => {
    const votes = stored();
    votes.hear(heard);
    return votes;
  };
  return { stored, known };
}

/**
 * What a run of minutes came to, once offsets and rounding rules agree with the pairs that they
 * make.
 */
interface Settled {
  judged: Judged[];
  votes: CarrierVotes;
  /** With which votes they were matched. */
  used: CarrierVotes;
  rows: Map<string, CallResultRow>;
  window: Window;
  /**
   * The minutes that were matched: the marked ones, and those of records that stored results tie to
   * theirs.
   */
  base: readonly Span[];
  /** Gives the votes as they were. */
  stored: () => CarrierVotes;
}

interface Settling {
  readonly marked: readonly Span[];
  readonly records: TurnRecords;
  /** What the records of the marked minutes change of the votes on clocks. */
  readonly heard: readonly ClockVote[];
  readonly now: Micros;
}

// Which pairs ids join, and what pairs say of rounding, may decide on an offset or a rule that
// others are judged by: matched again until both agree.
async function settle(tx: Tx, carrier: Reconciled, { marked, records, heard, now }: Settling): Promise<Settled> {
  const { carrierId } = carrier;
  let base = marked;
  let { stored, known } = await readVotes(tx, carrierId, base, heard);
  let votes = known();
  const sought = new Set<string>();
  for (let trial = 1; ; trial++) {
    const { kept, window } = await matchWhole(tx, carrier, { base, records, votes, now });
    const starts = kept.map(({ startMs }) => microsFromMs(startMs));
    const judged = judge(kept, await readDaysOf(tx, carrier.timeZone, starts));
    const rows = await readStored(tx, carrierId, window, judged);
    const tied = await findTied(tx, carrierId, { judged, rows, offsets: votes.offsetsInUse(), sought });
    if (tied.some((minute) => !isIn(base, msFromMicros(minute)))) {
      base = mergeSpans([...base, ...baseSpans(tied)]);
      ({ stored, known } = await readVotes(tx, carrierId, base, heard));
      votes = known();
      trial--;
      continue;
    }
    const next = known();
    for (const { name, row } of judged) {
      const before = rows.get(name);
      if (before) next.count(before, -1);
      next.count({ ...row, isMerged: false }, 1);
    }
    if (trial === MAX_TRIALS || agree(votes, next, window.carrier)) {
      return { judged, votes: next, used: votes, rows, window, base, stored };
    }
    votes = next;
  }
}

function agree(used: CarrierVotes, found: CarrierVotes, records: readonly CarrierFacts[]): boolean {
  return records.every(
    (record) =>
      used.offsetsOf(record).join() === found.offsetsOf(record).join() &&
      ruleText(used.roundingOf(record)) === ruleText(found.roundingOf(record)),
  );
}

function ruleText(known: KnownRounding | undefined): string {
  return known ? `${known.rule.incrementS}/${known.rule.minimumS}` : "";
}

/** What the matcher was given for a call to be explained, and what it made of it. */
export interface Gathered {
  readonly input: MatchingInput;
  readonly matched: MatchedInput;
}

/**
 * What the matcher has to be given for the calls around some instants to come out as they do in a
 * turn, by the offsets and rules as they stand.
 */
export async function gatherAround(
  tx: Tx,
  carrier: Reconciled,
  instantsMs: readonly number[],
  now: Micros,
): Promise<Gathered> {
  const base = baseSpans(instantsMs.map(minuteOf));
  const { stored } = await readVotes(tx, carrier.carrierId, base, []);
  const votes = stored();
  const records = new TurnRecords(tx, carrier);
  let last: Gathered | undefined;
  await matchWhole(tx, carrier, { base, records, votes, now }, (input) => {
    last = { input, matched: matchToExplain(input) };
    return [...last.matched.live.results, ...last.matched.voided.results];
  });
  if (last === undefined) throw new Error("a window is matched at least once");
  return last;
}

// Minutes around what was not read of a crowd, next to its records that were none before: those
// beyond may not know yet.
function crowdEdges({ judged, rows, window, used }: Settled): Micros[] {
  return judged.flatMap(({ name, row, result }) => {
    const before = rows.get(name);
    if (result.candidateCount === undefined || (before?.status === row.status && !before.isMerged)) return [];
    return edgesOf(result, window, used).flatMap((ms) => {
      const reach = Math.ceil(NEIGHBOUR_MS / MINUTE_MS);
      return Array.from({ length: 2 * reach + 1 }, (_, index) => minuteOf(ms + (index - reach) * MINUTE_MS));
    });
  });
}

// What is stored under the names of the results and of their carrier's records, wherever it is in
// time.
async function readStored(
  tx: Tx,
  carrierId: string,
  window: Window,
  judged: readonly Judged[],
): Promise<Map<string, CallResultRow>> {
  const ranges = window.spans.map(({ startMs, endMs }) => ({ start: microsFromMs(startMs), end: microsFromMs(endMs) }));
  const near = await readResultsIn(tx, carrierId, ranges);
  const rows = new Map(near.map((row) => [nameText(row), row]));
  const names = [...judged.map(({ row }) => row), ...memberNames(judged)].filter((name) => !rows.has(nameText(name)));
  for (const row of await readResultsNamed(tx, carrierId, names)) rows.set(nameText(row), row);
  return rows;
}

// The minutes of hours and days whose offsets or rule are others after than before. Those without a
// result have nothing that rests on them: what is not judged yet
// is marked.
async function minutesOfChange(
  tx: Tx,
  carrierId: string,
  before: CarrierVotes,
  after: CarrierVotes,
): Promise<Micros[]> {
  const was = before.decisions();
  const is = after.decisions();
  const hours = changedKeys(was.offsets, is.offsets).flatMap((key) => {
    const { trunkId, hourMs } = parseClockKey(key);
    const offsets = [was.offsets, is.offsets].flatMap((each) => (each.get(key) ?? "0").split("/").map(Number));
    return [...new Set([0, ...offsets])].map((offset) => {
      const startMs = hourMs - offset;
      const calls = { start: microsFromMs(startMs - MINUTE_MS), end: microsFromMs(startMs + HOUR_MS + MINUTE_MS) };
      return { trunkId, hour: microsFromMs(hourMs), calls };
    });
  });
  const minutes = new Set(await readClockMinutes(tx, carrierId, hours));
  for (const key of changedKeys(was.rules, is.rules)) {
    for (const minute of await readRoundedMinutes(tx, carrierId, parseDayKey(key))) minutes.add(minute);
  }
  return [...minutes];
}

function isOf(base: readonly Span[], minute: Micros): boolean {
  return isIn(base, msFromMicros(minute));
}

// What is absent is as good as none.
function changedKeys(was: ReadonlyMap<string, string>, is: ReadonlyMap<string, string>): string[] {
  const keys = new Set([...was.keys(), ...is.keys()]);
  return [...keys].filter((key) => (was.get(key) || "0") !== (is.get(key) || "0"));
}
