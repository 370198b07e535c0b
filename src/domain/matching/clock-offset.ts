import {
  byStart,
  type CallUnit,
  type CarrierUnit,
  carrierUnit,
  lengthOf,
  platformUnit,
  startDelta,
} from "./call-unit.ts";
import type { CarrierFacts, ClockOffset, PlatformFacts } from "./facts.ts";
import { NumberIndex } from "./number-index.ts";

/** Votes on the clock offset of a trunk and hour: how many unambiguous pairs are in each bucket of their difference. */
export type VoteCounts = Readonly<Record<string, number>>;

/** An offset needs so many pairs, and so large a share of them. */
export const MIN_VOTES = 20;
export const MIN_SHARE = 0.8;
/** A skew of less than this is what any two clocks have; telling of it would say nothing. */
export const LEAST_SKEW_MS = 2_000;

/**
 * The bucket of a pair's difference of like times, carrier minus platform as reported, milliseconds: its whole seconds near 0 and near each multiple of
 * 15 minutes up to 14 h, else one for all others. So a histogram stays small: nearly all pairs of an hour fall into a few.
 */
export function voteBucket(differenceMs: number): string {
  const seconds = Math.round(differenceMs / 1_000);
  const zoneS = Math.round(seconds / ZONE_STEP_S) * ZONE_STEP_S;
  return Math.abs(zoneS) <= MAX_ZONE_S && Math.abs(seconds - zoneS) <= MAX_SKEW_S ? String(seconds) : OTHER;
}

/**
 * What the votes of a trunk and hour say: a zone shift, when at least 80 % are within 60 s of one multiple of 15 minutes; else a skew, when at least
 * 80 % are within 1.5 s of their median; else none. A skew of less than 2 s is none. Where a clock was set within the hour there may be two:
 * each of at least 20 votes, and of at least 80 % of those that the other does not explain. Undefined: fewer than 20 votes, which say nothing.
 */
export function judgeVotes(votes: VoteCounts): ClockOffset | undefined {
  const counts = Object.entries(votes).filter(([, count]) => count > 0);
  const pairCount = counts.reduce((total, [, count]) => total + count, 0);
  if (pairCount < MIN_VOTES) return undefined;
  const near = counts.flatMap(([bucket, count]) => (bucket === OTHER ? [] : [{ seconds: Number(bucket), count }]));
  const [first, second] = largestZones(near);
  if (first === undefined) return { kind: "NONE", offsetMs: 0, pairCount, ratio: 0 };
  if (second === undefined || first.count >= pairCount * MIN_SHARE) return offsetOf(first, near, pairCount);
  const isTwo = [first, second].every(({ count }) => count >= MIN_VOTES) && isShared(first, second, pairCount);
  // Of none the nearest to 0 is asked, where a skew would be.
  if (!isTwo) return offsetOf({ zoneS: 0, count: 0 }, near, pairCount);
  // The one nearer to 0 goes first, so that the order does not change with each vote.
  const [right, off] = Math.abs(first.zoneS) <= Math.abs(second.zoneS) ? [first, second] : [second, first];
  const of = (zone: Zone, other: Zone) => offsetOf(zone, near, pairCount - other.count);
  return { ...of(right, off), second: of(off, right) };
}

/**
 * The offset of an hour: its own; with too few votes of its own, that of the hour before, else of the hour after, whose pairs are then not counted as
 * its; where these differ, both, for a clock was set between them. The few votes that it has may speak against a neighbour: one that more of
 * them contradict than support is not taken.
 */
export function effectiveOffset(
  own: ClockOffset | undefined,
  previousHour: ClockOffset | undefined,
  nextHour: ClockOffset | undefined,
  ownVotes: VoteCounts = {},
): ClockOffset | undefined {
  if (own !== undefined) return own;
  const [first, other] = [previousHour, nextHour]
    .filter((offset) => offset !== undefined)
    .filter((offset) => !speaksAgainst(ownVotes, offset))
    .map((offset) => ({ ...offset, pairCount: 0 }));
  if (first === undefined || other === undefined) return first;
  if (first.second !== undefined || first.offsetMs === other.offsetMs) return first;
  const { second: _, ...single } = other;
  return Math.abs(first.offsetMs) <= Math.abs(other.offsetMs)
    ? { ...first, second: single }
    : { ...single, second: first };
}

/** What the open calls of a carrier's trunk and hour say. */
export interface HourVotes {
  readonly trunkId: string | undefined;
  /** When the hour begins, by the carrier's clock, milliseconds since 1970 UTC. */
  readonly hourMs: number;
  readonly votes: VoteCounts;
}

/**
 * Votes of calls that have no pair: of a carrier's and a platform's record of the same numbers and direction, within 14 h of each other and without
 * another such on either side; of parties with several such calls, those whose durations differ by at most 2 s, likewise without another. So a zone shift is
 * seen although no pair is within the window. By trunk and hour of the carrier's clock.
 */
export function zoneShiftVotes(platform: readonly PlatformFacts[], carrier: readonly CarrierFacts[]): HourVotes[] {
  const calls = platform.map(platformUnit);
  const units = carrier.map((facts) => carrierUnit(facts, () => undefined)).sort(byStart);
  const index = new NumberIndex(units, calls);
  const found = calls.map((call): number[] => {
    const near: number[] = [];
    index.visit(call, call.startMs - REACH_MS, (call.answerMs ?? call.startMs) + REACH_MS, (at) => {
      if (near.length < MAX_CALLS_OF_PARTIES) near.push(at);
    });
    return near;
  });
  const alike = found.map((near, position) => near.filter((at) => isAsLong(calls[position], units[at])));
  const pairs = new Map([...onlyPairs(alike, units.length), ...onlyPairs(found, units.length)]);
  const hours = new Map<string, HourVotes & { votes: Record<string, number> }>();
  for (const [position, at] of pairs) {
    const call = calls[position];
    const unit = units[at];
    const differenceMs = call && unit && startDelta(call, unit);
    if (unit === undefined || differenceMs === undefined) continue;
    const { votes } = hourOf(hours, unit);
    const bucket = voteBucket(differenceMs);
    votes[bucket] = (votes[bucket] ?? 0) + 1;
  }
  return [...hours.values()].sort((a, b) => a.hourMs - b.hourMs || compareText(a.trunkId ?? "", b.trunkId ?? ""));
}

const HOUR_MS = 3_600_000;
const ZONE_STEP_S = 900;
const MAX_ZONE_S = 14 * 3_600;
const MAX_SKEW_S = 60;
/** Buckets on either side of the median's: with its own they are 1.5 s wide either way. */
const BAND_S = 1;
const REACH_MS = (MAX_ZONE_S + MAX_SKEW_S) * 1_000;
const OTHER = "other";
/** Parties with more open calls than this tell nothing. */
const MAX_CALLS_OF_PARTIES = 200;
/** Durations of one call differ by no more, as long as the carrier does not round them. */
const LENGTH_SLACK_MS = 2_000;

interface Bucket {
  readonly seconds: number;
  readonly count: number;
}

interface Zone {
  /** A multiple of 15 minutes, seconds. */
  readonly zoneS: number;
  readonly count: number;
}

function largestZones(buckets: readonly Bucket[]): Zone[] {
  const counts = new Map<number, number>();
  for (const { seconds, count } of buckets) {
    const zoneS = zoneOf(seconds);
    counts.set(zoneS, (counts.get(zoneS) ?? 0) + count);
  }
  return [...counts]
    .map(([zoneS, count]) => ({ zoneS, count }))
    .sort((a, b) => b.count - a.count || Math.abs(a.zoneS) - Math.abs(b.zoneS) || a.zoneS - b.zoneS);
}

function zoneOf(seconds: number): number {
  // Not -0, which would be another key as text.
  return Math.round(seconds / ZONE_STEP_S) * ZONE_STEP_S + 0;
}

function isShared(first: Zone, second: Zone, pairCount: number): boolean {
  return first.count >= (pairCount - second.count) * MIN_SHARE && second.count >= (pairCount - first.count) * MIN_SHARE;
}

function offsetOf(zone: Zone, buckets: readonly Bucket[], pairCount: number): ClockOffset {
  if (zone.zoneS !== 0) {
    return { kind: "ZONE_SHIFT", offsetMs: zone.zoneS * 1_000, pairCount, ratio: zone.count / pairCount };
  }
  const { offsetMs, count } = centreOf(buckets.filter(({ seconds }) => zoneOf(seconds) === 0));
  const ratio = count / pairCount;
  const isSkew = ratio >= MIN_SHARE && Math.abs(offsetMs) >= LEAST_SKEW_MS;
  return isSkew ? { kind: "CLOCK_SKEW", offsetMs, pairCount, ratio } : { kind: "NONE", offsetMs: 0, pairCount, ratio };
}

// The median's neighbourhood and its mean, which is finer than a bucket.
function centreOf(buckets: readonly Bucket[]): { offsetMs: number; count: number } {
  const sorted = buckets.toSorted((a, b) => a.seconds - b.seconds);
  const total = sorted.reduce((sum, { count }) => sum + count, 0);
  let before = 0;
  const median = sorted.find(({ count }) => {
    before += count;
    return before * 2 >= total;
  });
  if (median === undefined) return { offsetMs: 0, count: 0 };
  const band = sorted.filter(({ seconds }) => Math.abs(seconds - median.seconds) <= BAND_S);
  const count = band.reduce((sum, bucket) => sum + bucket.count, 0);
  const sumS = band.reduce((sum, bucket) => sum + bucket.seconds * bucket.count, 0);
  return { offsetMs: Math.round((sumS / count) * 1_000), count };
}

/** Those that have each other only. */
function onlyPairs(found: readonly (readonly number[])[], count: number): [position: number, at: number][] {
  const seekerCounts = new Uint32Array(count);
  for (const at of found.flat()) seekerCounts[at] = (seekerCounts[at] ?? 0) + 1;
  return found.flatMap(([at, ...others], position): [number, number][] =>
    at === undefined || others.length > 0 || seekerCounts[at] !== 1 ? [] : [[position, at]],
  );
}

function isAsLong(call: CallUnit | undefined, unit: CallUnit | undefined): boolean {
  const mine = call && lengthOf(call);
  const others = unit && lengthOf(unit);
  return mine !== undefined && others !== undefined && Math.abs(others - mine) <= LENGTH_SLACK_MS;
}

function speaksAgainst(votes: VoteCounts, { offsetMs, second }: ClockOffset): boolean {
  let supporting = 0;
  let contradicting = 0;
  for (const [bucket, count] of Object.entries(votes)) {
    if (bucket === OTHER) continue;
    const isNear = (ms: number) => Math.abs(Number(bucket) - ms / 1_000) <= MAX_SKEW_S;
    if (isNear(offsetMs) || (second !== undefined && isNear(second.offsetMs))) supporting += count;
    else contradicting += count;
  }
  return contradicting > supporting;
}

function hourOf(
  hours: Map<string, HourVotes & { votes: Record<string, number> }>,
  { facts, startMs }: CarrierUnit,
): HourVotes & { votes: Record<string, number> } {
  const hourMs = Math.floor(startMs / HOUR_MS) * HOUR_MS;
  const key = `${hourMs}/${facts.trunkId ?? ""}`;
  const known = hours.get(key);
  if (known !== undefined) return known;
  const added = { trunkId: facts.trunkId, hourMs, votes: {} };
  hours.set(key, added);
  return added;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
