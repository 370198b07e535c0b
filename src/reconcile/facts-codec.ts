import { fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Party } from "../domain/calls/party.ts";
import type { CarrierFacts, CorrelationIds, PlatformFacts } from "../domain/matching/facts.ts";
import { msFromMicros } from "../domain/time/instant.ts";
import { CallDetailRecordSchema, Completeness } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema, type CallPart } from "../gen/tandem/type/v1/call_duration_pb.js";
import { CallType, type Correlation } from "../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../gen/tandem/type/v1/party_pb.js";
import type { StoredTip } from "../store/reconciliation/reconcile-input.ts";

export function platformFacts(tip: StoredTip): PlatformFacts {
  const record = fromBinary(CallDetailRecordSchema, tip.payload, READ_OPTIONS);
  const { times, lengths, parties } = record;
  return {
    ...identityOf(tip),
    callId: optionalText(record.callId),
    isPartial: record.completeness === Completeness.PARTIAL,
    isEmergency: record.callType === CallType.EMERGENCY || parties?.called?.kind === PartyKind.EMERGENCY,
    direction: record.direction,
    ids: idsOf(record.correlation),
    calling: party(parties?.calling),
    asserted: party(parties?.asserted),
    called: party(parties?.called),
    dialed: party(parties?.dialed),
    redirecting: party(parties?.redirecting),
    inviteMs: msOf(times?.inviteTime) ?? startOf(tip),
    ringingMs: msOf(times?.ringingTime),
    answerMs: msOf(times?.answerTime),
    endMs: msOf(times?.endTime),
    answered: times?.answerTime !== undefined,
    connectedMs: optionalNumber(lengths?.connectedDurationMs) ?? between(times?.answerTime, times?.endTime),
    ringMs: optionalNumber(lengths?.ringDurationMs) ?? between(times?.ringingTime, times?.answerTime ?? times?.endTime),
    totalMs: optionalNumber(lengths?.totalDurationMs) ?? between(times?.inviteTime, times?.endTime),
    trunkId: optionalText(record.route?.trunkId),
  };
}

export function carrierFacts(tip: StoredTip): CarrierFacts {
  const record = fromBinary(CallDurationSchema, tip.payload, READ_OPTIONS);
  return {
    ...identityOf(tip),
    echoedRecordId: optionalText(record.platformRecordId),
    direction: record.direction,
    ids: idsOf(record.correlation),
    calling: party(record.calling),
    asserted: party(record.asserted),
    called: party(record.called),
    dialed: party(record.dialed),
    redirecting: party(record.redirecting),
    inviteMs: msOf(record.inviteTime) ?? (record.answerTime ? undefined : startOf(tip)),
    answerMs: msOf(record.answerTime),
    endMs: msOf(record.endTime),
    answered: record.answered ?? false,
    connectedMs:
      optionalNumber(record.connectedDurationMs) ??
      (record.billedDurationS === undefined ? between(record.answerTime, record.endTime) : undefined),
    billedS: optionalNumber(record.billedDurationS),
    roundingRule: record.roundingRule && {
      incrementS: record.roundingRule.incrementS,
      minimumS: record.roundingRule.minimumS,
    },
    resolutionMs: record.timeResolutionMs ?? 1,
    part: record.part && partOf(record.part),
    trunkId: optionalText(record.trunkId),
  };
}

export function trunkOf(payload: Buffer): string | undefined {
  return optionalText(fromBinary(CallDurationSchema, payload, READ_OPTIONS).trunkId);
}

const READ_OPTIONS = { readUnknownFields: false } as const;

function identityOf(tip: StoredTip) {
  return {
    recordId: tip.recordId,
    recordDate: tip.recordDate,
    revision: tip.revision,
    isVoid: tip.isVoid,
    sequence: tip.sequence,
    ingestMs: msFromMicros(tip.ingestTime),
    firstIngestMs: msFromMicros(tip.firstIngestTime),
    phoneNumber: tip.phoneNumber,
    customerId: tip.customerId,
  };
}

// A VOID of a call that was never reported begins with its day.
function startOf(tip: StoredTip): number {
  return tip.startTime === undefined ? Date.parse(`${tip.recordDate}T00:00:00Z`) : msFromMicros(tip.startTime);
}

function idsOf(correlation: Correlation | undefined): CorrelationIds {
  if (!correlation) return NO_IDS;
  const { interconnectDialog: dialog, icid, sessionId } = correlation;
  return {
    dialogCallId: optionalText(dialog?.callId),
    dialogFromTag: optionalText(dialog?.fromTag),
    dialogToTag: optionalText(dialog?.toTag),
    icid: optionalText(icid),
    sessionId: optionalText(sessionId),
  };
}

const NO_IDS: CorrelationIds = {};

function party(message: Party | undefined): Party | undefined {
  return message;
}

function partOf(part: CallPart) {
  return { index: part.partIndex, count: part.partCount, isLast: part.lastPart };
}

function msOf(time: Timestamp | undefined): number | undefined {
  return time && Number(time.seconds) * 1_000 + Math.floor(time.nanos / 1_000_000);
}

function between(start: Timestamp | undefined, end: Timestamp | undefined): number | undefined {
  if (!start || !end) return undefined;
  // Times out of order within a clock's resolution, or an overtaken 180: no time passed.
  return Math.max(0, Number(end.seconds - start.seconds) * 1_000 + Math.round((end.nanos - start.nanos) / 1_000_000));
}

function optionalNumber(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

function optionalText(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
