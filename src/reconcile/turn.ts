import { addDays, type Micros, microsFromMs, msFromMicros, utcDay } from "../domain/instant.ts";
import { MAX_COMPONENT } from "../domain/matching/components.ts";
import { type MatchedInput, matchToExplain } from "../domain/matching/explain.ts";
import type { CarrierFacts, ClockOffset, KnownRounding, MatchingInput } from "../domain/matching/facts.ts";
import { matchCalls } from "../domain/matching/match-calls.ts";
import type { CallResult } from "../domain/matching/result.ts";
import {
  type CallResultRow,
  clearDueTimes,
  deleteResults,
  readResultsIn,
  readResultsNamed,
  writeResults,
} from "../store/call-results.ts";
import {
  readClockVotes,
  readRoundedMinutes,
  readRoundingVotes,
  writeClockVotes,
  writeRoundingVotes,
} from "../store/clock-offsets.ts";
import type { Tx } from "../store/database.ts";
import { appendDiscrepancies } from "../store/discrepancy-log.ts";
import { advanceFeed, lockFeed } from "../store/feed-head.ts";
import { clearMinutes, markMinutes } from "../store/reconcile-progress.ts";
import { Feed } from "../store/schema.ts";
import type { Reconciled } from "./carrier.ts";
import { FarOpinions, farPairs, farSpans, findFarVotes, findTied } from "./far-off.ts";
import { findChanges, isTold, type Judged, judge, logChanges, memberNames } from "./result-log.ts";
import { nameText } from "./result-row.ts";
import { CarrierVotes, parseClockKey, parseDayKey } from "./votes.ts";
import {
  correctedStartMs,
  isIn,
  isWellIn,
  mergeSpans,
  minuteOf,
  type Span,
  TurnRecords,
  type Window,
} from "./window.ts";

/** What one turn did. */
export interface TurnOutcome {
  /** Results that it looked at, and those that it wrote. */
  judged: number;
  written: number;
  /** The discrepancy feed's newest entry, when it gained any. */
  headSequence: bigint | undefined;
  /** Minutes of its own that it marked again: what its pairs say of offsets and rounding rules is still not what they were matched with. */
  repeated: Micros[];
}

export interface TurnOptions {
  now: Micros;
  /** Whether a minute may be marked again by the turn that matched it. */
  mayRepeat: (minute: Micros) => boolean;
}

const MINUTE_MS = 60_000;
/** Marked minutes that are less apart are matched as one run. */
const JOINED_GAP_MS = 5 * MINUTE_MS;
/** How far from a marked minute a call may begin that is judged again with it. */
const REACH_MS = 2 * MINUTE_MS;
/** How far around a record its rivals may begin: the window, a clock's resolution and a duplicate's distance. */
const NEIGHBOUR_MS = 125_000;
/** How much is read around a record that is far from them. */
const NEARBY_MS = NEIGHBOUR_MS + 5_000;
/** How much is read around marked minutes, so that most components are whole at once. */
const MARGIN_MS = REACH_MS + NEIGHBOUR_MS + MINUTE_MS;
/** A pair's starts are up to 24 hours apart, and an hour's offset reaches its neighbours. */
const VOTES_REACH_MS = 27 * 3_600_000;
// Too few pairs to judge by count as none: what they will say once there are more changes nothing that is shown, unless it is an offset.
const NO_OFFSET: ClockOffset = { offsetMs: 0, kind: "NONE", pairCount: 0, ratio: 0 };
/** A window grows by a neighbourhood at a time at first, and then by twice as much each time: to the end of any component that is to be assigned. */
const MAX_READS = 16;
const SLOW_READS = 4;
const MAX_TRIALS = 4;

/**
 * Matches the calls of marked minutes anew and writes what that changes: results, discrepancies, votes; all in the caller's transaction, which holds the
 * carrier's lease. What a result depends on is read whole: every record of a component, with its neighbourhood.
 */
export async function reconcileMinutes(
  tx: Tx,
  carrier: Reconciled,
  minutes: readonly Micros[],
  { now, mayRepeat }: TurnOptions,
): Promise<TurnOutcome> {
  const { carrierId } = carrier;
  const settled = await settle(tx, carrier, baseSpans(minutes), now);
  const { judged, votes, rows, base, stored } = settled;
  const changes = findChanges(judged, rows);
  const isLogged = changes.merged.length > 0 || changes.changed.some(isTold);
  const lock = isLogged ? await lockFeed(tx, carrierId, Feed.DISCREPANCIES) : undefined;
  const { rows: written, entries } = logChanges(carrierId, changes, lock, carrier.days);
  await deleteResults(tx, carrierId, changes.deleted);
  await writeResults(tx, carrierId, written, lock?.ingestTime ?? now);
  if (lock) {
    await appendDiscrepancies(tx, carrierId, lock, entries);
    await advanceFeed(tx, carrierId, Feed.DISCREPANCIES, lock.nextSequence + BigInt(entries.length));
  }
  const changedVotes = votes.changes();
  await writeClockVotes(tx, carrierId, changedVotes.clock);
  await writeRoundingVotes(tx, carrierId, changedVotes.rounding);
  await clearDueTimes(tx, carrierId, findOrphans(rows, judged, base, now));
  await clearMinutes(tx, carrierId, minutes);
  await markWhatVotesChange(tx, carrierId, { before: stored(), after: votes }, (minute) => !isOf(base, minute));
  const repeated = await markWhatVotesChange(
    tx,
    carrierId,
    { before: settled.used, after: votes },
    (minute) => isOf(base, minute) && mayRepeat(minute),
  );
  await markMinutes(
    tx,
    carrierId,
    crowdEdges(settled).filter((minute) => !isOf(base, minute)),
  );
  return {
    repeated,
    judged: judged.length,
    written: written.length,
    headSequence: lock && lock.nextSequence + BigInt(entries.length) - 1n,
  };
}

// Rows that are due and whose records are no longer where they were: retention took them, or another minute has them.
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

// Gives the stored votes anew each time, for a trial to change.
async function readVotes(tx: Tx, carrierId: string, base: readonly Span[]): Promise<() => CarrierVotes> {
  const startMs = Math.min(...base.map((span) => span.startMs)) - VOTES_REACH_MS;
  const endMs = Math.max(...base.map((span) => span.endMs)) + VOTES_REACH_MS;
  const range = { start: microsFromMs(startMs), end: microsFromMs(endMs) };
  const clock = await readClockVotes(tx, carrierId, range);
  const days = { first: addDays(utcDay(range.start), -1), last: addDays(utcDay(range.end), 1) };
  const rounding = await readRoundingVotes(tx, carrierId, days);
  return () => new CarrierVotes(clock, rounding);
}

/** What a run of minutes came to, once offsets and rounding rules agree with the pairs that they make. */
interface Settled {
  judged: Judged[];
  votes: CarrierVotes;
  /** With which votes they were matched. */
  used: CarrierVotes;
  rows: Map<string, CallResultRow>;
  window: Window;
  /** The minutes that were matched: the marked ones, and those of records that stored results tie to theirs. */
  base: readonly Span[];
  /** Gives the votes as they were. */
  stored: () => CarrierVotes;
}

// The offsets decide which records pair, and the pairs decide the offsets: matched again until both agree.
async function settle(tx: Tx, carrier: Reconciled, marked: readonly Span[], now: Micros): Promise<Settled> {
  const { carrierId } = carrier;
  const records = new TurnRecords(tx, carrier);
  let base = marked;
  let stored = await readVotes(tx, carrierId, base);
  let votes = stored();
  const sought = new Set<string>();
  // Records that an offset moves away from here say so no more in the next trial: what they said once stays.
  const far = new FarOpinions();
  for (let trial = 1; ; trial++) {
    const { kept, window } = await matchWhole(tx, carrier, { base, records, votes, now });
    const judged = judge(kept, carrier.days);
    const rows = await readStored(tx, carrierId, window, judged);
    const tied = await findTied(tx, carrierId, { judged, rows, offsets: votes.offsetsInUse(), sought });
    if (tied.some((minute) => !isIn(base, msFromMicros(minute)))) {
      base = mergeSpans([...base, ...baseSpans(tied)]);
      stored = await readVotes(tx, carrierId, base);
      votes = stored();
      trial--;
      continue;
    }
    const next = stored();
    for (const { name, row } of judged) {
      const before = rows.get(name);
      if (before) next.count(before, -1);
      next.count({ ...row, isMerged: false }, 1);
    }
    far.hear([...(await findFarVotes(tx, carrierId, kept)), ...farPairs(judged)]);
    far.tell(next);
    if (trial === MAX_TRIALS || agree(votes, next, window.carrier)) {
      return { judged, votes: next, used: votes, rows, window, base, stored };
    }
    votes = next;
  }
}

function agree(used: CarrierVotes, found: CarrierVotes, records: readonly CarrierFacts[]): boolean {
  return records.every(
    (record) =>
      (used.offsetOf(record)?.offsetMs ?? 0) === (found.offsetOf(record)?.offsetMs ?? 0) &&
      ruleText(used.roundingOf(record)) === ruleText(found.roundingOf(record)),
  );
}

function ruleText(known: KnownRounding | undefined): string {
  return known ? `${known.rule.incrementS}/${known.rule.minimumS}` : "";
}

// Reads more until every component that the marked minutes touch is whole, or is known to be too large to assign.
async function matchWhole(
  tx: Tx,
  carrier: Reconciled,
  { base, records, votes, now }: { base: readonly Span[]; records: TurnRecords; votes: CarrierVotes; now: Micros },
  match: (input: MatchingInput) => readonly CallResult[] = matchCalls,
): Promise<{ kept: CallResult[]; window: Window }> {
  let spans = mergeSpans(
    base.map(({ startMs, endMs }) => ({ startMs: startMs - MARGIN_MS, endMs: endMs + MARGIN_MS })),
  );
  const sought = new Set<string>();
  for (let reads = 1; ; reads++) {
    const window = await records.read(spans, votes);
    const results = match(inputOf(carrier, window, votes, now));
    const kept = results.filter((result) => touches(base, result));
    const marginMs = NEARBY_MS * 2 ** Math.max(0, reads - SLOW_READS);
    const far = await farSpans(tx, carrier.carrierId, kept, { sought, votes, marginMs: NEARBY_MS });
    const more = [...gaps(kept, window, votes, marginMs), ...far];
    const wider = mergeSpans([...spans, ...more]);
    if (reads === MAX_READS || JSON.stringify(wider) === JSON.stringify(spans)) return { kept, window };
    spans = wider;
  }
}

function inputOf(carrier: Reconciled, window: Window, votes: CarrierVotes, now: Micros): MatchingInput {
  return {
    platform: window.platform,
    carrier: window.carrier,
    agreement: carrier.agreement,
    offsetOf: (record) => votes.offsetOf(record) ?? NO_OFFSET,
    roundingOf: (record) => votes.roundingOf(record),
    nowMs: msFromMicros(now),
  };
}

/** What the matcher was given for a call to be explained, and what it made of it. */
export interface Gathered {
  readonly input: MatchingInput;
  readonly matched: MatchedInput;
}

/**
 * What the matcher has to be given for the calls around an instant to come out as they do in a
 * turn, by the offsets and rules as they stand.
 * @param byCarrier whether the instant is by the carrier's clock: the call is where an offset of
 * that hour puts it.
 * @param alsoMs where else records of the call begin, as it is stored.
 */
export async function gatherAround(
  tx: Tx,
  carrier: Reconciled,
  { aroundMs, byCarrier, alsoMs }: { aroundMs: number; byCarrier: boolean; alsoMs: readonly number[] },
  now: Micros,
): Promise<Gathered> {
  const votes = (await readVotes(tx, carrier.carrierId, baseSpans([minuteOf(aroundMs)])))();
  const corrected = (ms: number) => [0, ...votes.offsetsOfHour(ms)].map((offset) => ms - offset);
  const starts = [...(byCarrier ? corrected(aroundMs) : [aroundMs]), ...alsoMs.flatMap(corrected)];
  const base = baseSpans([...new Set(starts.map(minuteOf))]);
  const records = new TurnRecords(tx, carrier);
  let last: Gathered | undefined;
  await matchWhole(tx, carrier, { base, records, votes, now }, (input) => {
    last = { input, matched: matchToExplain(input) };
    return [...last.matched.live.results, ...last.matched.voided.results];
  });
  if (last === undefined) throw new Error("a window is matched at least once");
  return last;
}

function touches(base: readonly Span[], { span }: CallResult): boolean {
  return base.some(({ startMs, endMs }) => span.lastMs >= startMs - REACH_MS && span.firstMs < endMs + REACH_MS);
}

// What is to be read around kept records whose neighbourhoods were not.
function gaps(kept: readonly CallResult[], window: Window, votes: CarrierVotes, marginMs: number): Span[] {
  const isLarge = largeCrowds(kept, window, votes);
  return kept.flatMap((result) =>
    isLarge(result)
      ? []
      : edgesOf(result, window, votes).map((ms) => ({ startMs: ms - marginMs, endMs: ms + marginMs })),
  );
}

// Where records of a result begin whose neighbourhoods were not read.
function edgesOf({ platform, carrier, startMs }: CallResult, window: Window, votes: CarrierVotes): number[] {
  const starts = carrier.map((record) => correctedStartMs(record, votes));
  return (platform ? [startMs, ...starts] : starts).filter((ms) => !isWellIn(window.spans, ms, NEIGHBOUR_MS));
}

// Whether so many of a result's crowd were read with their neighbourhoods that no further record can make it one to be assigned.
function largeCrowds(
  kept: readonly CallResult[],
  window: Window,
  votes: CarrierVotes,
): (result: CallResult) => boolean {
  const crowdOf = ({ span }: CallResult) => `${span.firstMs}/${span.lastMs}`;
  const crowded = kept.filter((result) => result.candidateCount !== undefined);
  const counts = new Map<string, number>();
  for (const result of crowded) {
    if (edgesOf(result, window, votes).length > 0) continue;
    counts.set(crowdOf(result), (counts.get(crowdOf(result)) ?? 0) + 1);
  }
  return (result) => result.candidateCount !== undefined && (counts.get(crowdOf(result)) ?? 0) > MAX_COMPONENT;
}

// Minutes around what was not read of a crowd, next to its records that were none before: those beyond may not know yet.
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

// What is stored under the names of the results and of their carrier's records, wherever it is in time.
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

// Marks the minutes of hours and days whose offset or rule is another after than before, as far as they are wanted.
async function markWhatVotesChange(
  tx: Tx,
  carrierId: string,
  { before, after }: { before: CarrierVotes; after: CarrierVotes },
  isWanted: (minute: Micros) => boolean,
): Promise<Micros[]> {
  const was = before.decisions();
  const is = after.decisions();
  const minutes = new Set<Micros>();
  for (const key of changedKeys(was.offsets, is.offsets)) {
    for (const offsets of [was.offsets, is.offsets]) {
      const startMs = parseClockKey(key).hourMs - Number(offsets.get(key) ?? 0);
      for (let minute = 0; minute < 60; minute++) minutes.add(minuteOf(startMs + minute * MINUTE_MS));
    }
  }
  for (const key of changedKeys(was.rules, is.rules)) {
    for (const minute of await readRoundedMinutes(tx, carrierId, parseDayKey(key))) minutes.add(minute);
  }
  const marked = [...minutes].filter(isWanted);
  await markMinutes(tx, carrierId, marked);
  return marked;
}

function isOf(base: readonly Span[], minute: Micros): boolean {
  return isIn(base, msFromMicros(minute));
}

// What is absent is as good as none.
function changedKeys(was: ReadonlyMap<string, string>, is: ReadonlyMap<string, string>): string[] {
  const keys = new Set([...was.keys(), ...is.keys()]);
  return [...keys].filter((key) => (was.get(key) || "0") !== (is.get(key) || "0"));
}
