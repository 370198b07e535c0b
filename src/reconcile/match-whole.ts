import type { ClockOffset, MatchingInput } from "../domain/matching/facts.ts";
import { type LoneResult, setApart } from "../domain/matching/lone-results.ts";
import { matchCalls } from "../domain/matching/match-calls.ts";
import { MAX_COMPONENT } from "../domain/matching/pairing/components.ts";
import type { LonePair } from "../domain/matching/pairing/lone-pairs.ts";
import type { CallResult } from "../domain/matching/result.ts";
import { MINUTE_MS, type Micros, msFromMicros } from "../domain/time/instant.ts";
import type { Tx } from "../store/database/run.ts";
import type { Reconciled } from "./carrier.ts";
import type { CarrierVotes } from "./clocks/carrier-votes.ts";
import { farSpans } from "./far/far-records.ts";
import { placesOf } from "./far/possible-starts.ts";
import { Sought } from "./far/stored-holders.ts";
import { type LoneCall, loneCall } from "./lone-calls.ts";
import { rawStartMs } from "./result-row.ts";
import { isWellIn, mergeSpans, type Span, spanAround, widenSpan } from "./spans.ts";
import type { TurnRecords, Window } from "./turn-records.ts";
import type { Claim } from "./zones.ts";

/** Calls up to this far from a marked minute are judged. */
const REACH_MS = 2 * MINUTE_MS;
/** A record's rivals begin at most this far away: the window, a resolution, a copy's distance. */
export const NEIGHBOUR_MS = 125_000;
/** Read around a record outside the window. */
const NEARBY_MS = NEIGHBOUR_MS + 5_000;
/** Read around marked minutes; most components are whole at once. */
const MARGIN_MS = REACH_MS + NEIGHBOUR_MS + MINUTE_MS;
// Too few votes are no offset, so that one more vote changes nothing that is shown.
const NO_OFFSET: ClockOffset = { offsetMs: 0, kind: "NONE", pairCount: 0, ratio: 0 };
/**
 * Most times that a trial widens its window: by one neighbourhood around records at its edges,
 * after the fourth time by twice as much as before. The last would take in four years, which no
 * component needs.
 */
const MOST_READS = 24;
const SLOW_READS = 4;

/** Results whose evidence is in the window. */
export interface Whole {
  readonly kept: CallResult[];
  readonly lone: readonly LoneCall[];
  readonly window: Window;
}

interface Search {
  readonly base: readonly Span[];
  readonly records: TurnRecords;
  readonly votes: CarrierVotes;
  readonly now: Micros;
  /** Absent: nothing is written. */
  readonly claim?: Claim;
}

/** Reads more until every component near the spans is whole, or known to be too large to assign. */
export function matchWhole(tx: Tx, carrier: Reconciled, search: Search): Promise<Whole> {
  const { records, base, votes } = search;
  return readWhole(tx, carrier, search, (window, input) => {
    const apart = setApart(records.part(window, votes), input, (pair) => isWellRead(pair, window.spans));
    const lone = apart.lone.filter((result) => isLoneNear(base, result)).map(loneCall);
    return { results: matchCalls(apart.input), lone };
  });
}

/** As `matchWhole`, by another matcher that sees lone pairs too. */
export function matchAllBy(
  tx: Tx,
  carrier: Reconciled,
  search: Search,
  match: (input: MatchingInput) => readonly CallResult[],
): Promise<Whole> {
  return readWhole(tx, carrier, search, (_, input) => ({ results: match(input), lone: [] }));
}

async function readWhole(
  tx: Tx,
  carrier: Reconciled,
  { base, records, votes, now, claim }: Search,
  match: (window: Window, input: MatchingInput) => { results: readonly CallResult[]; lone: readonly LoneCall[] },
): Promise<Whole> {
  let spans = mergeSpans(base.map((span) => widenSpan(span, MARGIN_MS)));
  const sought = new Sought();
  for (let reads = 1; ; reads++) {
    await claim?.(spans);
    const window = await records.read(spans, votes);
    const { results, lone } = match(window, inputOf(carrier, window, votes, now));
    const kept = keptOf(results, base, votes);
    const far = await farSpans(tx, carrier.carrierId, { kept, lone }, { sought, votes, marginMs: NEARBY_MS });
    const marginMs = NEARBY_MS * 2 ** Math.max(0, reads - SLOW_READS);
    const wider = mergeSpans([...spans, ...gaps(kept, window, votes, marginMs), ...far]);
    if (reads === MOST_READS || JSON.stringify(wider) === JSON.stringify(spans)) return { kept, lone, window };
    spans = wider;
  }
}

// Whether all its places, as edgesOf has them of any result, have their neighbourhoods read.
function isWellRead({ platform, carrier }: LonePair, spans: readonly Span[]): boolean {
  const isRead = (ms: number) => isWellIn(spans, ms, NEIGHBOUR_MS);
  const [startMs, rawMs] = [rawStartMs(platform), rawStartMs(carrier)];
  const { inviteMs, answerMs } = carrier;
  const ringMs = inviteMs === undefined || answerMs === undefined ? 0 : answerMs - inviteMs;
  return isRead(startMs) && isRead(platform.answerMs ?? startMs) && isRead(rawMs) && isRead(rawMs + ringMs);
}

function isLoneNear(base: readonly Span[], { startMs, carrierStartMs }: LoneResult): boolean {
  return isNear(base, Math.min(startMs, carrierStartMs), Math.max(startMs, carrierStartMs));
}

function isNear(base: readonly Span[], firstMs: number, lastMs: number): boolean {
  return base.some(({ startMs, endMs }) => lastMs >= startMs - REACH_MS && firstMs < endMs + REACH_MS);
}

export function inputOf(
  { agreement }: Reconciled,
  { platform, carrier }: Pick<Window, "platform" | "carrier">,
  votes: CarrierVotes,
  now: Micros,
): MatchingInput {
  return {
    platform,
    carrier,
    agreement,
    offsetOf: (record) => votes.offsetOf(record) ?? NO_OFFSET,
    roundingOf: (record) => votes.roundingOf(record),
    nowMs: msFromMicros(now),
  };
}

// Records that were judged together stay together.
function keptOf(results: readonly CallResult[], base: readonly Span[], votes: CarrierVotes): CallResult[] {
  const hasOffsets = votes.offsetsInUse().length > 0;
  const touched = new Set(
    results.filter((result) => touches(base, result, hasOffsets ? votes : undefined)).map(componentOf),
  );
  return results.filter((result) => touched.has(componentOf(result)));
}

function componentOf({ span }: CallResult): string {
  return `${span.firstMs}/${span.lastMs}`;
}

// With two offsets a record is near in both places; matching decides which is right.
function touches(base: readonly Span[], { span, carrier }: CallResult, votes: CarrierVotes | undefined): boolean {
  if (isNear(base, span.firstMs, span.lastMs)) return true;
  return votes !== undefined && carrier.some((record) => placesOf(record, votes).some((ms) => isNear(base, ms, ms)));
}

// Neighbourhoods that were not read yet.
function gaps(kept: readonly CallResult[], window: Window, votes: CarrierVotes, marginMs: number): Span[] {
  const isLarge = largeCrowds(kept, window, votes);
  return kept.flatMap((result) =>
    isLarge(result) ? [] : edgesOf(result, window, votes).map((ms) => spanAround(ms, marginMs)),
  );
}

/**
 * Times at which a result's records may begin or were answered, without their neighbourhoods read.
 */
export function edgesOf({ platform, carrier, startMs }: CallResult, window: Window, votes: CarrierVotes): number[] {
  const places: number[] = [];
  if (platform !== undefined) places.push(startMs, platform.answerMs ?? startMs);
  for (const record of carrier) {
    const { inviteMs, answerMs } = record;
    const ringMs = inviteMs === undefined || answerMs === undefined ? 0 : answerMs - inviteMs;
    for (const ms of placesOf(record, votes)) places.push(ms, ms + ringMs);
  }
  return places.filter((ms) => !isWellIn(window.spans, ms, NEIGHBOUR_MS));
}

// Whether no further record can make a result's crowd small enough to assign.
function largeCrowds(
  kept: readonly CallResult[],
  window: Window,
  votes: CarrierVotes,
): (result: CallResult) => boolean {
  const counts = new Map<string, number>();
  for (const result of kept) {
    if (result.candidateCount === undefined || edgesOf(result, window, votes).length > 0) continue;
    counts.set(componentOf(result), (counts.get(componentOf(result)) ?? 0) + 1);
  }
  return (result) => result.candidateCount !== undefined && (counts.get(componentOf(result)) ?? 0) > MAX_COMPONENT;
}
