import type { ClockOffset } from "../facts.ts";
import { AS_WRITTEN, BAND_S, isAsWritten, isNear, isOne, judgeVotes, MIN_ALIKE, MIN_SHARE } from "./clock-judgement.ts";
import { type HourSays, Tally, type Vote } from "./clock-votes.ts";

/** Evidence of an hour comes from its UTC day, the day before and the day after. */
export const EVIDENCE_DAYS_MS = 2 * 86_400_000;

/**
 * The clock offset of a trunk and hour by the hour's own votes. If they are too few, nearby hours
 * are added step by step, up to the day before and after, unless the hour's votes contradict what
 * these show. If calls stay unexplained, hours further off may give a second offset. Undefined: too
 * few votes anywhere.
 */
export function offsetOfHour(
  hourMs: number,
  saysAt: (hourMs: number) => HourSays | undefined,
): ClockOffset | undefined {
  const own = new Tally(saysAt(hourMs)).votes();
  const nearby = votesOf([hourMs - HOUR_MS, hourMs, hourMs + HOUR_MS], saysAt);
  let first = judgeVotes(own);
  if (first !== undefined && isWhole(nearby, first)) return first;
  for (const { votes, around } of judgeAround(hourMs, saysAt)) {
    if (first !== undefined) {
      const second = secondOf(first, around, nearby);
      if (second !== undefined) return { ...first, second };
    } else if (!isContradicted(own, votes, around)) {
      first = around;
      if (isWhole(nearby, first)) return first;
    }
  }
  return first && orAsWritten(first, nearby);
}

function votesOf(hours: readonly number[], saysAt: (hourMs: number) => HourSays | undefined): Vote[] {
  const tally = new Tally();
  for (const hour of hours) tally.add(saysAt(hour));
  return tally.votes();
}

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** A clock's drift in an hour, seconds. */
const DRIFT_S = 0.3;
/** Hours on either side that are asked before whole days. */
const REACHES_H = [1, 3, 8];

/** What wider and wider surroundings agree on. */
function* judgeAround(
  hourMs: number,
  saysAt: (hourMs: number) => HourSays | undefined,
): Generator<{ votes: readonly Vote[]; around: ClockOffset }> {
  const tally = new Tally(saysAt(hourMs));
  let [first, last] = [hourMs, hourMs];
  for (const [from, to] of reachesOf(hourMs)) {
    for (let hour = first - HOUR_MS; hour >= from; hour -= HOUR_MS) tally.add(saysAt(hour));
    for (let hour = last + HOUR_MS; hour <= to; hour += HOUR_MS) tally.add(saysAt(hour));
    [first, last] = [from, to];
    if (tally.count < MIN_ALIKE) continue;
    const slackS = BAND_S + Math.ceil(((to - from) / 2 / HOUR_MS) * DRIFT_S);
    const votes = tally.votes();
    const around = judgeVotes(votes, slackS);
    if (around !== undefined && around.ratio >= MIN_SHARE) yield { votes, around: ofHoursAround(around) };
  }
}

function reachesOf(hourMs: number): [from: number, to: number][] {
  const day = Math.floor(hourMs / DAY_MS) * DAY_MS;
  const [first, last] = [day - DAY_MS, day + 2 * DAY_MS - HOUR_MS];
  const near = REACHES_H.map((hours): [number, number] => [hourMs - hours * HOUR_MS, hourMs + hours * HOUR_MS]);
  return [...near, [first, last]];
}

function ofHoursAround({ second, ...first }: ClockOffset): ClockOffset {
  const isAround = true;
  return second === undefined ? { ...first, isAround } : { ...first, isAround, second: { ...second, isAround } };
}

// Whether two offsets are found, or one that explains all calls of the hour.
function isWhole(own: readonly Vote[], first: ClockOffset): boolean {
  return first.second !== undefined || leftAlone(own, first).length === 0;
}

// Votes that an offset does not explain. Within the window calls pair anyway and may be answered
// early or late, so only equal lengths count there.
function leftAlone(own: readonly Vote[], { offsetMs }: ClockOffset): Vote[] {
  return own.filter(({ seconds, alike }) => !isNear(seconds, offsetMs) || (alike > 0 && !isOne(seconds, offsetMs)));
}

// The offset of surrounding hours that explains what the first does not.
function secondOf(first: ClockOffset, around: ClockOffset, own: readonly Vote[]): ClockOffset | undefined {
  const { second, ...other } = around;
  const left = leftAlone(own, first);
  const has = ({ offsetMs }: ClockOffset) => left.some(({ seconds }) => isOne(seconds, offsetMs));
  return [other, second].find(
    (each) => each !== undefined && !isOne(each.offsetMs / 1_000, first.offsetMs) && has(each),
  );
}

// A right clock needs no evidence: calls that fit as written are tried so too.
function orAsWritten(first: ClockOffset, own: readonly Vote[]): ClockOffset {
  const asWritten = leftAlone(own, first).filter(isAsWritten);
  if (first.second !== undefined || asWritten.length === 0 || isNear(0, first.offsetMs)) return first;
  const pairCount = asWritten.reduce((sum, { count }) => sum + count, 0);
  return { ...first, second: { ...AS_WRITTEN, pairCount } };
}

// An hour's few votes may show another clock. If most lengths agree, only those votes count: others
// may be of other calls.
function isContradicted(own: readonly Vote[], all: readonly Vote[], { offsetMs, second }: ClockOffset): boolean {
  const sum = (votes: readonly Vote[], of: (vote: Vote) => number) =>
    votes.reduce((total, vote) => total + of(vote), 0);
  const isByLength = 2 * sum(all, ({ alike }) => alike) > sum(all, ({ count }) => count);
  const weightOf = isByLength ? ({ alike }: Vote) => alike : ({ against }: Vote) => against;
  const supporting = own.filter(
    ({ seconds }) => isNear(seconds, offsetMs) || (second !== undefined && isNear(seconds, second.offsetMs)),
  );
  return sum(own, weightOf) > 2 * sum(supporting, weightOf);
}
