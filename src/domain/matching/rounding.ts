import type { RoundingRule } from "../carrier.ts";
import type { CarrierFacts, KnownRounding, MatchingInput } from "./facts.ts";

/** A duration as a rule bills it, whole seconds: at least the minimum, then up to the next multiple of the increment. */
export function applyRule({ incrementS, minimumS }: RoundingRule, connectedMs: number): number {
  const increments = Math.ceil(Math.max(connectedMs / 1_000, minimumS) / incrementS);
  return increments * incrementS;
}

/** The rule by which a carrier's record was rounded: its own, else the declared one, else what was inferred of its trunk and day. */
export function ruleOf(record: CarrierFacts, { agreement, roundingOf }: MatchingInput): KnownRounding | undefined {
  const rule = record.roundingRule ?? agreement.roundingRule;
  return rule === undefined ? roundingOf(record) : { rule, isInferred: false, pairCount: 0, ratio: 1 };
}

/** Connected durations of a pair that differ, milliseconds. */
export interface RoundedLengths {
  readonly platformMs: number;
  readonly carrierMs: number;
  /** Of the carrier's records: each part of a split call is rounded by itself. */
  readonly partCount: number;
}

/**
 * The rule that makes the difference of a pair: the record's own, else the declared one, else the inferred one. A stated rule is how the bill is made; that
 * the connected duration was rounded by it as well shows when it is a whole number of increments. In a pair that agrees that may be chance (one
 * in 6,000 for 6 s), so that there only the rule counts that the trunk and day show.
 */
export function explainRounding(
  record: CarrierFacts,
  lengths: RoundedLengths,
  { agreement, roundingOf }: MatchingInput,
  isMismatch: boolean,
): KnownRounding | undefined {
  if (isMismatch) {
    const stated = [record.roundingRule, agreement.roundingRule].filter((rule) => rule !== undefined);
    const rule = stated.find((each) => isRoundedBy(each, lengths, agreement.toleranceMs));
    if (rule !== undefined) return { rule, isInferred: false, pairCount: 0, ratio: 1 };
  }
  const inferred = roundingOf(record);
  return inferred !== undefined && isRoundedBy(inferred.rule, lengths, agreement.toleranceMs) ? inferred : undefined;
}

/** Whether a rule makes the carrier's duration of the platform's. What is no difference between the two may cross a boundary before it is rounded. */
export function isRoundedBy(
  rule: RoundingRule,
  { platformMs, carrierMs, partCount }: RoundedLengths,
  toleranceMs: number,
): boolean {
  const slackMs = Math.max(CLOCK_SLACK_MS, toleranceMs);
  if (carrierMs % (rule.incrementS * 1_000) !== 0) return false;
  const leastS = applyRule(rule, Math.max(0, platformMs - slackMs));
  const mostS = applyRule(rule, platformMs + slackMs) + (partCount - 1) * rule.incrementS;
  return carrierMs >= leastS * 1_000 && carrierMs <= mostS * 1_000;
}

/** Votes of a trunk and day on how its carrier rounds, by what `roundingVotes` names. */
export type RoundingCounts = Readonly<Record<string, number>>;

/**
 * What a pair that was answered on both sides says of its carrier's rounding, as keys to count: that it is a pair, and each increment that its
 * duration is a multiple of while it is the platform's, rounded up. Nothing is said by a pair that differs by more than any increment makes, such as
 * a stuck call. Connected milliseconds of both sides.
 */
export function roundingVotes(platformMs: number, carrierMs: number): string[] {
  const excessMs = carrierMs - platformMs;
  if (excessMs < -CLOCK_SLACK_MS || excessMs >= LARGEST_S * 1_000) return [];
  const increments = INCREMENTS_S.filter(
    (incrementS) => carrierMs % (incrementS * 1_000) === 0 && excessMs < incrementS * 1_000,
  );
  return [PAIRS, ...increments.map(String)];
}

/** The largest increment that at least 95 % of at least 20 pairs of a trunk and day show; undefined: none. */
export function judgeRounding(votes: RoundingCounts): KnownRounding | undefined {
  const pairCount = votes[PAIRS] ?? 0;
  if (pairCount < MIN_PAIRS) return undefined;
  const incrementS = INCREMENTS_S.find((increment) => (votes[String(increment)] ?? 0) >= pairCount * MIN_SHARE);
  if (incrementS === undefined) return undefined;
  const ratio = (votes[String(incrementS)] ?? 0) / pairCount;
  return { rule: { incrementS, minimumS: 0 }, isInferred: true, pairCount, ratio };
}

/** The increments that are looked for, the largest first: a multiple of 60 is one of 30 and of 6 as well. */
const LARGEST_S = 60;
const INCREMENTS_S = [LARGEST_S, 30, 6];
const MIN_PAIRS = 20;
const MIN_SHARE = 0.95;
/** By so much two clocks may measure one call differently, milliseconds. */
export const CLOCK_SLACK_MS = 1_000;
const PAIRS = "pairs";
