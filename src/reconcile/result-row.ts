import { e164Of, type Party } from "../domain/calls/party.ts";
import { bigintOf } from "../domain/known-numbers.ts";
import { type CarrierFacts, type CommonFacts, revisionsText } from "../domain/matching/facts.ts";
import { WINDOW_MS } from "../domain/matching/pairing/time-window.ts";
import type { CallResult } from "../domain/matching/result.ts";
import { hash64 } from "../domain/matching/signalling-ids.ts";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../domain/record-kind.ts";
import { microsFromMs } from "../domain/time/instant.ts";
import type { ZoneDays } from "../domain/time/zone-days.ts";
import { DiscrepancyStatus, MatchedBy, PendingReason } from "../gen/tandem/type/v1/discrepancy_pb.js";
import { Presentation } from "../gen/tandem/type/v1/party_pb.js";
import type { CallResultRow, ResultName } from "../store/reconciliation/call-result-columns.ts";
import { durationKeyOf, echoKeyOf, idKeysOf, pairKeyOf } from "./call-keys.ts";

/** The columns of the result itself; the log adds those of a discrepancy. */
export type JudgedRow = Omit<
  CallResultRow,
  "isMerged" | "discrepancyId" | "discrepancyRevision" | "firstSeenTime" | "resolvedTime" | "sequence" | "payload"
>;

export function nameOf(result: CallResult): ResultName {
  const { recordId, recordDate } = firstRecord(result);
  return { side: result.platform ? PLATFORM_SIDE : CARRIER_SIDE, recordId, recordDate };
}

export function nameText({ side, recordId, recordDate }: ResultName): string {
  return `${side}/${recordDate}/${recordId}`;
}

export function judgedRow(result: CallResult, days: ZoneDays): JudgedRow {
  const startTime = microsFromMs(result.startMs);
  const row = {
    ...recordColumns(result),
    ...clockColumns(result.carrier[0]),
    ...keyColumns(result),
    startTime,
    callDate: days.dayOf(startTime),
    status: result.status,
    causes: result.findings.reduce((bits, finding) => bits | (1 << finding.cause), 0),
    matchedBy: result.matchedBy ?? 0,
    pendingReason: result.pendingReason ?? 0,
    isOpen: isOpen(result.status),
    dueTime: dueTimeOf(result),
    direction: result.direction,
    platformAnswered: result.platformMeasure?.answered,
    carrierAnswered: result.carrierMeasure?.answered,
    platformMs: bigintOf(result.platformMeasure?.connectedMs),
    carrierMs: bigintOf(result.carrierMeasure?.connectedMs),
    billedS: bigintOf(result.carrierMeasure?.billedS),
    voteMs: bigintOf(result.offsetVoteMs),
  };
  return { ...row, resultHash: hashOf(result, row) };
}

function recordColumns(result: CallResult) {
  const { platform, carrier } = result;
  const first = firstRecord(result);
  const other = otherParty(result);
  return {
    ...nameOf(result),
    revision: first.revision,
    carrierRecords: carrier.map(({ recordId, recordDate, revision }) => ({ recordId, recordDate, revision })),
    phoneNumber: first.phoneNumber,
    customerId: first.customerId,
    trunkId: platform?.trunkId ?? carrier[0]?.trunkId,
    callId: platform?.callId,
    otherNumber: other?.value,
    otherCountry: other?.countryCode,
    arrivalTime: microsFromMs(Math.max(first.ingestMs, ...carrier.map((record) => record.ingestMs))),
  };
}

function clockColumns(record: CarrierFacts | undefined) {
  if (!record) return { clockTrunk: undefined, clockTime: undefined };
  return { clockTrunk: record.trunkId ?? "", clockTime: microsFromMs(rawStartMs(record)) };
}

function keyColumns(result: CallResult) {
  const first = firstRecord(result);
  const isPair = result.platform !== undefined && result.carrier.length > 0;
  const idKeys = [...idKeysOf(result), ...echoesOf(result)];
  return {
    pairKey: mayHaveParts(result) ? pairKeyOf(result.carrier[0] ?? first) : undefined,
    correlationKey: isPair ? farKeyOf(result) : undefined,
    idKeys: idKeys.length === 0 ? undefined : idKeys,
  };
}

// An echo joins only what nothing else does.
function echoesOf({ platform, carrier, matchedBy }: CallResult): bigint[] {
  if (platform !== undefined && matchedBy !== MatchedBy.ECHOED) return [];
  return carrier.flatMap(({ echoedRecordId: id }) => (id === undefined ? [] : [echoKeyOf(id)]));
}

// A turn may not read the platform's record of a far pair, which the carrier's record then finds.
// Calls of several parts are found by their parties.
function farKeyOf({ carrier: [record, ...parts], startMs }: CallResult): bigint | undefined {
  if (record === undefined || parts.length > 0) return undefined;
  return Math.abs(rawStartMs(record) - startMs) > WINDOW_MS ? durationKeyOf(record) : undefined;
}

/** By its own clock. */
export function rawStartMs(record: Pick<CommonFacts, "inviteMs" | "answerMs" | "recordDate">): number {
  return record.inviteMs ?? record.answerMs ?? Date.parse(`${record.recordDate}T00:00:00Z`);
}

export function disagrees(status: number): boolean {
  return status >= DiscrepancyStatus.DURATION_MISMATCH && status <= DiscrepancyStatus.AMBIGUOUS;
}

// Whether a far part may belong to the call, or one of its parts to another. A switch writes the
// parties of all parts alike.
function mayHaveParts({ status, platform, carrier }: CallResult): boolean {
  return isOpen(status) || carrier.length > 1 || (status === DiscrepancyStatus.NOT_REPORTED && platform === undefined);
}

/** Whether a later record may change it from far away: it lacks a counterpart or disagrees. */
function isOpen(status: number): boolean {
  return disagrees(status) || status === DiscrepancyStatus.PENDING;
}

function firstRecord(result: CallResult): CommonFacts {
  const first = result.platform ?? result.carrier[0];
  if (!first) throw new Error("a result rests on at least one record");
  return first;
}

// A partial record waits for a revision, not for a time.
function dueTimeOf(result: CallResult) {
  if (result.status !== DiscrepancyStatus.PENDING || result.graceEndMs === undefined) return undefined;
  if (result.pendingReason === PendingReason.PARTIAL_RECORD) return undefined;
  return microsFromMs(Math.ceil(result.graceEndMs));
}

export function otherParty({
  direction,
  calling,
  called,
}: Pick<CallResult, "direction" | "calling" | "called">): Party | undefined {
  const other = direction === 1 ? called : calling;
  if (!other?.value) return undefined;
  // Never shown, so nothing identifying is kept.
  if (other.presentation === Presentation.RESTRICTED) return { ...other, value: undefined };
  return e164Of(other) === undefined ? { ...other, countryCode: undefined } : other;
}

// Equal hashes look the same to readers.
function hashOf(result: CallResult, row: Omit<JudgedRow, "resultHash">): bigint {
  const { carrierRecords, arrivalTime: _, ...columns } = row;
  const records = revisionsText(carrierRecords);
  const { graceEndMs, candidateCount, duplicateOf, appliedOffsetMs, basis, toleranceMs, findings } = result;
  const told = findings.length === 0 ? "" : JSON.stringify(findings);
  const times = [result.platformMeasure, result.carrierMeasure].map(
    (each) => each && `${each.inviteMs}/${each.answerMs}/${each.endMs}/${each.totalMs}`,
  );
  return hash64(
    `${Object.values(columns).join()}|${records}|${told}|${times.join()}|${graceEndMs}|${candidateCount}|${duplicateOf?.recordDate}/${duplicateOf?.recordId}|${appliedOffsetMs}|${basis}|${toleranceMs}`,
  );
}
