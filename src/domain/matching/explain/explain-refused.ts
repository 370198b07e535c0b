import { EvidenceStage } from "../../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DiscrepancyStatus, MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../../record-kind.ts";
import { type CallUnit, type CarrierUnit, type PlatformUnit, startDelta } from "../call-unit.ts";
import type { MatchingAgreement, RecordRef } from "../facts.ts";
import { areSameParties, isEqual } from "../number-keys.ts";
import { type Refusal, refusalOf, shareId } from "../pairing/correlation.ts";
import { refOf } from "../pairing/duplicates.ts";
import { areOtherCalls, areUnlike, fitOf } from "../pairing/pair-grade.ts";
import { CORRELATED_WINDOW_MS, isInWindow, windowOf } from "../pairing/time-window.ts";
import { type ExplainedCall, type RefusedCandidate, tellLength } from "./evidence.ts";

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
export function findRefused(call: ExplainedCall, side: RecordKind["side"]): RefusedCandidate[] {
  const { pairing, platform, carrier, result } = call;
  const { agreement } = call.input;
  const isCrowd = result.candidateCount !== undefined;
  const first = result.status === DiscrepancyStatus.PART_OF_CALL ? result.duplicateOf : undefined;
  const isPlatformTarget = side === PLATFORM_SIDE ? platform !== undefined : carrier === undefined;
  const found = isPlatformTarget
    ? pairing.carrier.flatMap((unit, index): Considered[] => {
        if (platform === undefined || result.carrier.includes(unit.facts)) return [];
        return consider(
          { platform, carrier: unit, isCrowd, first, agreement },
          CARRIER_SIDE,
          mateOf(pairing.platform, pairing.platformOf[index]),
        );
      })
    : pairing.platform.flatMap((unit, index): Considered[] => {
        if (carrier === undefined || unit.facts === platform?.facts) return [];
        return consider(
          { platform: unit, carrier, isCrowd, first, agreement },
          PLATFORM_SIDE,
          mateOf(pairing.carrier, pairing.carrierOf[index]),
        );
      });
  return found
    .sort((a, b) => a.distanceMs - b.distanceMs || (a.refused.record.recordId < b.refused.record.recordId ? -1 : 1))
    .slice(0, MAX_REFUSED)
    .map(({ refused }) => refused);
}

interface Considered {
  readonly distanceMs: number;
  readonly refused: RefusedCandidate;
}

interface Sides {
  readonly platform: PlatformUnit;
  readonly carrier: CarrierUnit;
  /** Whether the call is one of too many that could pair with each other. */
  readonly isCrowd: boolean;
  /** The first part of the call, if this is a later one. */
  readonly first: RecordRef | undefined;
  readonly agreement: MatchingAgreement;
}

function consider(sides: Sides, side: RecordKind["side"], mate: RecordRef | undefined): Considered[] {
  const deltaMs = startDelta(sides.platform, sides.carrier);
  const reason = reasonOf(sides, deltaMs, mate);
  if (reason === undefined) return [];
  const { facts } = side === CARRIER_SIDE ? sides.carrier : sides.platform;
  const refused = {
    side,
    record: refOf(facts),
    ...reason,
    ...(deltaMs === undefined ? {} : { startDeltaMs: deltaMs }),
    ...(mate === undefined ? {} : { pairedWith: mate }),
  };
  return [{ distanceMs: Math.abs(deltaMs ?? CORRELATED_WINDOW_MS), refused }];
}

type Reason = Pick<RefusedCandidate, "refusedAt" | "explanation">;

function reasonOf(
  { platform, carrier, isCrowd, first, agreement }: Sides,
  deltaMs: number | undefined,
  mate?: RecordRef,
): Reason | undefined {
  const shared = KINDS.find((kind) => shareId(platform.facts.ids, carrier.facts.ids, kind));
  const refusal = shared && refusalOf(platform, carrier, shared);
  if (refusal !== undefined) return { refusedAt: STAGES[refusal], explanation: REFUSALS[refusal] };
  const taken = { refusedAt: EvidenceStage.ASSIGNMENT, explanation: tellTaken(mate, isCrowd, first) };
  if (shared !== undefined) return taken;
  if (deltaMs === undefined || Math.abs(deltaMs) > NEARBY_MS) return undefined;
  if (platform.facts.direction !== carrier.facts.direction) return undefined;
  const isInside = isInWindow(platform, carrier);
  if (areSameParties(platform.numbers, carrier.numbers)) {
    if (isInside) return otherCallReason(platform, carrier, agreement) ?? taken;
    const explanation = `Its numbers fit, but its start is ${tellLength(deltaMs)} away, outside the window of ${tellLength(windowOf(carrier))}.`;
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

const STAGES: Readonly<Record<Refusal, EvidenceStage>> = {
  TAGS: EvidenceStage.CORRELATION,
  DIRECTION: EvidenceStage.NUMBERS,
  NUMBERS: EvidenceStage.NUMBERS,
  TIME: EvidenceStage.TIME_WINDOW,
};

const REFUSALS: Readonly<Record<Refusal, string>> = {
  TAGS: "It has an id in common with this call, but other tags or another far end. It is another dialog.",
  DIRECTION: "It has an id in common with this call, but goes in the other direction.",
  NUMBERS: "It has an id in common with this call, but its numbers are different.",
  TIME: `It has an id in common with this call, but is more than ${tellLength(CORRELATED_WINDOW_MS)} away.`,
};

function tellTaken(mate: RecordRef | undefined, isCrowd: boolean, first: RecordRef | undefined): string {
  if (mate !== undefined && mate.recordId === first?.recordId && mate.recordDate === first.recordDate)
    return "It covers all parts of this call.";
  if (mate === undefined && isCrowd)
    return "It could belong to this call, but so could too many others. Tandem does not guess.";
  return mate === undefined
    ? "It could have been paired with this call, but other records fit this call better."
    : "It could have been paired with this call, but it fits another record better.";
}

function mateOf(units: readonly CallUnit[], index: number | undefined): RecordRef | undefined {
  const unit = units[index ?? -1];
  return unit && refOf(unit.facts);
}
