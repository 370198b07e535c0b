import type { RoundingRule } from "../carriers/carrier.ts";
import type { CarrierFacts, KnownRounding, MatchingInput } from "./facts.ts";

/**
 * A duration as a rule bills it, whole seconds: the minimum, and from there on each increment that
 * has begun.
 */
export function applyRule({ incrementS, minimumS }: RoundingRule, connectedMs: number): number {
  const beyondS = Math.max(0, connectedMs / 1_000 - minimumS);
  return minimumS + Math.ceil(beyondS / incrementS) * incrementS;
}

/**
 * The rule by which a carrier's record was rounded: its own, else the declared one, else what was
 * inferred of its trunk and day.
 */
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
 * The rule that makes the difference of a pair: the record's own, else the declared one, else the
 * inferred one. A stated rule is how the bill is made; that the connected duration was rounded by
 * it as well shows when it is a whole number of increments. In a pair that agrees that may be
 * chance (one in 6,000 for 6 s), so that there only the rule counts that the trunk and day show.
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

/**
 * Whether a rule makes the carrier's duration of the platform's. What is no difference between the
 * two may cross a boundary before it is rounded.
 */
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

/** Votes of a trunk and day on how its carrier rounds, by what `roundingVotes` names. */
export type RoundingCounts = Readonly<Record<string, number>>;

/**
 * What a pair that was answered on both sides says of its carrier's rounding, as keys to count:
 * that it is a pair, and each increment that its duration is a multiple of while it is the
 * platform's, rounded up; and that it is a bill, and each rule that makes this bill of the
 * platform's duration. Nothing is said by a pair that differs by more than any rule makes, such as
 * a stuck call. Connected milliseconds of both sides, as far as the carrier gives them.
 */
export function roundingVotes(platformMs: number, carrierMs: number | undefined, billedS?: number): string[] {
  return [
    ...(carrierMs === undefined ? [] : connectedVotes(platformMs, carrierMs)),
    ...(billedS === undefined || billedS === 0 ? [] : billVotes(platformMs, billedS)),
  ];
}

/**
 * The rule that at least 95 % of at least 20 bills of a trunk and day show; where there are no
 * bills, or they show none, the largest increment that as many of its connected durations show.
 * Undefined: none.
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

// A call that is shorter than a minimum says nothing of the increment, and one that is longer
// nothing of the minimum but where its increments begin: a rule explains either, or it is not the
// rule.
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

// Of rules that explain as much, the one with the largest increment, and of those the one with the
// least minimum: nothing shows more.
function judgeBills(votes: RoundingCounts): KnownRounding | undefined {
  const pairCount = votes[BILLS] ?? 0;
  if (pairCount < MIN_PAIRS) return undefined;
  const most = Math.max(...BILL_RULES.map(({ key }) => votes[key] ?? 0));
  const best = BILL_RULES.find(({ key }) => (votes[key] ?? 0) === most);
  if (best === undefined || most < pairCount * MIN_SHARE) return undefined;
  return { rule: best.rule, isInferred: true, pairCount, ratio: most / pairCount };
}

/**
 * The increments that are looked for, the largest first: a multiple of 60 is one of 30 and of 6 as
 * well.
 */
const LARGEST_S = 60;
const INCREMENTS_S = [LARGEST_S, 30, 6];
/**
 * What carriers bill by: increments of 60, 30, 20, 15, 12, 10, 6, 5 and 1 s, after minimums up to
 * two minutes.
 */
const BILL_INCREMENTS_S = [60, 30, 20, 15, 12, 10, 6, 5, 1];
const BILL_MINIMUMS_S = [0, 5, 6, 10, 12, 15, 18, 20, 30, 45, 60, 90, 120];
const LONGEST_BILLED_S = 121;
/** Each once: a minimum of one increment is none, for whatever has begun is billed whole. */
const BILL_RULES = BILL_INCREMENTS_S.flatMap((incrementS) =>
  BILL_MINIMUMS_S.filter((minimumS) => minimumS !== incrementS).map((minimumS) => ({
    rule: { incrementS, minimumS },
    key: `${minimumS}/${incrementS}`,
  })),
);
const MIN_PAIRS = 20;
const MIN_SHARE = 0.95;
/** By so much two clocks may measure one call differently, milliseconds. */
export const CLOCK_SLACK_MS = 1_000;
const PAIRS = "pairs";
const BILLS = "bills";
