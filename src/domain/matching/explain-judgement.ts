import type { RoundingRule } from "../carrier.ts";
import { WHOLE_SECONDS } from "./compare-durations.ts";
import {
  EvidenceOutcome,
  EvidenceStage,
  type EvidenceStep,
  type ExplainedCall,
  evidenceValue,
  tellCount,
  tellLength,
  tellTime,
} from "./evidence.ts";
import type { KnownRounding } from "./facts.ts";
import { Basis, type CallResult, type Finding, MatchCause, MatchStatus, PendingReason, Side } from "./result.ts";
import { applyRule, ruleOf } from "./rounding.ts";

const { PASSED, FAILED, NOT_COMPARABLE, SKIPPED } = EvidenceOutcome;

/** Whether both sides say answered. */
export function explainAnswer({ platform, carrier, result }: ExplainedCall): EvidenceStep | undefined {
  if (platform === undefined || carrier === undefined || result.status === MatchStatus.VOIDED) return undefined;
  const isSame = platform.answered === carrier.answered;
  const told = (answered: boolean) => (answered ? "answered" : "unanswered");
  const both = `Both sides say that the call was ${told(platform.answered)}.`;
  const differ = `The platform says ${told(platform.answered)}, the carrier ${told(carrier.answered)}.`;
  return {
    stage: EvidenceStage.ANSWER_STATE,
    outcome: isSame ? PASSED : FAILED,
    explanation: isSame ? both : differ,
    values: [evidenceValue("answered", isSame ? PASSED : FAILED, [told(platform.answered), told(carrier.answered)])],
  };
}

/** The durations against the tolerance. */
export function explainDuration(call: ExplainedCall): EvidenceStep | undefined {
  const { platform, carrier, result } = call;
  if (platform === undefined || carrier === undefined || result.status === MatchStatus.VOIDED) return undefined;
  if (!platform.answered || !carrier.answered) return undefined;
  const stage = EvidenceStage.DURATION;
  if (result.status === MatchStatus.PENDING) {
    return {
      stage,
      outcome: SKIPPED,
      explanation: "The durations are compared when the call is complete.",
      values: [],
    };
  }
  switch (result.basis) {
    case Basis.CONNECTED:
      return explainConnected(call);
    case Basis.BILLED:
      return explainBill(call);
    case Basis.NONE:
      return {
        stage,
        outcome: NOT_COMPARABLE,
        explanation: `Both sides say answered, but ${tellUnmeasured(call)} not say for how long: the lengths cannot be compared.`,
        values: [],
      };
    default:
      return result.basis satisfies never;
  }
}

/** The grace of a side that is missing. */
export function explainGrace(call: ExplainedCall): EvidenceStep | undefined {
  const { input, result } = call;
  const { graceEndMs } = result;
  if (graceEndMs === undefined) return undefined;
  const isOver = input.nowMs >= graceEndMs;
  const awaited = tellAwaited(call);
  const values = [
    evidenceValue("grace_end_time", isOver ? FAILED : PASSED, [undefined, undefined, tellTime(graceEndMs)]),
  ];
  const grace = `until ${tellTime(graceEndMs)}: ${tellLength(input.agreement.graceMs)} from the end of the call, or from when its other record arrived if that was later`;
  return {
    stage: EvidenceStage.GRACE,
    outcome: isOver ? FAILED : PASSED,
    explanation: isOver
      ? `There was time for ${awaited} to arrive ${grace}. That time is over.`
      : `There is time for ${awaited} to arrive ${grace}.`,
    values,
  };
}

/** The search for a cause. */
export function explainCause({ platform, carrier, result }: ExplainedCall): EvidenceStep | undefined {
  const { findings, status } = result;
  if (platform === undefined || carrier === undefined || status === MatchStatus.VOIDED) return undefined;
  const disagrees = status === MatchStatus.DURATION_MISMATCH || status === MatchStatus.ANSWER_STATE_MISMATCH;
  if (findings.length === 0 && !disagrees) return undefined;
  const isKnown = findings.length > 0 && findings.every(({ cause }) => cause !== MatchCause.UNKNOWN);
  return {
    stage: EvidenceStage.CAUSE,
    outcome: isKnown ? PASSED : FAILED,
    explanation: findings.map((finding) => tellFinding(finding, result)).join(" "),
    values: [],
    findings,
  };
}

function explainConnected({ platform, carrier, result }: ExplainedCall): EvidenceStep {
  const mine = platform?.connectedMs ?? 0;
  const others = carrier?.connectedMs ?? 0;
  const isWithin = result.status !== MatchStatus.DURATION_MISMATCH;
  const delta = others - mine;
  const told = `The platform counts ${tellLength(mine)} connected, the carrier ${tellLength(others)}`;
  const limit = `the tolerance of ${tellLength(result.toleranceMs)}`;
  const differ = `${told}: ${tellLength(delta)} ${delta > 0 ? "more" : "less"}, ${isWithin ? "within" : "beyond"} ${limit}.`;
  const outcome = isWithin ? PASSED : FAILED;
  return {
    stage: EvidenceStage.DURATION,
    outcome,
    explanation: delta === 0 ? `Both sides count ${tellLength(mine)} connected, to the millisecond.` : differ,
    values: [
      evidenceValue("connected_duration_ms", outcome, [String(mine), String(others), String(result.toleranceMs)]),
    ],
  };
}

function explainBill({ platform, carrier, result, input }: ExplainedCall): EvidenceStep {
  const mine = platform?.connectedMs ?? 0;
  const billedS = carrier?.billedS ?? 0;
  const rule = result.billedRule ?? WHOLE_SECONDS;
  const expectedS = applyRule(rule, mine);
  const isWithin = result.status !== MatchStatus.DURATION_MISMATCH;
  const outcome = isWithin ? PASSED : FAILED;
  const known = carrier && ruleOf(carrier.facts, input);
  const byRule = tellRuleSource(known, carrier?.facts.roundingRule !== undefined);
  const expected = `${byRule} (${tellRule(rule)}) the platform's ${tellLength(mine)} make ${expectedS} billed seconds`;
  const ends = {
    exact: `which is what the carrier bills`,
    within: `and the carrier bills ${billedS}, which a difference within the tolerance of ${tellLength(result.toleranceMs)} explains`,
    beyond: `but the carrier bills ${billedS}, which no difference within the tolerance of ${tellLength(result.toleranceMs)} explains`,
  };
  const agreeing = billedS === expectedS ? ends.exact : ends.within;
  return {
    stage: EvidenceStage.DURATION,
    outcome,
    explanation: `The carrier has billed seconds only. ${expected}, ${isWithin ? agreeing : ends.beyond}.`,
    values: [
      evidenceValue("billed_duration_s", outcome, [String(expectedS), String(billedS), String(result.toleranceMs)]),
    ],
  };
}

/** Whose the rule is by which a bill is held against a duration. */
function tellRuleSource(known: KnownRounding | undefined, isOfRecord: boolean): string {
  if (known === undefined) return "No rule is declared and too few bills show one: by whole seconds";
  if (known.isInferred) return "By the rule that its bills of this trunk and day show";
  return isOfRecord ? "By the rule in its record" : "By the rule that it has declared";
}

/** A finding in one sentence. */
function tellFinding(finding: Finding, { status, basis }: CallResult): string {
  const { cause, suspectedSide, offsetMs = 0, timerMs = 0, lateByMs = 0, explainedDeltaMs } = finding;
  const side = suspectedSide === Side.PLATFORM ? "platform" : "carrier";
  const explained = explainedDeltaMs === undefined ? "" : `, which explains ${tellLength(explainedDeltaMs)}`;
  switch (cause) {
    case MatchCause.ZONE_SHIFT:
      return `The carrier's times on this trunk are off by ${tellLength(offsetMs)} in this hour: a time zone error.`;
    case MatchCause.CLOCK_SKEW:
      return `The two sides' clocks differ by ${tellLength(offsetMs)} on this trunk in this hour.`;
    case MatchCause.SPLIT:
      return `The carrier's switch split the call, and a part is missing or does not fit${explained}.`;
    case MatchCause.STUCK_CALL:
      return `The ${side}'s duration is ${tellLength(timerMs)}, after which switches end a call by themselves, and the other side's is at most half of it: the ${side}'s switch seems to have missed the end of the call.`;
    case MatchCause.RING_TIME_INCLUDED:
      return `The carrier's duration seems to have the ringing in it${explained}.`;
    case MatchCause.ROUNDING:
      return `Rounding makes the difference: ${tellRounding(finding)}.`;
    case MatchCause.LATE:
      return `The ${side}'s record arrived ${tellLength(lateByMs)} after its grace was over.`;
    case MatchCause.UNKNOWN:
      return tellUnknown(status, basis);
    case MatchCause.NUMBERS_DIFFER:
      return "The two sides name different numbers for this call.";
    default:
      return cause satisfies never;
  }
}

function tellUnknown(status: MatchStatus, basis: Basis): string {
  if (status === MatchStatus.ANSWER_STATE_MISMATCH) return "No known cause explains that only one side says answered.";
  if (basis === Basis.NONE) return "Of a length that is not known no cause can be told.";
  return "No known cause explains the difference: no rounding, ringing, switch's timer or missing part.";
}

/** Whose length is not known. */
function tellUnmeasured({ platform, carrier }: ExplainedCall): string {
  const isCarriers = carrier?.connectedMs === undefined && carrier?.billedS === undefined;
  if (platform?.connectedMs !== undefined) return "the carrier does";
  return isCarriers ? "both do" : "the platform does";
}

function tellRounding({ roundingRule = WHOLE_SECONDS, ruleInferred, pairCount = 0, ratio = 0 }: Finding): string {
  const rule = tellRule(roundingRule);
  if (ruleInferred !== true) return `${rule}, as the carrier declares`;
  return `${rule}, as ${Math.round(ratio * 100)} % of ${tellCount(pairCount, "pair")} of this trunk and day show`;
}

function tellRule({ incrementS, minimumS }: RoundingRule): string {
  const minimum = minimumS === 0 ? "" : `, at least ${minimumS} s`;
  return `up to the next ${incrementS} s${minimum}`;
}

// A side that was late arrived last.
function tellAwaited({ platform, carrier, result }: ExplainedCall): string {
  const isPair = platform !== undefined && carrier !== undefined;
  if (isPair ? carrier.lacksParts : result.pendingReason === PendingReason.MISSING_PART) return "the missing part";
  const isPlatform = isPair ? platform.arrivalMs > carrier.arrivalMs : platform === undefined;
  return isPlatform ? "the platform's record" : "the carrier's record";
}
