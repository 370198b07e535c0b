import { EVIDENCE_DAYS_MS } from "../domain/matching/clocks/clock-offset.ts";
import { FAR_REACH_MS } from "../domain/matching/clocks/far-calls.ts";
import { type MatchedInput, matchToExplain } from "../domain/matching/explain/explain.ts";
import type { CarrierFacts, MatchingInput } from "../domain/matching/facts.ts";
import {
  addDays,
  HOUR_MS,
  MINUTE_MS,
  type Micros,
  microsFromMs,
  msFromMicros,
  utcDay,
} from "../domain/time/instant.ts";
import type { Tx } from "../store/database/run.ts";
import type { CallResultRow } from "../store/reconciliation/call-result-columns.ts";
import { readResultsIn, readResultsNamed } from "../store/reconciliation/call-results.ts";
import { readClockVotes, readRoundingVotes } from "../store/reconciliation/clock-offsets.ts";
import { readDaysOf } from "../store/zone-days/zone-days.ts";
import type { Reconciled } from "./carrier.ts";
import { CarrierVotes, type ClockVote, ruleText } from "./clocks/carrier-votes.ts";
import { FAR_VOTES_MS } from "./clocks/renew-evidence.ts";
import { Sought } from "./far/stored-holders.ts";
import { findTied } from "./far/tied-minutes.ts";
import { matchWhole } from "./match-whole.ts";
import { type Judged, judge, memberNames } from "./result-log.ts";
import { nameText } from "./result-row.ts";
import { hullOf, isIn, mergeSpans, minuteOf, type Span, timeRange } from "./spans.ts";
import { TurnRecords, type Window } from "./turn-records.ts";

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
}

/** The results of a turn once its pairs show the offsets and rules that were used. */
export interface Settled {
  readonly judged: readonly Judged[];
  readonly votes: CarrierVotes;
  readonly used: CarrierVotes;
  readonly stored: () => CarrierVotes;
  readonly rows: ReadonlyMap<string, CallResultRow>;
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
  { marked, records, heard, now }: Unsettled,
): Promise<Settled> {
  const { carrierId } = carrier;
  let base = marked;
  let { stored, known } = await readVotes(tx, carrierId, base, heard);
  let used = known();
  const sought = new Sought();
  for (let trial = 1, widenings = 0; ; ) {
    const { kept, window } = await matchWhole(tx, carrier, { base, records, votes: used, now });
    const starts = kept.map(({ startMs }) => microsFromMs(startMs));
    const judged = judge(kept, await readDaysOf(tx, carrier.timeZone, starts));
    const rows = await readStored(tx, carrierId, window, judged);
    const tied = await findTied(tx, carrierId, { judged, rows, votes: used, sought });
    const leftTied = tied.filter((minute) => !isIn(base, msFromMicros(minute)));
    if (leftTied.length > 0 && widenings < MOST_WIDENINGS) {
      base = mergeSpans([...base, ...spansOfMinutes(tied)]);
      ({ stored, known } = await readVotes(tx, carrierId, base, heard));
      used = known();
      widenings++;
      continue;
    }
    const votes = known();
    countVotes(votes, judged, rows);
    if (trial === MOST_TRIALS || agree(used, votes, window.carrier))
      return { judged, votes, used, stored, rows, window, base, leftTied };
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
  readonly stored: () => CarrierVotes;
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
  const stored = () => new CarrierVotes(clock, rounding);
  const known = () => {
    const votes = stored();
    votes.hear(heard);
    return votes;
  };
  return { stored, known };
}

// Of these results and of their carrier's records, wherever they are.
async function readStored(
  tx: Tx,
  carrierId: string,
  window: Window,
  judged: readonly Judged[],
): Promise<Map<string, CallResultRow>> {
  const near = await readResultsIn(tx, carrierId, window.spans.map(timeRange));
  const rows = new Map(near.map((row) => [nameText(row), row]));
  const names = [...judged.map(({ row }) => row), ...memberNames(judged)].filter((name) => !rows.has(nameText(name)));
  for (const row of await readResultsNamed(tx, carrierId, names)) rows.set(nameText(row), row);
  return rows;
}

function countVotes(votes: CarrierVotes, judged: readonly Judged[], rows: ReadonlyMap<string, CallResultRow>): void {
  for (const { name, row } of judged) {
    const before = rows.get(name);
    if (before) votes.count(before, -1);
    votes.count(row, 1);
  }
}

function agree(used: CarrierVotes, found: CarrierVotes, records: readonly CarrierFacts[]): boolean {
  return records.every(
    (record) =>
      used.offsetsOf(record).join() === found.offsetsOf(record).join() &&
      ruleText(used.roundingOf(record)) === ruleText(found.roundingOf(record)),
  );
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
  await matchWhole(tx, carrier, { base, records, votes: stored(), now }, (input) => {
    last = { input, matched: matchToExplain(input) };
    return [...last.matched.live.results, ...last.matched.voided.results];
  });
  if (last === undefined) throw new Error("a window is matched at least once");
  return last;
}
