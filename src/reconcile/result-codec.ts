import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { bigintOf, difference } from "../domain/known-numbers.ts";
import { type CallResult, type Finding, type Measure, RULE_VERSION } from "../domain/matching/result.ts";
import { applyRule } from "../domain/matching/rounding.ts";
import { type FieldsOf, messageOf } from "../domain/message-of.ts";
import { type Micros, microsFromMs, timestampFromMicros } from "../domain/time/instant.ts";
import {
  type CallDeltasSchema,
  type CallMeasureSchema,
  type Discrepancy,
  type DiscrepancyFindingSchema,
  DiscrepancySchema,
} from "../gen/tandem/type/v1/discrepancy_pb.js";

/** What a discrepancy has besides its result. */
export interface DiscrepancyFrame {
  carrierId: string;
  discrepancyId: string;
  revision: number;
  callDate: string;
  firstSeenTime: Micros | undefined;
  resolvedTime: Micros | undefined;
}

/** Without its position in the feed. */
export function resultMessage(result: CallResult, frame: DiscrepancyFrame): Discrepancy {
  const { platform, carrier, duplicateOf, platformMeasure, carrierMeasure } = result;
  const { status, matchedBy, direction, calling, called, pendingReason, candidateCount } = result;
  const { carrierId, discrepancyId, revision, callDate, firstSeenTime, resolvedTime } = frame;
  return messageOf(DiscrepancySchema, {
    discrepancyId,
    carrierId,
    revision,
    status,
    findings: result.findings.map(findingFields),
    matchedBy,
    platformRecord: platform,
    carrierRecords: carrier.slice(0, MAX_PARTS),
    duplicateOf,
    callId: platform?.callId,
    customerId: (platform ?? carrier[0])?.customerId,
    trunkId: platform?.trunkId ?? carrier.find(({ trunkId }) => trunkId !== undefined)?.trunkId,
    direction,
    callDate,
    calling,
    called,
    platformMeasure: platformMeasure && measureFields(platformMeasure),
    carrierMeasure: carrierMeasure && measureFields(carrierMeasure),
    deltas: deltaFields(result),
    comparisonBasis: result.basis,
    toleranceMs: BigInt(result.toleranceMs),
    ruleVersion: RULE_VERSION,
    pendingReason,
    graceEndTime: timeFromMs(result.graceEndMs),
    candidateCount,
    firstSeenTime: timeFromMicros(firstSeenTime),
    resolvedTime: timeFromMicros(resolvedTime),
  });
}

export function encodeDiscrepancy(result: CallResult, frame: DiscrepancyFrame): Buffer {
  return Buffer.from(toBinary(DiscrepancySchema, resultMessage(result, frame)));
}

/** The discrepancy after its record was paired in another. */
export function encodeMerged(
  payload: Buffer,
  {
    resolvedTime,
    ...merged
  }: Pick<Discrepancy, "status" | "revision" | "mergedIntoDiscrepancyId"> & {
    resolvedTime: Micros;
  },
): Buffer {
  const message = fromBinary(DiscrepancySchema, payload);
  Object.assign(message, merged, { pendingReason: 0, resolvedTime: timeFromMicros(resolvedTime) });
  return Buffer.from(toBinary(DiscrepancySchema, message));
}

const MAX_PARTS = 1_000;

export function findingFields(finding: Finding): FieldsOf<typeof DiscrepancyFindingSchema> {
  const { cause, suspectedSide, pairCount, ratio, roundingRule, ruleInferred } = finding;
  return {
    cause,
    suspectedSide,
    explainedDeltaMs: bigintOf(finding.explainedDeltaMs),
    offsetMs: bigintOf(finding.offsetMs),
    supportingPairCount: pairCount,
    supportingRatio: ratio,
    roundingRule,
    ruleInferred,
    timerDurationMs: bigintOf(finding.timerMs),
    lateByMs: bigintOf(finding.lateByMs),
  };
}

function measureFields(measure: Measure): FieldsOf<typeof CallMeasureSchema> {
  return {
    inviteTime: timeFromMs(measure.inviteMs),
    answerTime: timeFromMs(measure.answerMs),
    endTime: timeFromMs(measure.endMs),
    answered: measure.answered,
    connectedDurationMs: bigintOf(measure.connectedMs),
    totalDurationMs: bigintOf(measure.totalMs),
    billedDurationS: bigintOf(measure.billedS),
    ingestTime: timeFromMs(measure.ingestMs),
  };
}

// Carrier minus platform, as reported. The bill: beyond its rule applied to the platform's
// connected duration.
function deltaFields({
  platformMeasure: mine,
  carrierMeasure: others,
  billedRule,
  appliedOffsetMs,
}: CallResult): FieldsOf<typeof CallDeltasSchema> | undefined {
  if (mine === undefined || others === undefined) return undefined;
  const delta = (name: "connectedMs" | "inviteMs" | "answerMs" | "endMs") =>
    bigintOf(difference(others[name], mine[name]));
  const ruledS = billedRule && mine.connectedMs !== undefined ? applyRule(billedRule, mine.connectedMs) : undefined;
  const beyondS = difference(others.billedS, ruledS);
  return {
    connectedDurationDeltaMs: delta("connectedMs"),
    billedDurationDeltaMs: bigintOf(beyondS && beyondS * 1_000),
    inviteTimeDeltaMs: delta("inviteMs"),
    answerTimeDeltaMs: delta("answerMs"),
    endTimeDeltaMs: delta("endMs"),
    appliedOffsetMs: bigintOf(appliedOffsetMs),
  };
}

function timeFromMs(ms: number | undefined): Timestamp | undefined {
  return ms === undefined ? undefined : timeFromMicros(microsFromMs(ms));
}

function timeFromMicros(micros: Micros | undefined): Timestamp | undefined {
  return micros === undefined ? undefined : create(TimestampSchema, timestampFromMicros(micros));
}
