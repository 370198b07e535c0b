import { EvidenceOutcome, EvidenceStage } from "../../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import {
  ComparisonBasis,
  DiscrepancyCause,
  DiscrepancyStatus,
  PendingReason,
} from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import type { RoundingRule } from "../../carriers/carrier.ts";
import { PLATFORM_SIDE } from "../../record-kind.ts";
import type { CarrierUnit } from "../call-unit.ts";
import { WHOLE_SECONDS } from "../compare-durations.ts";
import type { CarrierFacts, KnownRounding } from "../facts.ts";
import type { Finding } from "../result.ts";
import { applyRule, ruleOf } from "../rounding.ts";
import {
  type EvidenceStep,
  type ExplainedCall,
  evidenceStep,
  evidenceValue,
  tellCount,
  tellLength,
  tellTime,
} from "./evidence.ts";
import { aroundMissing, tellMissingParts } from "./explain-parts.ts";

const { PASSED, FAILED, NOT_COMPARABLE, SKIPPED } = EvidenceOutcome;

/** Whether both sides say answered. */
export function explainAnswer({ platform, carrier, result }: ExplainedCall): EvidenceStep | undefined {
  if (platform === undefined || carrier === undefined || result.status === DiscrepancyStatus.VOIDED) return undefined;
  const isSame = platform.answered === carrier.answered;
  const told = (answered: boolean) => (answered ? "answered" : "unanswered");
  const both = `Both sides say that the call was ${told(platform.answered)}.`;
  const differ = `The platform says that the call was ${told(platform.answered)}. The carrier says that it was ${told(carrier.answered)}.`;
  return evidenceStep(EvidenceStage.ANSWER_STATE, isSame ? PASSED : FAILED, isSame ? both : differ, [
    evidenceValue("answered", isSame ? PASSED : FAILED, [told(platform.answered), told(carrier.answered)]),
  ]);
}

/** The durations against the tolerance. */
export function explainDuration(call: ExplainedCall): EvidenceStep | undefined {
  const { platform, carrier, result } = call;
  if (platform === undefined || carrier === undefined || result.status === DiscrepancyStatus.VOIDED) return undefined;
  if (!platform.answered || !carrier.answered) return undefined;
  const stage = EvidenceStage.DURATION;
  if (result.status === DiscrepancyStatus.PENDING) {
    return evidenceStep(stage, SKIPPED, "The durations are compared when the call is complete.");
  }
  switch (result.basis) {
    case ComparisonBasis.CONNECTED_DURATION:
      return explainConnected(call);
    case ComparisonBasis.BILLED_DURATION:
      return explainBill(call);
    case ComparisonBasis.UNSPECIFIED:
      return evidenceStep(
        stage,
        NOT_COMPARABLE,
        `Both sides say that the call was answered, but ${tellUnmeasured(call)} for how long. The lengths cannot be compared.`,
      );
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
  const { awaited, present } = tellAwaited(call);
  const values = [
    evidenceValue("grace_end_time", isOver ? FAILED : PASSED, [undefined, undefined, tellTime(graceEndMs)]),
  ];
  const deadline = `The deadline for ${awaited} ${isOver ? "was" : "is"} ${tellTime(graceEndMs)}.`;
  const rule = `That is ${tellLength(input.agreement.graceMs)} after the call ended or ${present} arrived, whichever ${isOver ? "was" : "is"} later.`;
  return evidenceStep(
    EvidenceStage.GRACE,
    isOver ? FAILED : PASSED,
    `${deadline} ${rule} ${tellPassed(call, isOver)}`,
    values,
  );
}

/** The search for a cause. */
export function explainCause(call: ExplainedCall): EvidenceStep | undefined {
  const { platform, carrier, result } = call;
  const { findings, status } = result;
  if (platform === undefined || carrier === undefined || status === DiscrepancyStatus.VOIDED) return undefined;
  const disagrees =
    status === DiscrepancyStatus.DURATION_MISMATCH || status === DiscrepancyStatus.ANSWER_STATE_MISMATCH;
  if (findings.length === 0 && !disagrees) return undefined;
  const isKnown = findings.length > 0 && findings.every(({ cause }) => cause !== DiscrepancyCause.UNKNOWN);
  const unknown = isUnmeasured(call) ? NOT_COMPARABLE : FAILED;
  return {
    stage: EvidenceStage.CAUSE,
    outcome: isKnown ? PASSED : unknown,
    explanation: findings.map((finding) => tellFinding(finding, call)).join(" "),
    values: [],
    findings,
  };
}

function explainConnected({ platform, carrier, result }: ExplainedCall): EvidenceStep {
  const mine = platform?.connectedMs ?? 0;
  const others = carrier?.connectedMs ?? 0;
  const isWithin = result.status !== DiscrepancyStatus.DURATION_MISMATCH;
  const delta = others - mine;
  const told = `The platform counts ${tellLength(mine)} connected, the carrier ${tellLength(others)}`;
  const limit = `the tolerance of ${tellLength(result.toleranceMs)}`;
  const differ = `${told}. The carrier has ${tellLength(delta)} ${delta > 0 ? "more" : "less"}, ${isWithin ? "within" : "beyond"} ${limit}.`;
  const outcome = isWithin ? PASSED : FAILED;
  return evidenceStep(
    EvidenceStage.DURATION,
    outcome,
    delta === 0 ? `Both sides count ${tellLength(mine)} connected, to the millisecond.` : differ,
    [evidenceValue("connected_duration_ms", outcome, [String(mine), String(others), String(result.toleranceMs)])],
  );
}

function explainBill({ platform, carrier, result, input }: ExplainedCall): EvidenceStep {
  const mine = platform?.connectedMs ?? 0;
  const billedS = carrier?.billedS ?? 0;
  const rule = result.billedRule ?? WHOLE_SECONDS;
  const expectedS = applyRule(rule, mine);
  const isWithin = result.status !== DiscrepancyStatus.DURATION_MISMATCH;
  const outcome = isWithin ? PASSED : FAILED;
  const known = carrier && ruleOf(carrier.facts, input);
  const byRule = tellRuleSource(known, carrier?.facts.roundingRule !== undefined);
  const expected = `${byRule} (${tellRule(rule)}), the platform's ${tellLength(mine)} would be billed as ${tellBill(expectedS)}.`;
  const tolerance = `The tolerance of ${tellLength(result.toleranceMs)}`;
  const ends = {
    exact: "The carrier bills exactly that.",
    within: `The carrier bills ${tellBill(billedS)}. ${tolerance} explains the difference.`,
    beyond: `The carrier bills ${tellBill(billedS)}. ${tellBeyond(billedS - expectedS, result.toleranceMs)}`,
  };
  const agreeing = billedS === expectedS ? ends.exact : ends.within;
  return evidenceStep(
    EvidenceStage.DURATION,
    outcome,
    `The carrier reports billed seconds only. ${expected} ${isWithin ? agreeing : ends.beyond}`,
    [evidenceValue("billed_duration_s", outcome, [String(expectedS), String(billedS), `${result.toleranceMs} ms`])],
  );
}

function tellBeyond(deltaS: number, toleranceMs: number): string {
  const apart = `That is ${tellBill(deltaS)} ${deltaS > 0 ? "more" : "less"}`;
  const tolerance = `the tolerance of ${tellLength(toleranceMs)}`;
  // A bill that the rule cannot make may be nearer than the tolerance.
  if (Math.abs(deltaS) * 1_000 <= toleranceMs) return `${apart}, and no length within ${tolerance} is billed so.`;
  return `${apart}, beyond ${tolerance}.`;
}

function tellBill(seconds: number): string {
  return tellLength(seconds * 1_000);
}

/** Whose the rule is by which a bill is held against a duration. */
function tellRuleSource(known: KnownRounding | undefined, isOfRecord: boolean): string {
  if (known === undefined)
    return "The carrier has declared no billing rule, and too few bills show one. By whole seconds";
  if (known.isInferred) return "By the rule that its bills of this trunk and day show";
  return isOfRecord ? "By the rule in its record" : "By the rule that it has declared";
}

/** A finding in one sentence. */
function tellFinding(finding: Finding, call: ExplainedCall): string {
  const { platform, carrier } = call;
  const { cause, suspectedSide, offsetMs = 0, timerMs = 0, lateByMs = 0, explainedDeltaMs } = finding;
  const side = suspectedSide === PLATFORM_SIDE ? "platform" : "carrier";
  const explained = explainedDeltaMs === undefined ? "" : `, which explains ${tellLength(explainedDeltaMs)}`;
  switch (cause) {
    case DiscrepancyCause.ZONE_SHIFT:
      return `The carrier's times on this trunk are off by ${tellLength(offsetMs)} in this hour: a time zone error.`;
    case DiscrepancyCause.CLOCK_SKEW:
      return `The two sides' clocks differ by ${tellLength(offsetMs)} on this trunk in this hour. Tandem cannot tell which is wrong: it measures the carrier's against the platform's.`;
    case DiscrepancyCause.SPLIT:
      return carrier?.lacksParts
        ? tellLacking(carrier, explained)
        : "The carrier's switch split the call, and a part does not fit.";
    case DiscrepancyCause.STUCK_CALL:
      return tellStuck(side, timerMs, (side === "platform" ? carrier : platform)?.connectedMs);
    case DiscrepancyCause.RING_TIME_INCLUDED:
      return tellRinging(explainedDeltaMs ?? 0, carrier);
    case DiscrepancyCause.ROUNDING:
      return `Rounding explains the difference. ${tellRounding(finding)}`;
    case DiscrepancyCause.LATE:
      return `The ${side}'s record arrived ${tellLength(lateByMs)} after its deadline.`;
    case DiscrepancyCause.UNKNOWN:
      return tellUnknown(call);
    case DiscrepancyCause.NUMBERS_DIFFER:
      return "The two sides name different numbers for this call.";
    default:
      return cause satisfies never;
  }
}

function tellLacking({ records }: CarrierUnit, explained: string): string {
  const { parts, isOne } = tellMissingParts(records) ?? { parts: "a part", isOne: true };
  const missing = `${parts.replace(/^./, (letter) => letter.toUpperCase())} ${isOne ? "is" : "are"} missing${explained}.`;
  return `${missing}${tellGap(records)}`;
}

/** Between which of the parts that are there the missing ones lie. */
function tellGap(records: readonly CarrierFacts[]): string {
  const [before, after] = aroundMissing(records) ?? [];
  if (before?.endMs === undefined || after?.answerMs === undefined) return "";
  return ` By its neighbours it lasted from ${tellTime(before.endMs)} to ${tellTime(after.answerMs)}.`;
}

function tellRinging(ringMs: number, carrier: CarrierUnit | undefined): string {
  const told = `The carrier's duration is about the platform's connected time plus the ringing (${tellLength(ringMs)}). It seems to count the ringing.`;
  const { answerMs, endMs } = carrier?.facts ?? {};
  if (answerMs === undefined || endMs === undefined) return told;
  return `${told} From its own answer to its own end there are only ${tellLength(endMs - answerMs)}.`;
}

function tellUnknown(call: ExplainedCall): string {
  const { status, basis } = call.result;
  if (status === DiscrepancyStatus.ANSWER_STATE_MISMATCH)
    return `No known cause explains why only one side says that the call was answered.${tellLostAnswer(call)}`;
  if (isUnmeasured(call)) return `The difference is not known, because ${tellUnmeasured(call)} how long the call was.`;
  const looked =
    basis === ComparisonBasis.BILLED_DURATION
      ? "Tandem looked for another billing rule, ringing, a switch's timer and a missing part."
      : "Tandem looked for rounding, ringing, a switch's timer and a missing part.";
  return `No known cause explains the difference. ${looked}${tellEnds(call)}`;
}

function isUnmeasured({ result: { status, basis } }: ExplainedCall): boolean {
  return status === DiscrepancyStatus.DURATION_MISMATCH && basis === ComparisonBasis.UNSPECIFIED;
}

/** Whether one side's call ends where the other's was answered. */
function tellLostAnswer({ platform, carrier }: ExplainedCall): string {
  const sides = [
    { answered: platform, ended: carrier, titles: ["carrier", "platform"] },
    { answered: carrier, ended: platform, titles: ["platform", "carrier"] },
  ];
  return sides
    .filter(({ answered, ended }) => isNear(ended?.answered === false ? ended.endMs : undefined, answered?.answerMs))
    .map(
      ({ titles: [ended, answered] }) =>
        ` By the ${ended}'s record the call ended at the moment at which the ${answered}'s record says that it was answered.`,
    )
    .join("");
}

function isNear(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && Math.abs(a - b) <= AT_ONCE_MS;
}

/** Times that are no further apart are those of one event. */
const AT_ONCE_MS = 1_000;

/** Where the two sides' accounts of a call come apart. */
function tellEnds({ platform, carrier }: ExplainedCall): string {
  if (platform?.answerMs === undefined || platform.endMs === undefined) return "";
  if (carrier?.answerMs === undefined || carrier.endMs === undefined) return "";
  const [answersMs, endsMs] = [carrier.answerMs - platform.answerMs, carrier.endMs - platform.endMs];
  const moved = (ms: number) => (ms === 0 ? "at the same time" : `${tellLength(ms)} ${ms > 0 ? "later" : "earlier"}`);
  const told = ` By the carrier's record the call was answered ${moved(answersMs)} and ended ${moved(endsMs)}`;
  const isDelta = endsMs - answersMs === (carrier.connectedMs ?? 0) - (platform.connectedMs ?? 0);
  // Only of two steps in one direction does a reader take one off the other.
  const isMore = isDelta && answersMs !== 0 && endsMs / answersMs > 1;
  return `${told}.${isMore ? ` Less the ${tellLength(answersMs)}, that is the difference of the lengths.` : ""}`;
}

/** Whose length is not known. */
function tellUnmeasured({ platform, carrier }: ExplainedCall): string {
  const isCarriers = carrier?.connectedMs === undefined && carrier?.billedS === undefined;
  if (platform?.connectedMs !== undefined) return "the carrier does not say";
  return isCarriers ? "neither side says" : "the platform does not say";
}

function tellRounding({ roundingRule = WHOLE_SECONDS, ruleInferred, pairCount = 0, ratio = 0 }: Finding): string {
  const rule = `The carrier rounds ${tellRule(roundingRule)}`;
  if (ruleInferred !== true) return `${rule}, as it has declared.`;
  return `${rule}, as ${Math.round(ratio * 100)} % of ${tellCount(pairCount, "pair")} of this trunk and day show.`;
}

function tellRule({ incrementS, minimumS }: RoundingRule): string {
  const minimum = minimumS === 0 ? "" : `, at least ${tellBill(minimumS)}`;
  return `up in steps of ${tellBill(incrementS)}${minimum}`;
}

// What was waited for, and whose arrival its deadline is counted from. A side that was late arrived
// last.
function tellAwaited({ platform, carrier, result }: ExplainedCall): { awaited: string; present: string } {
  const [mine, others] = ["the platform's record", "the carrier's record"];
  const isPair = platform !== undefined && carrier !== undefined;
  if (isPair ? carrier.lacksParts : result.pendingReason === PendingReason.MISSING_PART)
    return { awaited: "the missing part", present: "the newest part" };
  const isPlatform = isPair ? platform.arrivalMs > carrier.arrivalMs : platform === undefined;
  return isPlatform ? { awaited: mine, present: others } : { awaited: others, present: mine };
}

function tellPassed({ platform, carrier }: ExplainedCall, isOver: boolean): string {
  if (platform !== undefined && carrier !== undefined && !carrier.lacksParts) return "The record arrived after that.";
  return isOver
    ? "The deadline has passed. A record that still comes is compared all the same."
    : "The deadline has not passed yet.";
}

function tellStuck(side: "platform" | "carrier", timerMs: number, othersMs: number | undefined): string {
  const other = side === "platform" ? "carrier" : "platform";
  const timer = `The ${side}'s duration is ${tellLength(timerMs)}. Some switches have a timer that ends a call after that time.`;
  const counts =
    othersMs === undefined ? `The ${other}'s is far shorter` : `The ${other} counts only ${tellLength(othersMs)}`;
  return `${timer} ${counts}. The ${side}'s switch seems to have missed the end of the call.`;
}
