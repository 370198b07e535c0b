import { difference } from "../../known-numbers.ts";
import {
  type CarrierUnit,
  hasLikeTimes,
  isCarrierInScope,
  isPlatformInScope,
  lengthOf,
  type PlatformUnit,
  showsBothParties,
  startDelta,
} from "../call-unit.ts";
import { lengthsWithRing, stuckTimerOf } from "../causes.ts";
import type { MatchingAgreement } from "../facts.ts";
import { applyRule, CLOCK_SLACK_MS, isRoundedBy } from "../rounding.ts";
import { haveUnlikeIds, isOtherCallId } from "../signalling-ids.ts";

/**
 * How well two records fit, best first. Better grades are paired first and give way to no number of
 * worse pairs. See `docs/decisions/0004`.
 */
export const Grade = {
  /** Like answer and scope, like times at most 1 s apart, durations alike. */
  EVERY_FIGURE: 0,
  /** Like answer and scope, answers or invites at most 2 s apart; the durations differ. */
  TIME: 1,
  /** Like answer and scope, durations at most 100 ms apart; a clock may be off. */
  SAME_LENGTH: 2,
  /** Like times at most 2 s apart, and one side says unanswered. */
  TIME_ALONE: 3,
  /** Like answer and scope, durations alike; a clock may be off. */
  LENGTH: 4,
  /** Nothing but the numbers and the window. */
  WINDOW: 5,
} as const;
export type Grade = (typeof Grade)[keyof typeof Grade];
export const GRADES: readonly Grade[] = Object.values(Grade);

export interface Fit {
  readonly grade: Grade | undefined;
  /**
   * Difference of like times beyond the resolution, milliseconds; a second more if a party is
   * hidden, since equal numbers say more.
   */
  readonly timeMs: number;
  /** Difference of the durations, if both are known. */
  readonly durationMs: number;
  /** Equal but for measuring errors. */
  readonly isExact: boolean;
}

const TOGETHER_MS = 1_000;
/** Less is no skew. */
export const NEAR_MS = 2_000;
/** Beyond this, lengths or answers must be possible for one call. */
const FAR_MS = 5_000;
const EXACT_MS = 20;
/** Most lengths of one call differ by less, of two calls by more. */
const SAME_LENGTH_MS = 100;
/** Most that rounding adds, and a second for the clocks. */
const ROUNDED_MS = 61_000;
/** The same of a bill of unknown rule. */
const BILLED_MS = 91_000;

export function fitOf(platform: PlatformUnit, carrier: CarrierUnit, agreement: MatchingAgreement): Fit {
  const answerMs = distanceOf(platform, carrier);
  // A network may answer while the phone rings; then the invites show one call.
  const timeMs = Math.min(answerMs, inviteDistanceOf(platform, carrier) ?? answerMs);
  const length = compareLengths(platform, carrier, agreement);
  const durationMs = lengthDifference(platform, carrier);
  const isInScopeAlike = isPlatformInScope(platform, agreement) === isCarrierInScope(carrier, agreement);
  const isLike = isAnsweredAlike(platform, carrier) && isInScopeAlike;
  const isComparable = hasLikeTimes(platform, carrier);
  const isOther = isComparable && timeMs > NEAR_MS && durationMs > SAME_LENGTH_MS && areUnlike(platform, carrier);
  const grade = isOther
    ? undefined
    : gradeOf(platform, carrier, { timeMs, answerMs, durationMs, length, isLike, isComparable });
  const isShown = showsBothParties(platform) && showsBothParties(carrier);
  const isExact = isShown && grade === Grade.EVERY_FIGURE && timeMs <= EXACT_MS && durationMs <= EXACT_MS;
  return { grade, timeMs: isShown ? timeMs : timeMs + TOGETHER_MS, durationMs, isExact };
}

/** Whether answers and lengths allow a pair, whatever was agreed. */
export function couldBePair(platform: PlatformUnit, carrier: CarrierUnit): boolean {
  if (!hasLikeTimes(platform, carrier) || distanceOf(platform, carrier) <= FAR_MS) return true;
  return isAnsweredAlike(platform, carrier) && compareLengths(platform, carrier) !== "OTHER";
}

export function isAtOneTime(platform: PlatformUnit, carrier: CarrierUnit): boolean {
  return hasLikeTimes(platform, carrier) && distanceOf(platform, carrier) <= NEAR_MS;
}

/** Whether Call-IDs differ; no call on a trunk has two. */
export function areOtherCalls(platform: PlatformUnit, carrier: CarrierUnit): boolean {
  if (platform.facts.ids.dialogCallId === undefined) return false;
  return platform.records.every((mine) => carrier.records.every((others) => isOtherCallId(mine.ids, others.ids)));
}

/** Whether other ids differ, which networks may replace: then times or lengths must agree. */
export function areUnlike(platform: PlatformUnit, carrier: CarrierUnit): boolean {
  return haveUnlikeIds(platform.facts.ids, carrier.facts.ids);
}

interface Figures {
  readonly timeMs: number;
  readonly answerMs: number;
  readonly durationMs: number;
  readonly length: LengthFit;
  readonly isLike: boolean;
  readonly isComparable: boolean;
}

function gradeOf(platform: PlatformUnit, carrier: CarrierUnit, figures: Figures): Grade | undefined {
  const { timeMs, answerMs, durationMs, length, isLike, isComparable } = figures;
  const isNear = isComparable && timeMs <= NEAR_MS;
  if (isLike && isNear) return answerMs <= TOGETHER_MS && length === "ALIKE" ? Grade.EVERY_FIGURE : Grade.TIME;
  const isLongAsWell = isLike && length === "ALIKE" && platform.answered;
  if (isLongAsWell && durationMs <= SAME_LENGTH_MS) return Grade.SAME_LENGTH;
  if (isNear) return Grade.TIME_ALONE;
  if (isLongAsWell) return Grade.LENGTH;
  const isPossible = isAnsweredAlike(platform, carrier) && length !== "OTHER";
  return isPossible || !isComparable || timeMs <= FAR_MS ? Grade.WINDOW : undefined;
}

function distanceOf(platform: PlatformUnit, carrier: CarrierUnit): number {
  return distance(startDelta(platform, carrier) ?? 0, carrier);
}

function inviteDistanceOf({ inviteMs }: PlatformUnit, carrier: CarrierUnit): number | undefined {
  const deltaMs = difference(carrier.inviteMs, inviteMs);
  return deltaMs === undefined ? undefined : distance(deltaMs, carrier);
}

// A time in steps of n milliseconds is up to n - 1 too early.
function distance(deltaMs: number, carrier: CarrierUnit): number {
  return deltaMs >= 0 ? deltaMs : Math.max(0, -deltaMs - carrier.slackMs);
}

function isAnsweredAlike(platform: PlatformUnit, carrier: CarrierUnit): boolean {
  return platform.answered === carrier.answered || isOpenEnded(platform);
}

// A call in progress may yet be answered.
function isOpenEnded({ records, answered }: PlatformUnit): boolean {
  return !answered && records.some(({ isPartial }) => isPartial);
}

/** ALIKE: of one call. POSSIBLE: a known fault explains it. OTHER: none does. */
type LengthFit = "ALIKE" | "POSSIBLE" | "OTHER";

function compareLengths(platform: PlatformUnit, carrier: CarrierUnit, agreement?: MatchingAgreement): LengthFit {
  if (!platform.answered && !carrier.answered) return "ALIKE";
  const { connectedMs } = platform;
  const othersMs = lengthOf(carrier);
  if (!platform.answered || !carrier.answered) return "OTHER";
  if (connectedMs === undefined || othersMs === undefined) return "POSSIBLE";
  const slackMs = CLOCK_SLACK_MS + Math.min(carrier.slackMs, CLOCK_SLACK_MS);
  const excessMs = othersMs - connectedMs;
  if (Math.abs(excessMs) <= slackMs || isByRule(connectedMs, carrier, agreement)) return "ALIKE";
  const mostMs = carrier.connectedMs === undefined ? BILLED_MS : ROUNDED_MS;
  const isRounded = excessMs >= -NEAR_MS && excessMs <= mostMs;
  return isRounded || isFaulty(platform, carrier, othersMs) ? "POSSIBLE" : "OTHER";
}

function isByRule(connectedMs: number, carrier: CarrierUnit, agreement?: MatchingAgreement): boolean {
  const rule = carrier.facts.roundingRule ?? agreement?.roundingRule;
  if (rule === undefined) return false;
  const partCount = carrier.records.length;
  if (carrier.connectedMs !== undefined) {
    return isRoundedBy(rule, { platformMs: connectedMs, carrierMs: carrier.connectedMs, partCount }, CLOCK_SLACK_MS);
  }
  const { billedS = Number.NaN } = carrier;
  const mostS = applyRule(rule, connectedMs + CLOCK_SLACK_MS) + (partCount - 1) * rule.incrementS;
  return billedS >= applyRule(rule, Math.max(0, connectedMs - CLOCK_SLACK_MS)) && billedS <= mostS;
}

function isFaulty(platform: PlatformUnit, carrier: CarrierUnit, othersMs: number): boolean {
  if (carrier.facts.part !== undefined || carrier.records.length > 1 || platform.records.length > 1) return true;
  if (platform.records.some(({ isPartial }) => isPartial)) return true;
  if (stuckTimerOf(platform, carrier) !== undefined) return true;
  return lengthsWithRing(platform).some((lengthMs) => Math.abs(othersMs - lengthMs) <= NEAR_MS);
}

// Of unanswered calls the ring time, which tells tries apart.
function lengthDifference(platform: PlatformUnit, carrier: CarrierUnit): number {
  if (!platform.answered && !carrier.answered) {
    const [mine, others] = [platform, carrier].map(({ inviteMs, endMs }) => difference(endMs, inviteMs));
    return mine === undefined || others === undefined || others === 0 ? 0 : Math.abs(others - mine);
  }
  const mine = lengthOf(platform);
  const others = lengthOf(carrier);
  return mine === undefined || others === undefined ? 0 : Math.abs(others - mine);
}
