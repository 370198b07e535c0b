import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { Party } from "../domain/calls/party.ts";
import { deltasOf } from "../domain/matching/deltas.ts";
import type { CarrierFacts, RecordRef } from "../domain/matching/facts.ts";
import { type CallResult, type Finding, type Measure, RULE_VERSION } from "../domain/matching/result.ts";
import { type Micros, timestampFromMicros } from "../domain/time/instant.ts";
import {
  CallDeltasSchema,
  CallMeasureSchema,
  type Discrepancy,
  DiscrepancyFindingSchema,
  DiscrepancySchema,
  RecordReferenceSchema,
} from "../gen/tandem/type/v1/discrepancy_pb.js";
import { PartySchema } from "../gen/tandem/type/v1/party_pb.js";

/** What a discrepancy has beside its result. */
export interface DiscrepancyFrame {
  carrierId: string;
  discrepancyId: string;
  revision: number;
  callDate: string;
  firstSeenTime: Micros | undefined;
  resolvedTime: Micros | undefined;
  mergedInto?: string;
}

/** A result as a message, without its position in the feed. */
export function resultMessage(result: CallResult, frame: DiscrepancyFrame): Discrepancy {
  const { platform } = result;
  const side = platform ?? result.carrier[0];
  const calling = partyMessage(result.calling);
  const called = partyMessage(result.called);
  return create(DiscrepancySchema, {
    discrepancyId: frame.discrepancyId,
    carrierId: frame.carrierId,
    revision: frame.revision,
    status: result.status,
    findings: result.findings.map(findingMessage),
    matchedBy: result.matchedBy ?? 0,
    ...(platform && { platformRecord: reference(platform) }),
    carrierRecords: result.carrier.slice(0, MAX_PARTS).map(reference),
    ...(result.duplicateOf && { duplicateOf: reference(result.duplicateOf) }),
    ...optional("mergedIntoDiscrepancyId", frame.mergedInto),
    ...optional("callId", platform?.callId),
    ...optional("customerId", side?.customerId),
    ...optional("trunkId", trunkOfResult(result)),
    direction: result.direction,
    callDate: frame.callDate,
    ...(calling && { calling }),
    ...(called && { called }),
    ...(result.platformMeasure && { platformMeasure: measureMessage(result.platformMeasure) }),
    ...(result.carrierMeasure && { carrierMeasure: measureMessage(result.carrierMeasure) }),
    ...deltasMessage(result),
    comparisonBasis: result.basis,
    toleranceMs: BigInt(result.toleranceMs),
    ruleVersion: RULE_VERSION,
    pendingReason: result.pendingReason ?? 0,
    ...optional("graceEndTime", timeFromMs(result.graceEndMs)),
    ...optional("candidateCount", result.candidateCount),
    ...optional("firstSeenTime", timeFromMicros(frame.firstSeenTime)),
    ...optional("resolvedTime", timeFromMicros(frame.resolvedTime)),
  });
}

export function encodeDiscrepancy(result: CallResult, frame: DiscrepancyFrame): Buffer {
  return Buffer.from(toBinary(DiscrepancySchema, resultMessage(result, frame)));
}

/** The discrepancy once its record was paired with the platform's record of another. */
export function encodeMerged(
  payload: Buffer,
  merged: { status: number; revision: number; mergedInto: string; resolvedTime: Micros },
): Buffer {
  const message = fromBinary(DiscrepancySchema, payload);
  message.status = merged.status;
  message.revision = merged.revision;
  message.mergedIntoDiscrepancyId = merged.mergedInto;
  message.pendingReason = 0;
  message.resolvedTime = create(TimestampSchema, timestampFromMicros(merged.resolvedTime));
  return Buffer.from(toBinary(DiscrepancySchema, message));
}

const MAX_PARTS = 1_000;

/** The trunk that the platform's record names, or else the carrier's. */
export function trunkOfResult(result: CallResult): string | undefined {
  return (
    result.platform?.trunkId ?? result.carrier.find((record: CarrierFacts) => record.trunkId !== undefined)?.trunkId
  );
}

export function findingMessage(finding: Finding) {
  return create(DiscrepancyFindingSchema, {
    cause: finding.cause,
    suspectedSide: finding.suspectedSide ?? 0,
    ...optional("explainedDeltaMs", bigintOf(finding.explainedDeltaMs)),
    ...optional("offsetMs", bigintOf(finding.offsetMs)),
    ...optional("supportingPairCount", finding.pairCount),
    ...optional("supportingRatio", finding.ratio),
    ...(finding.roundingRule && { roundingRule: finding.roundingRule }),
    ...optional("ruleInferred", finding.ruleInferred),
    ...optional("timerDurationMs", bigintOf(finding.timerMs)),
    ...optional("lateByMs", bigintOf(finding.lateByMs)),
  });
}

function measureMessage(measure: Measure) {
  return create(CallMeasureSchema, {
    ...optional("inviteTime", timeFromMs(measure.inviteMs)),
    ...optional("answerTime", timeFromMs(measure.answerMs)),
    ...optional("endTime", timeFromMs(measure.endMs)),
    answered: measure.answered,
    ...optional("connectedDurationMs", bigintOf(measure.connectedMs)),
    ...optional("totalDurationMs", bigintOf(measure.totalMs)),
    ...optional("billedDurationS", bigintOf(measure.billedS)),
    ...optional("ingestTime", timeFromMs(measure.ingestMs)),
  });
}

function deltasMessage(result: CallResult) {
  const deltas = deltasOf(result);
  if (!deltas) return {};
  const message = create(CallDeltasSchema, {
    ...optional("connectedDurationDeltaMs", bigintOf(deltas.connectedMs)),
    ...optional("billedDurationDeltaMs", bigintOf(deltas.billedMs)),
    ...optional("inviteTimeDeltaMs", bigintOf(deltas.inviteMs)),
    ...optional("answerTimeDeltaMs", bigintOf(deltas.answerMs)),
    ...optional("endTimeDeltaMs", bigintOf(deltas.endMs)),
    ...optional("appliedOffsetMs", bigintOf(result.appliedOffsetMs)),
  });
  return { deltas: message };
}

function reference({ recordId, recordDate, revision }: RecordRef) {
  return create(RecordReferenceSchema, { recordId, recordDate, revision });
}

function partyMessage(party: Party | undefined) {
  if (!party) return undefined;
  const { kind, value, countryCode, presentation } = party;
  return create(PartySchema, {
    kind,
    presentation,
    ...optional("value", value),
    ...optional("countryCode", countryCode),
  });
}

function timeFromMs(ms: number | undefined): Timestamp | undefined {
  return ms === undefined ? undefined : timeFromMicros(BigInt(Math.round(ms)) * 1_000n);
}

function timeFromMicros(micros: Micros | undefined): Timestamp | undefined {
  return micros === undefined ? undefined : create(TimestampSchema, timestampFromMicros(micros));
}

function bigintOf(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(Math.round(value));
}

// Leaves an absent field out, which the type checker tells apart from undefined.
function optional<K extends string, V>(name: K, value: V | undefined): { [key in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [key in K]?: V });
}
