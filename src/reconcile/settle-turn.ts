import { EVIDENCE_DAYS_MS } from "../domain/matching/clocks/clock-offset.ts";
import { FAR_REACH_MS } from "../domain/matching/clocks/far-calls.ts";
import { type MatchedInput, matchToExplain } from "../domain/matching/explain/explain.ts";
import type { CarrierFacts, MatchingInput } from "../domain/matching/facts.ts";
import { matchCalls } from "../domain/matching/match-calls.ts";
import type { CallResult } from "../domain/matching/result.ts";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../domain/record-kind.ts";
import {
  addDays,
  HOUR_MS,
  MINUTE_MS,
  type Micros,
  microsFromMs,
  msFromMicros,
  utcDay,
} from "../domain/time/instant.ts";
import { type Tx, together } from "../store/database/run.ts";
import type { CallResultRow, ResultName } from "../store/reconciliation/call-result-columns.ts";
import { readResultsIn, readResultsNamed, readResultsOfRecords } from "../store/reconciliation/call-results.ts";
import { readClockVotes, readRoundingVotes } from "../store/reconciliation/clock-offsets.ts";
import { readDaysOf } from "../store/zone-days/zone-days.ts";
import type { Reconciled } from "./carrier.ts";
import { CarrierVotes, type ClockVote, ruleText } from "./clocks/carrier-votes.ts";
import { FAR_VOTES_MS } from "./clocks/renew-evidence.ts";
import { Sought } from "./far/stored-holders.ts";
import { findTied } from "./far/tied-minutes.ts";
import { type LoneCall, type LoneRow, loneRow, memberName } from "./lone-calls.ts";
import { inputOf, matchAllBy, matchWhole } from "./match-whole.ts";
import { compareLone, type Judged, judge, memberNames } from "./result-log.ts";
import { nameText, rawStartMs } from "./result-row.ts";
import { hullOf, isIn, mergeSpans, minuteOf, type Span, timeRange } from "./spans.ts";
import { TurnRecords, type Window } from "./turn-records.ts";
import type { Claim } from "./zones.ts";

/** Marked minutes that are closer are matched together. */
const JOINED_GAP_MS = 5 * MINUTE_MS;
/** A turn changes votes on rounding of days up to this far away. */
const ROUNDING_REACH_MS = FAR_VOTES_MS + 2 * HOUR_MS;
/**
 * Offsets rest on votes of hours up to EVIDENCE_DAYS_MS away, and must be whole for all hours whose
 * votes a turn changes.
 */
const CLOCK_REACH_MS = 2 * EVIDENCE_DAYS_MS;
/** Pairs change offsets and rules of the next trial only, so few suffice. */
const MOST_TRIALS = 4;
/**
 * How often a turn takes in minutes that stored results tie to its own: each time one more link of
 * a chain. What is still tied then is marked for the next round.
 */
const MOST_WIDENINGS = 64;

interface Unsettled {
  readonly marked: readonly Span[];
  readonly records: TurnRecords;
  /** Votes on clocks by the new evidence. */
  readonly heard: readonly ClockVote[];
  readonly now: Micros;
  readonly claim: Claim;
}

interface Found {
  readonly judged: readonly Judged[];
  /** Lone pairs that have no result yet. */
  readonly lone: readonly LoneRow[];
  /** Stored results of these names and near them. */
  readonly rows: ReadonlyMap<string, CallResultRow>;
}

/** The results of a turn once its pairs show the offsets and rules that were used. */
export interface Settled extends Found {
  readonly judgedCount: number;
  readonly votes: CarrierVotes;
  readonly used: CarrierVotes;
  readonly stored: CarrierVotes;
  readonly window: Window;
  /** The marked minutes and those tied to them. */
  readonly base: readonly Span[];
  /** Tied minutes that were not taken in. */
  readonly leftTied: readonly Micros[];
}

/**
 * Matches the calls of the marked minutes and those tied to them, until the pairs show the offsets
 * and rules that they were judged by.
 */
export async function settleTurn(
  tx: Tx,
  carrier: Reconciled,
  { marked, records, heard, now, claim }: Unsettled,
): Promise<Settled> {
  const { carrierId } = carrier;
  let base = marked;
  let { stored, known } = await readVotes(tx, carrierId, base, heard);
  let used = known();
  const sought = new Sought();
  for (let trial = 1, widenings = 0; ; ) {
    const { kept, lone, window } = await matchWhole(tx, carrier, { base, records, votes: used, now, claim });
    const days = await readDaysOf(tx, carrier.timeZone, startsOf(kept, lone));
    const rowsOfLone = lone.map((call) => loneRow(call, days, carrier.agreement.toleranceMs));
    const rows = await readStored(tx, carrierId, window, judge(kept, days), rowsOfLone);
    const compared = compareLone(rowsOfLone, rows);
    const again = compared.changed.flatMap(({ platform, carrier: record }) =>
      matchCalls(inputOf(carrier, { platform: [platform], carrier: [record] }, used, now)),
    );
    const judged = judge([...kept, ...again], days);
    const found = { judged, lone: compared.fresh, rows };
    const tied = await findTied(tx, carrierId, { ...found, votes: used, sought });
    const leftTied = tied.filter((minute) => !isIn(base, msFromMicros(minute)));
    if (leftTied.length > 0 && widenings < MOST_WIDENINGS) {
      base = mergeSpans([...base, ...spansOfMinutes(tied)]);
      await claim(base);
      ({ stored, known } = await readVotes(tx, carrierId, base, heard));
      used = known();
      widenings++;
      continue;
    }
    const votes = known();
    countVotes(votes, found);
    if (trial === MOST_TRIALS || agree(used, votes, window.carrier)) {
      const judgedCount = kept.length + lone.length;
      return { ...found, judgedCount, votes, used, stored, window, base, leftTied };
    }
    used = votes;
    trial++;
  }
}

export function spansOfMinutes(minutes: readonly Micros[]): Span[] {
  const spans = minutes.map((minute) => {
    const startMs = msFromMicros(minute);
    return { startMs, endMs: startMs + MINUTE_MS + JOINED_GAP_MS };
  });
  return mergeSpans(spans).map(({ startMs, endMs }) => ({ startMs, endMs: endMs - JOINED_GAP_MS }));
}

interface ReadVotes {
  readonly stored: CarrierVotes;
  /** With the new evidence; a fresh copy for each trial. */
  readonly known: () => CarrierVotes;
}

async function readVotes(
  tx: Tx,
  carrierId: string,
  base: readonly Span[],
  heard: readonly ClockVote[],
): Promise<ReadVotes> {
  const { startMs, endMs } = hullOf(base);
  const hours = heard.map(({ hourMs }) => hourMs);
  const clock = await readClockVotes(tx, carrierId, {
    start: microsFromMs(Math.min(startMs - FAR_REACH_MS, ...hours) - CLOCK_REACH_MS),
    end: microsFromMs(Math.max(endMs + FAR_REACH_MS, ...hours) + CLOCK_REACH_MS),
  });
  const rounding = await readRoundingVotes(tx, carrierId, {
    first: addDays(utcDay(microsFromMs(startMs - ROUNDING_REACH_MS)), -1),
    last: addDays(utcDay(microsFromMs(endMs + ROUNDING_REACH_MS)), 1),
  });
  const stored = new CarrierVotes(clock, rounding);
  // Judged once for all copies.
  stored.offsetsInUse();
  const known = stored.copy();
  known.hear(heard);
  known.offsetsInUse();
  return { stored, known: () => known.copy() };
}

// The first and the last.
function startsOf(kept: readonly CallResult[], lone: readonly LoneCall[]): Micros[] {
  let [firstMs, lastMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const see = (ms: number) => {
    if (ms < firstMs) firstMs = ms;
    if (ms > lastMs) lastMs = ms;
  };
  for (const { startMs } of kept) see(startMs);
  for (const { result } of lone) see(result.startMs);
  return firstMs > lastMs ? [] : [microsFromMs(firstMs), microsFromMs(lastMs)];
}

// Of these results and of their carrier's records, wherever they are.
async function readStored(
  tx: Tx,
  carrierId: string,
  window: Window,
  judged: readonly Judged[],
  lone: readonly LoneRow[],
): Promise<Map<string, CallResultRow>> {
  const near = await readResultsIn(tx, carrierId, window.spans.map(timeRange));
  const rows = new Map(near.map((row) => [nameText(row), row]));
  const isUnread = (name: ResultName) => !rows.has(nameText(name));
  const names = [...judged.map(({ row }) => row), ...memberNames(judged)].filter(isUnread);
  // A first revision always began in the window, and so does the result of that time.
  const unread = lone.filter(({ name, row }) => row.revision > 1 && !rows.has(name));
  const members = lone.map(({ pair }) => memberName(pair)).filter(near.length === 0 ? () => true : isUnread);
  const found = await together([
    readResultsNamed(tx, carrierId, names),
    readResultsOfRecords(
      tx,
      carrierId,
      PLATFORM_SIDE,
      unread.map(({ row }) => row),
    ),
    readResultsOfRecords(tx, carrierId, CARRIER_SIDE, members),
  ]);
  for (const row of found.flat()) rows.set(nameText(row), row);
  return rows;
}

function countVotes(votes: CarrierVotes, { judged, lone, rows }: Found): void {
  for (const { name, row } of judged) {
    const before = rows.get(name);
    if (before) votes.count(before, -1);
    votes.count(row, 1);
  }
  for (const { row } of lone) votes.countLone(row);
}

// An offset is of a trunk and hour, a rule of a trunk and day: one record of each hour tells.
function agree(used: CarrierVotes, found: CarrierVotes, records: readonly CarrierFacts[]): boolean {
  const seen = new Set<string>();
  return records.every((record) => {
    const hour = `${Math.floor(rawStartMs(record) / HOUR_MS)}/${record.trunkId ?? ""}`;
    if (seen.has(hour)) return true;
    seen.add(hour);
    return (
      used.offsetsOf(record).join() === found.offsetsOf(record).join() &&
      ruleText(used.roundingOf(record)) === ruleText(found.roundingOf(record))
    );
  });
}

/** Matches the calls around some instants as a turn would, by the stored votes. */
export async function gatherAround(
  tx: Tx,
  carrier: Reconciled,
  instantsMs: readonly number[],
  now: Micros,
): Promise<{ readonly input: MatchingInput; readonly matched: MatchedInput }> {
  const base = spansOfMinutes(instantsMs.map(minuteOf));
  const { stored } = await readVotes(tx, carrier.carrierId, base, []);
  const records = new TurnRecords(tx, carrier);
  let last: { input: MatchingInput; matched: MatchedInput } | undefined;
  await matchAllBy(tx, carrier, { base, records, votes: stored, now }, (input) => {
    last = { input, matched: matchToExplain(input) };
    return [...last.matched.live.results, ...last.matched.voided.results];
  });
  if (last === undefined) throw new Error("a window is matched at least once");
  return last;
}
