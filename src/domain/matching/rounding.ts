import type { RoundingRule } from "../carriers/carrier.ts";
import type { CarrierFacts, KnownRounding, MatchingInput } from "./facts.ts";

/** What a rule bills, seconds: the minimum, and each further increment that has begun. */
export function applyRule({ incrementS, minimumS }: RoundingRule, connectedMs: number): number {
  const beyondS = Math.max(0, connectedMs / 1_000 - minimumS);
  return minimumS + Math.ceil(beyondS / incrementS) * incrementS;
}

/** The record's own rule, else the declared, else the inferred one. */
export function ruleOf(record: CarrierFacts, { agreement, roundingOf }: MatchingInput): KnownRounding | undefined {
  const rule = record.roundingRule ?? agreement.roundingRule;
  return rule === undefined ? roundingOf(record) : { rule, isInferred: false, pairCount: 0, ratio: 1 };
}

/** Connected durations of a pair, milliseconds. */
export interface RoundedLengths {
  readonly platformMs: number;
  readonly carrierMs: number;
  /** Carrier records: each is rounded by itself. */
  readonly partCount: number;
}

/**
 * The rule that explains a pair's difference: the record's own, else the declared, else the
 * inferred one. A stated rule is about the bill; it also rounded the duration if that is a whole
 * number of increments. In an agreeing pair that may be chance (1 in 6,000 for 6 s), so there only
 * the inferred rule counts.
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
  const known = roundingOf(record);
  const inferred = known?.ofConnected ?? known;
  return inferred !== undefined && isRoundedBy(inferred.rule, lengths, agreement.toleranceMs) ? inferred : undefined;
}

/** Whether the rule makes the carrier's duration of the platform's, within the tolerance. */
export function isRoundedBy(
  rule: RoundingRule,
  { platformMs, carrierMs, partCount }: RoundedLengths,
  toleranceMs: number,
): boolean {
  const slackMs = Math.max(CLOCK_SLACK_MS, toleranceMs);
  if ((carrierMs - rule.minimumS * 1_000) % (rule.incrementS * 1_000) !== 0) return false;
  const leastS = applyRule(rule, Math.max(0, platformMs - slackMs));
  const mostS = applyRule(rule, platformMs + slackMs) + (partCount - 1) * rule.incrementS;
  return carrierMs >= leastS * 1_000 && carrierMs <= mostS * 1_000;
}

/** Votes of a trunk and day, by the keys of `roundingVotes`. */
export type RoundingCounts = Readonly<Record<string, number>>;

/**
 * The votes of an answered pair: that it is a pair, with each increment that explains its duration,
 * and that it is a bill, with each rule that explains it. A difference beyond any rule does not
 * vote. Milliseconds.
 */
export function roundingVotes(platformMs: number, carrierMs: number | undefined, billedS?: number): string[] {
  return [
    ...(carrierMs === undefined ? [] : connectedVotes(platformMs, carrierMs)),
    ...(billedS === undefined || billedS === 0 ? [] : billVotes(platformMs, billedS)),
  ];
}

/**
 * The rule that at least 95 % of at least 20 bills show; without bills, the largest increment that
 * as many durations show. Undefined: none.
 */
export function judgeRounding(votes: RoundingCounts): KnownRounding | undefined {
  const ofConnected = judgeConnected(votes);
  const ofBills = judgeBills(votes);
  if (ofBills === undefined) return ofConnected;
  return ofConnected === undefined ? ofBills : { ...ofBills, ofConnected };
}

function connectedVotes(platformMs: number, carrierMs: number): string[] {
  const excessMs = carrierMs - platformMs;
  if (excessMs < -CLOCK_SLACK_MS || excessMs >= LARGEST_S * 1_000) return [];
  const increments = INCREMENTS_S.filter(
    (incrementS) => carrierMs % (incrementS * 1_000) === 0 && excessMs < incrementS * 1_000,
  );
  return [PAIRS, ...increments.map(String)];
}

function judgeConnected(votes: RoundingCounts): KnownRounding | undefined {
  const pairCount = votes[PAIRS] ?? 0;
  if (pairCount < MIN_PAIRS) return undefined;
  const incrementS = INCREMENTS_S.find((increment) => (votes[String(increment)] ?? 0) >= pairCount * MIN_SHARE);
  if (incrementS === undefined) return undefined;
  const ratio = (votes[String(incrementS)] ?? 0) / pairCount;
  return { rule: { incrementS, minimumS: 0 }, isInferred: true, pairCount, ratio };
}

// Short calls tell the minimum, long ones the increment: a rule must explain both.
function billVotes(platformMs: number, billedS: number): string[] {
  const excessMs = billedS * 1_000 - platformMs;
  if (excessMs < -CLOCK_SLACK_MS || excessMs >= LONGEST_BILLED_S * 1_000) return [];
  const made = BILL_RULES.filter(
    ({ rule }) =>
      billedS >= applyRule(rule, Math.max(0, platformMs - CLOCK_SLACK_MS)) &&
      billedS <= applyRule(rule, platformMs + CLOCK_SLACK_MS),
  );
  return [BILLS, ...made.map(({ key }) => key)];
}

// Of equal rules the largest increment, then the smallest minimum.
function judgeBills(votes: RoundingCounts): KnownRounding | undefined {
  const pairCount = votes[BILLS] ?? 0;
  if (pairCount < MIN_PAIRS) return undefined;
  const most = Math.max(...BILL_RULES.map(({ key }) => votes[key] ?? 0));
  const best = BILL_RULES.find(({ key }) => (votes[key] ?? 0) === most);
  if (best === undefined || most < pairCount * MIN_SHARE) return undefined;
  return { rule: best.rule, isInferred: true, pairCount, ratio: most / pairCount };
}

/** The largest first: a multiple of 60 is also one of 30 and 6. */
const LARGEST_S = 60;
const INCREMENTS_S = [LARGEST_S, 30, 6];
/** Of bills, seconds. */
const BILL_INCREMENTS_S = [60, 30, 20, 15, 12, 10, 6, 5, 1];
const BILL_MINIMUMS_S = [0, 5, 6, 10, 12, 15, 18, 20, 30, 45, 60, 90, 120];
const LONGEST_BILLED_S = 121;
/** A minimum of one increment is none. */
const BILL_RULES = BILL_INCREMENTS_S.flatMap((incrementS) =>
  BILL_MINIMUMS_S.filter((minimumS) => minimumS !== incrementS).map((minimumS) => ({
    rule: { incrementS, minimumS },
    key: `${minimumS}/${incrementS}`,
  })),
);
const MIN_PAIRS = 20;
const MIN_SHARE = 0.95;
/** Two clocks may measure a call so differently, milliseconds. */
export const CLOCK_SLACK_MS = 1_000;
const PAIRS = "pairs";
const BILLS = "bills";
