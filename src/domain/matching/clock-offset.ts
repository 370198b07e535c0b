import type { ClockOffset } from "./facts.ts";

/** Votes on the clock offset of a trunk and hour: how many say what, by bucket. */
export type VoteCounts = Readonly<Record<string, number>>;

/** What the records of a trunk and hour of the carrier's clock say. */
export interface HourSays {
  /** Of records with one counterpart alone within the window. */
  readonly near: VoteCounts;
  /** Of records without any, that go with one call of the same parties that is further off. */
  readonly far: VoteCounts;
}

/** An offset needs so many votes, and so large a share of them. */
export const MIN_VOTES = 20;
export const MIN_SHARE = 0.8;
/** Or so many of calls whose lengths agree as well, and none against. */
export const MIN_ALIKE = 5;
/** Lengths agree when they differ by no more. */
export const ALIKE_MS = 1_000;
/** A skew of less than this is what any two clocks have; telling of it would say nothing. */
export const LEAST_SKEW_MS = 2_000;
/**
 * No evidence of an hour is further away than this: its UTC day, the day before and the day after.
 */
export const EVIDENCE_DAYS_MS = 2 * 86_400_000;

/**
 * The bucket of a difference of like times, carrier minus platform as reported, milliseconds: its
 * whole seconds, up to 14 h and 7.5 minutes, and whether the lengths agree; one for all others. A
 * histogram stays small: nearly all votes of an hour fall into a few buckets.
 */
export function voteBucket(differenceMs: number, isAlike = false): string {
  const seconds = Math.round(differenceMs / 1_000);
  if (Math.abs(seconds) > MAX_ZONE_S + MAX_REST_S) return OTHER;
  return isAlike ? `${seconds}${ALIKE}` : String(seconds);
}

/** Whether two lengths agree as those of one call do; false when either is not known. */
export function areAlike(oneMs: number | undefined, otherMs: number | undefined): boolean {
  return oneMs !== undefined && otherMs !== undefined && Math.abs(oneMs - otherMs) <= ALIKE_MS;
}

/**
 * The offset of a trunk and hour: by the hour's own votes; where they are too few, by those of the
 * hours around it as well, the nearest first, up to its UTC day with the day before and after.
 * Undefined: too few anywhere, or the few of its own speak against what the others say.
 */
export function offsetOfHour(
  hourMs: number,
  saysAt: (hourMs: number) => HourSays | undefined,
): ClockOffset | undefined {
  const own = new Tally(saysAt(hourMs));
  const judged = judge(own.votes(), BAND_S);
  if (judged !== undefined) return judged;
  const tally = own.copy();
  let [first, last] = [hourMs, hourMs];
  for (const [from, to] of reachesOf(hourMs)) {
    for (let hour = first - HOUR_MS; hour >= from; hour -= HOUR_MS) tally.add(saysAt(hour));
    for (let hour = last + HOUR_MS; hour <= to; hour += HOUR_MS) tally.add(saysAt(hour));
    const slackS = BAND_S + Math.ceil(((to - from) / 2 / HOUR_MS) * DRIFT_S);
    [first, last] = [from, to];
    const around = tally.count < MIN_ALIKE ? undefined : judge(tally.votes(), slackS);
    if (around === undefined || around.ratio < MIN_SHARE) continue;
    return isContradicted(own.votes(), tally.votes(), around) ? undefined : ofHoursAround(around);
  }
  return undefined;
}

/**
 * What votes say: an offset when at least 20 votes are there and 80 % of them are within a few
 * seconds of each other, or 5 of calls whose lengths agree and none elsewhere. It is a multiple of
 * 15 minutes and a rest; a rest of less than 2 s is none. Else a zone shift alone, when 80 % of at
 * least 20 are within 60 s of one. Where a clock was set there may be two, each by the votes that
 * the other does not explain. Undefined: votes too few to say anything.
 */
export function judgeVotes(says: HourSays): ClockOffset | undefined {
  return judge(new Tally(says).votes(), BAND_S);
}

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const ZONE_STEP_S = 900;
const MAX_ZONE_S = 14 * 3_600;
const MAX_REST_S = ZONE_STEP_S / 2;
/**
 * What a window holds: nearer offsets need no second look to be found, and are told apart by many
 * votes only.
 */
const WINDOW_S = 60;
/** Buckets on either side of a band's middle: with its own they are 1.5 s wide either way. */
const BAND_S = 1;
/** A clock may drift by so much in an hour. */
const DRIFT_S = 0.3;
/** Two offsets of an hour are so far apart: nearer, they are one whose calls scatter. */
const APART_S = 5;
/** Hours on either side that are asked before the days are. */
const REACHES_H = [1, 3, 8];
const OTHER = "other";
const ALIKE = "=";

/** Votes on one second. */
interface Vote {
  readonly seconds: number;
  count: number;
  /** Of calls whose lengths agree. */
  alike: number;
  /**
   * Those that speak against any other second. Two calls far from each other may be two calls: they
   * do not, unless their lengths agree.
   */
  against: number;
}

/** Adds up votes of hours, by second. */
class Tally {
  readonly #votes = new Map<number, Vote>();
  count = 0;

  constructor(says?: HourSays) {
    this.add(says);
  }

  add(says: HourSays | undefined): void {
    if (says === undefined) return;
    for (const [bucket, count] of Object.entries(says.near)) this.#addBucket(bucket, count, true);
    for (const [bucket, count] of Object.entries(says.far)) this.#addBucket(bucket, count, false);
  }

  copy(): Tally {
    const copied = new Tally();
    for (const vote of this.#votes.values()) copied.#votes.set(vote.seconds, { ...vote });
    copied.count = this.count;
    return copied;
  }

  /** By second, ascending: the same in whatever order they came. */
  votes(): Vote[] {
    return [...this.#votes.values()].sort((a, b) => a.seconds - b.seconds);
  }

  #addBucket(bucket: string, count: number, isNear: boolean): void {
    const isAlike = bucket.endsWith(ALIKE);
    const seconds = Number(isAlike ? bucket.slice(0, -1) : bucket);
    if (!Number.isInteger(seconds) || count <= 0) return;
    const vote = this.#votes.get(seconds) ?? { seconds, count: 0, alike: 0, against: 0 };
    vote.count += count;
    if (isAlike) vote.alike += count;
    if (isAlike || isNear) vote.against += count;
    this.count += count;
    this.#votes.set(seconds, vote);
  }
}

function reachesOf(hourMs: number): [from: number, to: number][] {
  const day = Math.floor(hourMs / DAY_MS) * DAY_MS;
  const [first, last] = [day - DAY_MS, day + 2 * DAY_MS - HOUR_MS];
  const near = REACHES_H.map((hours): [number, number] => [hourMs - hours * HOUR_MS, hourMs + hours * HOUR_MS]);
  return [...near, [first, last]];
}

/** Votes that agree. */
interface Band {
  readonly fromS: number;
  readonly toS: number;
  readonly votes: readonly Vote[];
  readonly count: number;
  readonly alike: number;
}

function judge(votes: readonly Vote[], slackS: number): ClockOffset | undefined {
  const total = votes.reduce((sum, { count }) => sum + count, 0);
  if (total < MIN_ALIKE) return undefined;
  return judgeBands(votes, slackS) ?? judgeZones(votes);
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
  return isEnough(first, others) ? bandOffset(first, others, slackS) : undefined;
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

function ofHoursAround({ second, ...first }: ClockOffset): ClockOffset {
  const isAround = true;
  return second === undefined ? { ...first, isAround } : { ...first, isAround, second: { ...second, isAround } };
}

// The few votes of an hour may say that the clock was another then than in the hours around it.
// Where lengths mostly agree those that do are asked alone: what is near may be another call.
function isContradicted(own: readonly Vote[], all: readonly Vote[], { offsetMs, second }: ClockOffset): boolean {
  const sum = (votes: readonly Vote[], of: (vote: Vote) => number) =>
    votes.reduce((total, vote) => total + of(vote), 0);
  const isByLength = 2 * sum(all, ({ alike }) => alike) > sum(all, ({ count }) => count);
  const weightOf = isByLength ? ({ alike }: Vote) => alike : ({ against }: Vote) => against;
  const isNear = (seconds: number, ms: number) => Math.abs(seconds - ms / 1_000) <= WINDOW_S;
  const supporting = own.filter(
    ({ seconds }) => isNear(seconds, offsetMs) || (second !== undefined && isNear(seconds, second.offsetMs)),
  );
  return sum(own, weightOf) > 2 * sum(supporting, weightOf);
}
