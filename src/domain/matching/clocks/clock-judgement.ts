import type { ClockOffset } from "../facts.ts";
import { MAX_ZONE_S, type Vote, ZONE_STEP_S } from "./clock-votes.ts";

/** An offset needs so many votes, and so large a share of them. */
export const MIN_VOTES = 20;
export const MIN_SHARE = 0.8;
/** Or so many of calls whose lengths agree as well, and none against. */
export const MIN_ALIKE = 5;
/** A skew of less than this is what any two clocks have; telling of it would say nothing. */
export const LEAST_SKEW_MS = 2_000;
/**
 * What a window holds: nearer offsets need no second look to be found, and are told apart by many
 * votes only.
 */
const WINDOW_S = 60;
/** Two offsets of an hour are so far apart: nearer, they are one whose calls scatter. */
const APART_S = 5;
/** None: nothing has to be shown of it. */
export const AS_WRITTEN: ClockOffset = { kind: "NONE", offsetMs: 0, pairCount: 0, ratio: 1 };
/** Buckets on either side of a band's middle: with its own they are 1.5 s wide either way. */
export const BAND_S = 1;

/**
 * What votes say, by second and ascending: an offset when at least 20 votes are there and 80 % of
 * them are within a few seconds of each other, or 5 of calls whose lengths agree and none
 * elsewhere. It is a multiple of 15 minutes and a rest; a rest of less than 2 s is none. Else a
 * zone shift alone, when 80 % of at least 20 are within 60 s of one. Where a clock was set there
 * may be two, each by the votes that the other does not explain. Bands are so much wider on either
 * side, seconds. Undefined: votes too few to say anything.
 */
export function judgeVotes(votes: readonly Vote[], slackS = BAND_S): ClockOffset | undefined {
  const total = votes.reduce((sum, { count }) => sum + count, 0);
  if (total < MIN_ALIKE) return undefined;
  return judgeBands(votes, slackS) ?? judgeZones(votes);
}

/** Whether a vote is for an offset, or so near to it that the window holds both. */
export function isNear(seconds: number, offsetMs: number): boolean {
  return Math.abs(seconds - offsetMs / 1_000) <= WINDOW_S;
}

/** Whether a vote is for an offset: further off, it is for another. */
export function isOne(seconds: number, offsetMs: number): boolean {
  return Math.abs(seconds - offsetMs / 1_000) < APART_S;
}

/** Whether a vote is for no offset. */
export function isAsWritten({ seconds }: Vote): boolean {
  return isOne(seconds, 0);
}

/** Votes that agree. */
interface Band {
  readonly fromS: number;
  readonly toS: number;
  readonly votes: readonly Vote[];
  readonly count: number;
  readonly alike: number;
}

function judgeBands(votes: readonly Vote[], slackS: number): ClockOffset | undefined {
  const first = largestBand(votes, slackS);
  if (first === undefined) return undefined;
  const far = beyondWindow(votes, first);
  for (const left of [far, outside(votes, first)]) {
    const second = largestBand(left, slackS);
    if (second === undefined) continue;
    const rest = left === far ? beyondWindow(left, second) : outside(left, second);
    if (!isSecond(first, second, rest) || !isEnough(first, rest, MIN_VOTES)) continue;
    const [a, b] = [bandOffset(first, rest, slackS), bandOffset(second, rest, slackS)];
    if (a.offsetMs !== b.offsetMs) return inOrder(a, b);
  }
  const others = outside(votes, first);
  return isEnough(first, others) ? bandOffset(first, others, slackS) : besideRight(first, others, slackS);
}

// That some calls agree as they were written is no evidence against what others show: of a right
// clock nothing has to be shown.
function besideRight(band: Band, others: readonly Vote[], slackS: number): ClockOffset | undefined {
  const [right, rest] = [others.filter(isAsWritten), others.filter((vote) => !isAsWritten(vote))];
  if (right.length === 0 || Math.abs(medianOf(band)) <= WINDOW_S || !isEnough(band, rest)) return undefined;
  const pairCount = right.reduce((sum, { count }) => sum + count, 0);
  return inOrder({ ...AS_WRITTEN, pairCount }, bandOffset(band, rest, slackS));
}

function isSecond(first: Band, second: Band, rest: readonly Vote[]): boolean {
  const apartS = Math.abs(medianOf(first) - medianOf(second));
  if (apartS < APART_S || !isEnough(second, rest, MIN_VOTES)) return false;
  return apartS > WINDOW_S || second.count >= MIN_VOTES;
}

// What scatters around one offset is no evidence against another that is further off than a window.
function beyondWindow(votes: readonly Vote[], band: Band): Vote[] {
  const medianS = medianOf(band);
  return votes.filter(({ seconds }) => Math.abs(seconds - medianS) > WINDOW_S);
}

/** Whether votes are enough; of two offsets each needs `least` of its own. */
function isEnough({ count, alike }: Band, others: readonly Vote[], least = 0): boolean {
  const against = others.reduce((sum, vote) => sum + vote.against, 0);
  if (alike >= MIN_ALIKE && against === 0) return true;
  const total = count + against;
  return total >= MIN_VOTES && count >= least && count >= total * MIN_SHARE;
}

// The most votes, then the most of calls whose lengths agree, then the nearest to 0.
function largestBand(votes: readonly Vote[], slackS: number): Band | undefined {
  let best: Band | undefined;
  let end = 0;
  for (let start = 0; start < votes.length; start++) {
    const fromS = votes[start]?.seconds ?? 0;
    while (end < votes.length && (votes[end]?.seconds ?? 0) <= fromS + 2 * slackS) end++;
    const inside = votes.slice(start, end);
    const band = {
      fromS,
      toS: inside.at(-1)?.seconds ?? fromS,
      votes: inside,
      count: inside.reduce((sum, { count }) => sum + count, 0),
      alike: inside.reduce((sum, { alike }) => sum + alike, 0),
    };
    if (best === undefined || isLarger(band, best)) best = band;
  }
  return best;
}

function isLarger(a: Band, b: Band): boolean {
  const difference = a.count - b.count || a.alike - b.alike || Math.abs(medianOf(b)) - Math.abs(medianOf(a));
  return difference > 0;
}

function outside(votes: readonly Vote[], { fromS, toS }: Band): Vote[] {
  return votes.filter(({ seconds }) => seconds < fromS || seconds > toS);
}

// Of hours around: to the second, so that it does not change with every vote that comes.
function bandOffset(band: Band, others: readonly Vote[], slackS: number): ClockOffset {
  const against = others.reduce((sum, vote) => sum + vote.against, 0);
  const ms = slackS === BAND_S ? meanMs(band) : medianOf(band) * 1_000;
  const pairCount = band.count + against;
  return offsetOf(ms, pairCount, band.count / pairCount);
}

function offsetOf(ms: number, pairCount: number, ratio: number): ClockOffset {
  const zoneMs = zoneOf(ms / 1_000) * 1_000;
  const restMs = Math.abs(ms - zoneMs) < LEAST_SKEW_MS ? 0 : ms - zoneMs;
  const skewOrNone = restMs === 0 ? "NONE" : "CLOCK_SKEW";
  return { kind: zoneMs === 0 ? skewOrNone : "ZONE_SHIFT", offsetMs: zoneMs + restMs, pairCount, ratio };
}

/** The multiple of 15 minutes in an offset. */
export function zonePartMs(offsetMs: number): number {
  return zoneOf(offsetMs / 1_000) * 1_000;
}

function zoneOf(seconds: number): number {
  const zoneS = Math.round(seconds / ZONE_STEP_S) * ZONE_STEP_S;
  // Not -0, which would be another key as text.
  return Math.max(-MAX_ZONE_S, Math.min(MAX_ZONE_S, zoneS)) + 0;
}

function meanMs({ votes, count }: Band): number {
  const sumS = votes.reduce((sum, vote) => sum + vote.seconds * vote.count, 0);
  return Math.round((sumS / count) * 1_000);
}

function medianOf({ votes, count }: Band): number {
  let before = 0;
  const median = votes.find((vote) => {
    before += vote.count;
    return before * 2 >= count;
  });
  return median?.seconds ?? 0;
}

// Calls that scatter over a minute, as those of a switch that writes whole minutes do, still show a
// zone.
function judgeZones(votes: readonly Vote[]): ClockOffset | undefined {
  const pairCount = votes.reduce((sum, { against }) => sum + against, 0);
  if (pairCount < MIN_VOTES) return undefined;
  const [first, second] = largestZones(votes);
  const none: ClockOffset = { kind: "NONE", offsetMs: 0, pairCount, ratio: (zoneAt(votes, 0)?.count ?? 0) / pairCount };
  if (first === undefined) return none;
  const of = ({ zoneS, count }: Zone, total: number) => offsetOf(zoneS * 1_000, total, Math.min(1, count / total));
  if (first.count >= pairCount * MIN_SHARE) return of(first, pairCount);
  if (second === undefined) return none;
  const isShared = (zone: Zone, other: Zone) =>
    zone.count >= MIN_VOTES && zone.count >= (pairCount - other.count) * MIN_SHARE;
  if (!isShared(first, second) || !isShared(second, first)) return none;
  return inOrder(of(first, pairCount - second.count), of(second, pairCount - first.count));
}

interface Zone {
  /** A multiple of 15 minutes, seconds. */
  readonly zoneS: number;
  readonly count: number;
}

function zoneAt(votes: readonly Vote[], zoneS: number): Zone | undefined {
  return largestZones(votes).find((zone) => zone.zoneS === zoneS);
}

function largestZones(votes: readonly Vote[]): Zone[] {
  const counts = new Map<number, number>();
  for (const { seconds, against } of votes) {
    const zoneS = zoneOf(seconds);
    if (against > 0 && Math.abs(seconds - zoneS) <= WINDOW_S) counts.set(zoneS, (counts.get(zoneS) ?? 0) + against);
  }
  return [...counts]
    .map(([zoneS, count]) => ({ zoneS, count }))
    .sort((a, b) => b.count - a.count || Math.abs(a.zoneS) - Math.abs(b.zoneS) || a.zoneS - b.zoneS);
}

// The one nearer to 0 goes first, so that the order does not change with each vote.
function inOrder(a: ClockOffset, b: ClockOffset): ClockOffset {
  const isFirst = Math.abs(a.offsetMs) - Math.abs(b.offsetMs) || a.offsetMs - b.offsetMs;
  return isFirst < 0 ? { ...a, second: b } : { ...b, second: a };
}
