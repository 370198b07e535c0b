import { FeedId } from "../domain/feed-id.ts";
import { EVIDENCE_DAYS_MS } from "../domain/matching/clocks/clock-offset.ts";
import { FAR_REACH_MS } from "../domain/matching/clocks/far-calls.ts";
import { type MatchedInput, matchToExplain } from "../domain/matching/explain/explain.ts";
import type { CarrierFacts, KnownRounding, MatchingInput } from "../domain/matching/facts.ts";
import { addDays, type Micros, microsFromMs, msFromMicros, utcDay } from "../domain/time/instant.ts";
import type { Tx } from "../store/database/run.ts";
import { advanceFeed, lockFeed } from "../store/feeds/feed-head.ts";
import type { CallResultRow } from "../store/reconciliation/call-result-columns.ts";
import {
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

export interface TurnOutcome {
  /** Results that were judged, and those that were written. */
  judged: number;
  written: number;
  /** Undefined: the discrepancy feed gained no entry. */
  headSequence: bigint | undefined;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Marked minutes that are closer than this are matched together. */
const JOINED_GAP_MS = 5 * MINUTE_MS;
/** A turn changes votes on rounding of days up to this far away. */
const ROUNDING_REACH_MS = FAR_VOTES_MS + 2 * 3_600_000;
/**
 * Offsets rest on votes of hours up to EVIDENCE_DAYS_MS away; these offsets must be computed whole
 * for all hours whose votes a turn changes.
 */
const CLOCK_REACH_MS = 2 * EVIDENCE_DAYS_MS;
/** Pairs change the offsets and rules of the next trial only; few trials are enough. */
const MAX_TRIALS = 4;

/**
 * Runs one turn in the caller's transaction, which holds the carrier's lease: renews the evidence
 * on the carrier's clock, matches the calls of the marked minutes, and writes what changed. Every
 * record that a result depends on is read. What follows for other minutes is marked in the next
 * round.
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
  // Minutes that were matched with other votes than these count as changed.
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

// Due rows whose records are gone, by retention or because they moved to another minute.
function findOrphans(
  rows: ReadonlyMap<string, CallResultRow>,
  judged: readonly Judged[],
  base: readonly Span[],
  now: Micros,
): CallResultRow[] {
  const names = new Set(judged.map(({ name }) => name));
  const isDue = (row: CallResultRow) => row.dueTime !== undefined && row.dueTime <= now;
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
  /** As stored. */
  readonly stored: () => CarrierVotes;
  /** With the turn's new evidence; a fresh copy for each trial. */
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

/** The results of a turn, once its pairs agree with the offsets and rules that were used. */
interface Settled {
  judged: Judged[];
  votes: CarrierVotes;
  /** The votes that were used. */
  used: CarrierVotes;
  rows: Map<string, CallResultRow>;
  window: Window;
  /** The marked minutes and those tied to them. */
  base: readonly Span[];
  stored: () => CarrierVotes;
}

interface Settling {
  readonly marked: readonly Span[];
  readonly records: TurnRecords;
  /** How the new evidence changes the votes on clocks. */
  readonly heard: readonly ClockVote[];
  readonly now: Micros;
}

// Pairs may change the offsets and rules that they were judged by, so matching repeats until both
// agree.
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

/** The matcher's input and output for a call to explain. */
export interface Gathered {
  readonly input: MatchingInput;
  readonly matched: MatchedInput;
}

/** Matches the calls around some instants as a turn would, with the stored offsets and rules. */
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

// Minutes beside new records of a crowd whose neighbourhood was not read: calls there may be
// affected.
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

// The stored rows of these results and of their carrier's records, wherever they are in time.
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

// Minutes whose offset or rule changed. Minutes without a result are marked anyway.
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

function changedKeys(was: ReadonlyMap<string, string>, is: ReadonlyMap<string, string>): string[] {
  const keys = new Set([...was.keys(), ...is.keys()]);
  return [...keys].filter((key) => (was.get(key) || "0") !== (is.get(key) || "0"));
}
