import type { ClockOffset } from "../facts.ts";
import { MAX_ZONE_S, type Vote, ZONE_STEP_S } from "./clock-votes.ts";

/** An offset needs this many votes and this share of them. */
export const MIN_VOTES = 20;
export const MIN_SHARE = 0.8;
/** Or this many of calls with equal lengths, and none against. */
export const MIN_ALIKE = 5;
/** Clocks that differ by less are not told. */
export const LEAST_SKEW_MS = 2_000;
/** Offsets within the window pair without help and need many votes to be told apart. */
const WINDOW_S = 60;
/** Offsets closer than this are one. */
const APART_S = 5;
export const AS_WRITTEN: ClockOffset = { kind: "NONE", offsetMs: 0, pairCount: 0, ratio: 1 };
/** Buckets on either side of a band's middle: 1.5 s either way. */
export const BAND_S = 1;

/**
 * The offset that votes show, by second and ascending: 80 % of at least 20 votes within a few
 * seconds, or 5 of calls with equal lengths and none elsewhere. It is a multiple of 15 minutes and
 * a rest; a rest under 2 s is dropped. Otherwise 80 % of at least 20 votes within 60 s show a zone
 * shift. Where a clock was set there may be two offsets, each by the votes that the other does not
 * explain. `slackS` widens the bands. Undefined: too few votes.
 */
export function judgeVotes(votes: readonly Vote[], slackS = BAND_S): ClockOffset | undefined {
  const total = votes.reduce((sum, { count }) => sum + count, 0);
  if (total < MIN_ALIKE) return undefined;
  return judgeBands(votes, slackS) ?? judgeZones(votes);
}

export function isNear(seconds: number, offsetMs: number): boolean {
  return Math.abs(seconds - offsetMs / 1_000) <= WINDOW_S;
}

export function isOne(seconds: number, offsetMs: number): boolean {
  return Math.abs(seconds - offsetMs / 1_000) < APART_S;
}

export function isAsWritten({ seconds }: Vote): boolean {
  return isOne(seconds, 0);
}

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

// Calls that agree as written do not speak against others' offset.
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

// Votes scattered around one offset do not speak against another beyond the window.
function beyondWindow(votes: readonly Vote[], band: Band): Vote[] {
  const medianS = medianOf(band);
  return votes.filter(({ seconds }) => Math.abs(seconds - medianS) > WINDOW_S);
}

/** Whether votes suffice. Of two offsets each needs `least` of its own. */
function isEnough({ count, alike }: Band, others: readonly Vote[], least = 0): boolean {
  const against = others.reduce((sum, vote) => sum + vote.against, 0);
  if (alike >= MIN_ALIKE && against === 0) return true;
  const total = count + against;
  return total >= MIN_VOTES && count >= least && count >= total * MIN_SHARE;
}

// Most votes, then most equal lengths, then nearest to 0.
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

// Several hours: whole seconds, so that single votes do not change it.
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
  // Not -0, whose text differs.
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

// Calls that scatter over a minute, as whole-minute times do, still show a zone.
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
  /** A multiple of 15 minutes. */
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

// Nearer to 0 first, so that single votes do not change the order.
function inOrder(a: ClockOffset, b: ClockOffset): ClockOffset {
  const isFirst = Math.abs(a.offsetMs) - Math.abs(b.offsetMs) || a.offsetMs - b.offsetMs;
  return isFirst < 0 ? { ...a, second: b } : { ...b, second: a };
}
