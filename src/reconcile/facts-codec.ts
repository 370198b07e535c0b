import { fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { RoundingRule } from "../domain/carriers/carrier.ts";
import { numberOf } from "../domain/known-numbers.ts";
import type { CarrierFacts, CorrelationIds, PlatformFacts } from "../domain/matching/facts.ts";
import { CallDetailRecordSchema, Completeness } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../gen/tandem/type/v1/call_duration_pb.js";
import { CallType, type Correlation } from "../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../gen/tandem/type/v1/party_pb.js";
import type { StoredTip } from "../store/reconciliation/reconcile-input.ts";
import { optionalText } from "./facts-parts.ts";
import { identityOf, readCarrierFacts, readPlatformFacts, startOf } from "./facts-reader.ts";

/** What matching knows of a record of the platform. */
export function platformFacts(tip: StoredTip): PlatformFacts {
  return readPlatformFacts(tip) ?? decodedPlatformFacts(tip);
}

/** What matching knows of a record of the carrier. */
export function carrierFacts(tip: StoredTip): CarrierFacts {
  return readCarrierFacts(tip) ?? decodedCarrierFacts(tip);
}

/** By protobuf-es: any record. */
export function decodedPlatformFacts(tip: StoredTip): PlatformFacts {
  const record = fromBinary(CallDetailRecordSchema, tip.payload, READ_OPTIONS);
  const { times, lengths, parties } = record;
  return {
    ...identityOf(tip),
    callId: optionalText(record.callId),
    isPartial: record.completeness === Completeness.PARTIAL,
    isEmergency: record.callType === CallType.EMERGENCY || parties?.called?.kind === PartyKind.EMERGENCY,
    direction: record.direction,
    ids: idsOf(record.correlation),
    calling: parties?.calling,
    asserted: parties?.asserted,
    called: parties?.called,
    dialed: parties?.dialed,
    redirecting: parties?.redirecting,
    inviteMs: msOf(times?.inviteTime) ?? startOf(tip),
    ringingMs: msOf(times?.ringingTime),
    answerMs: msOf(times?.answerTime),
    endMs: msOf(times?.endTime),
    answered: times?.answerTime !== undefined,
    connectedMs: numberOf(lengths?.connectedDurationMs) ?? between(times?.answerTime, times?.endTime),
    ringMs: numberOf(lengths?.ringDurationMs) ?? between(times?.ringingTime, times?.answerTime ?? times?.endTime),
    totalMs: numberOf(lengths?.totalDurationMs) ?? between(times?.inviteTime, times?.endTime),
    trunkId: optionalText(record.route?.trunkId),
  };
}

export function decodedCarrierFacts(tip: StoredTip): CarrierFacts {
  const record = fromBinary(CallDurationSchema, tip.payload, READ_OPTIONS);
  return {
    ...identityOf(tip),
    echoedRecordId: optionalText(record.platformRecordId),
    direction: record.direction,
    ids: idsOf(record.correlation),
    calling: record.calling,
    asserted: record.asserted,
    called: record.called,
    dialed: record.dialed,
    redirecting: record.redirecting,
    inviteMs: msOf(record.inviteTime) ?? (record.answerTime ? undefined : startOf(tip)),
    answerMs: msOf(record.answerTime),
    endMs: msOf(record.endTime),
    answered: record.answered ?? false,
    connectedMs:
      numberOf(record.connectedDurationMs) ??
      (record.billedDurationS === undefined ? between(record.answerTime, record.endTime) : undefined),
    billedS: numberOf(record.billedDurationS),
    roundingRule: ruleOf(record.roundingRule),
    resolutionMs: record.timeResolutionMs ?? 1,
    part: record.part && {
      index: record.part.partIndex,
      count: record.part.partCount,
      isLast: record.part.lastPart,
    },
    trunkId: optionalText(record.trunkId),
  };
}

export function trunkOf(payload: Buffer): string | undefined {
  return optionalText(fromBinary(CallDurationSchema, payload, READ_OPTIONS).trunkId);
}

const READ_OPTIONS = { readUnknownFields: false } as const;

// Plain: results are compared by their text.
function ruleOf(rule: RoundingRule | undefined): RoundingRule | undefined {
  return rule && { incrementS: rule.incrementS, minimumS: rule.minimumS };
}

function idsOf(correlation: Correlation | undefined): CorrelationIds {
  if (!correlation) return {};
  const { interconnectDialog: dialog, icid, sessionId } = correlation;
  return {
    dialogCallId: optionalText(dialog?.callId),
    dialogFromTag: optionalText(dialog?.fromTag),
    dialogToTag: optionalText(dialog?.toTag),
    icid: optionalText(icid),
    sessionId: optionalText(sessionId),
  };
}

function msOf(time: Timestamp | undefined): number | undefined {
  return time && Number(time.seconds) * 1_000 + Math.floor(time.nanos / 1_000_000);
}

function between(start: Timestamp | undefined, end: Timestamp | undefined): number | undefined {
  if (!start || !end) return undefined;
  // Times out of order within a clock's resolution, or an overtaken 180.
  return Math.max(0, Number(end.seconds - start.seconds) * 1_000 + Math.round((end.nanos - start.nanos) / 1_000_000));
}
