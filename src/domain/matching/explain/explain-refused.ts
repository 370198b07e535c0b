import { EvidenceOutcome, EvidenceStage } from "../../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DiscrepancyStatus, MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../../record-kind.ts";
import { type CallUnit, type CarrierUnit, type PlatformUnit, startDelta } from "../call-unit.ts";
import type { CommonFacts, MatchingAgreement, RecordRef } from "../facts.ts";
import { areSameParties, isEqual } from "../number-keys.ts";
import { MAX_COMPONENT } from "../pairing/components.ts";
import { type CorrelationKind, type Refusal, refusalOf, shareId } from "../pairing/correlation.ts";
import { refOf } from "../pairing/duplicates.ts";
import { areOtherCalls, areUnlike, fitOf } from "../pairing/pair-grade.ts";
import { CORRELATED_WINDOW_MS, isInWindow, WINDOW_MS, windowOf } from "../pairing/time-window.ts";
import type { CallResult } from "../result.ts";
import {
  type EvidenceStep,
  type ExplainedCall,
  evidenceStep,
  evidenceValue,
  type FoundCall,
  type RefusedCandidate,
  tellLength,
  tellList,
  tellName,
} from "./evidence.ts";

const { PASSED, FAILED } = EvidenceOutcome;

/** Most that are told. */
const MAX_REFUSED = 20;
/**
 * Calls of the same parties this far away are told as well, milliseconds, so that one sees what
 * there is.
 */
const NEARBY_MS = 900_000;
const KINDS = [MatchedBy.INTERCONNECT_DIALOG, MatchedBy.ICID, MatchedBy.SESSION_ID] as const;

/**
 * The other side's records that were considered for the call and not taken, the nearest in time
 * first.
 */
export function findRefused(call: FoundCall, side: RecordKind["side"]): RefusedCandidate[] {
  return othersOf(call, side)
    .flatMap((other) => consider(other, call))
    .sort((a, b) => distanceOf(a) - distanceOf(b) || (a.record.recordId < b.record.recordId ? -1 : 1))
    .slice(0, MAX_REFUSED);
}

function distanceOf({ startDeltaMs = CORRELATED_WINDOW_MS }: RefusedCandidate): number {
  return Math.abs(startDeltaMs);
}

/** A record of the other side beside the call's own. */
export interface Other {
  readonly side: RecordKind["side"];
  readonly facts: CommonFacts;
  readonly platform: PlatformUnit;
  readonly carrier: CarrierUnit;
  /** What the call's own record is called. */
  readonly name: string;
  /** With what the other record is paired. */
  readonly mate: RecordRef | undefined;
}

/** Every record of the other side that is not the call's, for a call with a record of this side. */
export function othersOf({ pairing, platform, carrier }: FoundCall, side: RecordKind["side"]): Other[] {
  if (side === PLATFORM_SIDE && platform !== undefined) {
    const name = platform.facts.recordId;
    return pairing.carrier.flatMap((unit, index) => {
      const mate = mateOf(pairing.platform, pairing.platformOf[index]);
      const other = { side: CARRIER_SIDE, facts: unit.facts, platform, carrier: unit, name, mate };
      return carrier?.records.includes(unit.facts) ? [] : [other];
    });
  }
  if (side === PLATFORM_SIDE || carrier === undefined) return [];
  const name = carrier.facts.recordId;
  return pairing.platform.flatMap((unit, index) => {
    const mate = mateOf(pairing.carrier, pairing.carrierOf[pairing.partOf.get(index) ?? index]);
    const other = { side: PLATFORM_SIDE, facts: unit.facts, platform: unit, carrier, name, mate };
    return platform?.records.includes(unit.facts) ? [] : [other];
  });
}

/** Why an id in common does not make the other record one of the call. Undefined: it could be. */
export function tellRefusal({ platform, carrier }: Other, kind: CorrelationKind): string | undefined {
  const refusal = refusalOf(platform, carrier, kind);
  return refusal && REFUSALS[refusal][1];
}

function consider(other: Other, call: FoundCall): RefusedCandidate[] {
  const { side, facts, mate: pairedWith } = other;
  const startDeltaMs = startDelta(other.platform, other.carrier);
  const reason = reasonOf(other, startDeltaMs, call);
  return reason === undefined ? [] : [{ side, record: refOf(facts), ...reason, startDeltaMs, pairedWith }];
}

type Reason = Pick<RefusedCandidate, "refusedAt" | "explanation">;

function reasonOf(other: Other, deltaMs: number | undefined, call: FoundCall): Reason | undefined {
  const { platform, carrier, name } = other;
  const shared = KINDS.find((kind) => shareId(platform.facts.ids, carrier.facts.ids, kind));
  const refusal = shared && refusalOf(platform, carrier, shared);
  if (refusal !== undefined) {
    const [refusedAt, why] = REFUSALS[refusal];
    return { refusedAt, explanation: `It has an id in common with ${name}, but ${why}.` };
  }
  const taken = { refusedAt: EvidenceStage.ASSIGNMENT, explanation: tellTaken(other, call.result) };
  if (shared !== undefined) return taken;
  if (deltaMs === undefined || Math.abs(deltaMs) > NEARBY_MS) return undefined;
  if (platform.facts.direction !== carrier.facts.direction) return undefined;
  const isInside = isInWindow(platform, carrier);
  if (areSameParties(platform.numbers, carrier.numbers)) {
    if (isInside) return otherCallReason(platform, carrier, call.input.agreement) ?? taken;
    const when = deltaMs > 0 === (other.side === CARRIER_SIDE) ? "after" : "before";
    const explanation = `Its numbers fit, but it began ${tellLength(deltaMs)} ${when} ${name}. At most ${tellLength(windowOf(carrier))} is allowed.`;
    return { refusedAt: EvidenceStage.TIME_WINDOW, explanation };
  }
  if (!isInside || !isEqual(platform.numbers.called, carrier.numbers.called)) return undefined;
  return {
    refusedAt: EvidenceStage.NUMBERS,
    explanation: "It is near in time and has the same called number, but another caller.",
  };
}

// Its numbers and times fit, and yet it is another call.
function otherCallReason(
  platform: PlatformUnit,
  carrier: CarrierUnit,
  agreement: MatchingAgreement,
): Reason | undefined {
  if (areOtherCalls(platform, carrier)) {
    const explanation =
      "Its numbers fit and it is near in time, but it has another Call-ID. It is another call on the trunk.";
    return { refusedAt: EvidenceStage.CORRELATION, explanation };
  }
  if (fitOf(platform, carrier, agreement).grade !== undefined) return undefined;
  if (areUnlike(platform, carrier)) {
    const explanation =
      "Its numbers fit, but it has another ICID or Session-ID, and neither its time nor its length agrees.";
    return { refusedAt: EvidenceStage.CORRELATION, explanation };
  }
  const isAnswer = platform.answered !== carrier.answered;
  const what = isAnswer ? "only one of them was answered" : "no known fault explains how far their durations differ";
  const explanation = `Its numbers fit and it is within the window, but the times do not agree, and ${what}.`;
  return { refusedAt: isAnswer ? EvidenceStage.ANSWER_STATE : EvidenceStage.DURATION, explanation };
}

const REFUSALS: Readonly<Record<Refusal, readonly [at: EvidenceStage, why: string]>> = {
  TAGS: [EvidenceStage.CORRELATION, "has other tags or another far end, so it is another dialog"],
  DIRECTION: [EvidenceStage.NUMBERS, "goes in the other direction"],
  NUMBERS: [EvidenceStage.NUMBERS, "names other numbers"],
  TIME: [EvidenceStage.TIME_WINDOW, `is more than ${tellLength(CORRELATED_WINDOW_MS)} away`],
};

function tellTaken({ mate, name }: Other, { status, duplicateOf, candidateCount }: CallResult): string {
  const isWhole = mate?.recordId === duplicateOf?.recordId && mate?.recordDate === duplicateOf?.recordDate;
  if (status === DiscrepancyStatus.PART_OF_CALL && isWhole) return "It covers all parts of this call.";
  if (mate === undefined && candidateCount !== undefined)
    return `It could belong to the call of ${name}, but so could too many others. Tandem does not guess.`;
  return mate === undefined
    ? `It could have been paired with ${name}, but other records fit ${name} better.`
    : `It could have been paired with ${name}, but it fits another record better.`;
}

/** The choice of one among several. */
export function explainAssignment(call: ExplainedCall): EvidenceStep | undefined {
  const { platform, carrier, result } = call;
  const stage = EvidenceStage.ASSIGNMENT;
  if (result.candidateCount !== undefined) return explainCrowd(result.candidateCount);
  if (result.status === DiscrepancyStatus.PART_OF_CALL)
    return evidenceStep(stage, PASSED, tellLaterPart(result.duplicateOf));
  const rivals = call.refused.filter(({ refusedAt }) => refusedAt === EvidenceStage.ASSIGNMENT);
  if (platform === undefined || carrier === undefined) {
    const other = platform === undefined ? "platform" : "carrier";
    const none = `No unpaired ${other} record has these numbers and a time within ${tellLength(WINDOW_MS)}.`;
    const taken = rivals.find(({ pairedWith }) => pairedWith !== undefined);
    const explanation =
      taken?.pairedWith === undefined
        ? none
        : `Record ${tellName(taken.record)} could have been its pair, but is already paired with ${tellName(taken.pairedWith)}. ${none}`;
    return evidenceStep(stage, FAILED, explanation);
  }
  return evidenceStep(stage, PASSED, tellChoice(call, rivals, [platform, carrier]));
}

function explainCrowd(count: number): EvidenceStep {
  const values = [evidenceValue("candidate_count", FAILED, [undefined, `at least ${count}`, String(MAX_COMPONENT)])];
  const explanation = `More than ${MAX_COMPONENT} records of the two sides, with the same parties, could pair with each other. Ids, times and lengths do not tell them apart. Tandem does not guess, so this record stays unpaired.`;
  return evidenceStep(EvidenceStage.ASSIGNMENT, FAILED, explanation, values);
}

function tellChoice(
  { result }: ExplainedCall,
  rivals: readonly RefusedCandidate[],
  units: readonly CallUnit[],
): string {
  if (rivals.length === 0)
    return units.some(({ records }) => records.length > 1)
      ? "No record outside this call could have been paired with it."
      : "Neither record could have been paired with any other.";
  const named = rivals.slice(0, MOST_NAMED).map(({ record }) => tellName(record));
  const others = tellList(rivals.length > MOST_NAMED ? [...named, "others"] : named);
  const ids = result.matchedBy === MatchedBy.NUMBERS_AND_TIME ? "" : "ids, ";
  return `Other records could have been paired with these: ${others}. But these fit each other best by ${ids}answer, time and duration.`;
}

/** More rivals than these are not named in a sentence. */
const MOST_NAMED = 3;

function tellLaterPart(first: RecordRef | undefined): string {
  const told = `This record is a later part of the call that began with ${first && tellName(first)}.`;
  const proof = "It has the same dialog as that record and begins where that record ended.";
  return `${told} ${proof} The carrier counts both as one call, so this record's time is counted with that call.`;
}

/** The carrier's record of the call of which the platform's record is a later part. */
export function wholeOf({ pairing, platform }: ExplainedCall): RecordRef | undefined {
  const index = pairing.platform.findIndex(({ facts }) => facts === platform?.facts);
  return mateOf(pairing.carrier, pairing.carrierOf[pairing.partOf.get(index) ?? -1]);
}

function mateOf(units: readonly CallUnit[], index: number | undefined): RecordRef | undefined {
  const unit = units[index ?? -1];
  return unit && refOf(unit.facts);
}
