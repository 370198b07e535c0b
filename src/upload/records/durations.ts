import { checkCodes, checkCorrelation, checkIdentity, MAX_ID } from "../../domain/calls/call-fields.ts";
import {
  type CallMoments,
  checkAnswered,
  checkFuture,
  checkOrder,
  checkRecordDate,
  checkTimestamp,
  compareConnected,
  MAX_CONNECTED_MS,
  momentMs,
  startMs,
} from "../../domain/calls/call-rules.ts";
import { known, problem, type RecordProblem, range, required, text, within } from "../../domain/calls/field-checks.ts";
import { checkParty, checkPartyDetails, type Party } from "../../domain/calls/party.ts";
import { partyHashOf } from "../../domain/calls/party-hash.ts";
import { HashedContent, hashContent, hashText } from "../../domain/calls/record-hash.ts";
import { RecordIssue } from "../../domain/calls/verdict.ts";
import { microsFromTimestamp } from "../../domain/time/instant.ts";
import {
  type CallDuration,
  CallDurationSchema,
  type CallPart,
  type RoundingRule,
} from "../../gen/tandem/type/v1/call_duration_pb.js";
import { Direction, DirectionSchema, RecordKind, RecordKindSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { EntryKind } from "../../store/records/record-rows.ts";
import { attributionCandidates, hasDerivedCountry, partyText, writeDerivedCountries } from "./call-parties.ts";
import { writeDecodedContent } from "./duration-decoder.ts";
import { compileEncoder } from "./message-encoder.ts";
import { dropWrongFields } from "./optional-fields.ts";
import type { PrepareContext, PreparedRecord } from "./prepared.ts";
import { type DurationColumns, PreparedDuration } from "./prepared-duration.ts";
import { lastValue, refusedRecord, sizeRefusal, toldWarnings } from "./record-limits.ts";
import { unknownFieldsWarning } from "./unknown-fields.ts";
import { WireWriter } from "./wire-writer.ts";

/**
 * Checks, normalises and encodes an uploaded duration. Never throws, and leaves the message as it
 * is.
 */
export function prepareDuration(sent: CallDuration, context: PrepareContext): PreparedRecord<DurationColumns> {
  const { message, dropped } = dropWrongFields(CallDurationSchema, sent, checkOptional);
  const nowMs = Number(context.now) / 1_000;
  const moments = momentsOf(message);
  const future = checkFuture(moments, nowMs);
  const refused = future?.issue === RecordIssue.IN_FUTURE ? future : undefined;
  const wrong =
    checkFields(message) ?? checkMeaning(message, moments) ?? refused ?? checkDay(message, moments, nowMs, context);

  writer.reset();
  const hasUnknown = writeContent(message);
  const { recordId, recordDate, direction, connectedDurationMs } = message;
  const revision = message.revision ?? 1;
  const isVoid = message.kind === RecordKind.VOID;
  const contentHash = hashContent(context.hashSecret, HashedContent.DURATION, writer.written());
  const mayBeLarge =
    wrong !== undefined || hasUnknown || dropped.length > 0 || (message.customerId?.length ?? 0) > MAX_ID;
  const refusal = (mayBeLarge ? sizeRefusal(CallDurationSchema, sent) : undefined) ?? wrong;
  if (refusal) {
    const identity = { recordId, recordDate, revision, isVoid, contentHash };
    return refusedRecord({ ...identity, connectedDurationMs: connectedDurationMs ?? 0n }, refusal, NO_COLUMNS);
  }
  writeDerivedCountries(writer, message, PARTY_FIELDS);
  const start = message.inviteTime ?? message.answerTime;
  const startTime = start === undefined ? undefined : microsFromTimestamp(start);
  const parties = partyText(direction, connectedDurationMs, message);
  const differs = compareConnected(optionalNumber(connectedDurationMs), moments);
  const parts = {
    recordId,
    recordDate,
    revision,
    isVoid,
    contentHash,
    partyHash: partyHashOf(hashText(context.hashSecret, HashedContent.DURATION_PARTIES, parties), startTime),
    direction,
    trunkId: message.trunkId,
    partIndex: message.part?.partIndex,
    connectedDurationMs,
    startTime,
    warnings: toldWarnings(
      future,
      differs,
      ...dropped,
      hasUnknown ? unknownFieldsWarning(CallDurationSchema, message) : undefined,
    ),
    candidates: attributionCandidates(direction, message),
  };
  return new PreparedDuration(parts, writer.written());
}

// Returns whether it, or a message within it, had fields that this server does not know.
function writeContent(message: CallDuration): boolean {
  return !writeDecodedContent(writer, message) && encodeDurationContent(writer, message);
}

// One for all: nothing is prepared while another record is.
const writer = new WireWriter();
/** Writes a duration's content, field by field. */
export const encodeDurationContent = compileEncoder(CallDurationSchema, {
  omit: ["sequence", "ingest_time", "state", "customer_id"],
  defaults: { revision: 1, kind: RecordKind.REPORT },
  omitWhen: { "tandem.type.v1.Party.country_code": hasDerivedCountry },
});
const PARTY_FIELDS = { calling: 8, asserted: 9, called: 10, dialed: 11, redirecting: 12 } as const;
const NO_COLUMNS: DurationColumns = {
  entryKind: EntryKind.REPORT,
  startTime: null,
  direction: 0,
  connectedDurationMs: null,
  trunkId: null,
  partIndex: null,
};
const LAST_KIND = lastValue(RecordKindSchema);
const LAST_DIRECTION = lastValue(DirectionSchema);

function checkFields(d: CallDuration): RecordProblem | undefined {
  return (
    checkIdentity(d) ??
    known("kind", d.kind, LAST_KIND) ??
    known("direction", d.direction, LAST_DIRECTION) ??
    partyIn("calling", d.calling) ??
    partyIn("asserted", d.asserted) ??
    partyIn("called", d.called) ??
    partyIn("redirecting", d.redirecting) ??
    checkTimestamp("invite_time", d.inviteTime) ??
    checkTimestamp("answer_time", d.answerTime) ??
    checkTimestamp("end_time", d.endTime) ??
    range("connected_duration_ms", d.connectedDurationMs, 0, MAX_CONNECTED_MS) ??
    range("billed_duration_s", d.billedDurationS, 0, MAX_CONNECTED_MS / 1_000) ??
    within("part", d.part && checkPart(d.part))
  );
}

// What a call can do without: dropped where it is wrong.
function checkOptional(d: CallDuration): RecordProblem | undefined {
  return (
    within("correlation", checkCorrelation(d.correlation)) ??
    text("platform_record_id", d.platformRecordId, MAX_ID) ??
    detailsIn("calling", d.calling) ??
    detailsIn("asserted", d.asserted) ??
    detailsIn("called", d.called) ??
    partyIn("dialed", d.dialed) ??
    detailsIn("dialed", d.dialed) ??
    detailsIn("redirecting", d.redirecting) ??
    range("utc_offset_minutes", d.utcOffsetMinutes, -840, 840) ??
    range("time_resolution_ms", d.timeResolutionMs, 1, 60_000) ??
    within("rounding_rule", d.roundingRule && checkRounding(d.roundingRule)) ??
    checkCodes(d) ??
    text("customer_reference", d.customerReference, 60) ??
    text("trunk_id", d.trunkId, MAX_ID)
  );
}

// A VOID takes a record back: it needs no more than its identity.
function checkMeaning(d: CallDuration, moments: CallMoments): RecordProblem | undefined {
  const missing = d.kind === RecordKind.VOID ? undefined : checkRequired(d);
  return (
    missing ??
    checkOrder(moments, d.timeResolutionMs) ??
    (d.answered === undefined ? undefined : checkAnswered(d.answered, evidenceOf(d, moments)))
  );
}

function checkRequired(d: CallDuration): RecordProblem | undefined {
  return (
    required("direction", d.direction !== Direction.UNSPECIFIED) ??
    required("calling", d.calling !== undefined) ??
    required("called", d.called !== undefined) ??
    (d.inviteTime === undefined && d.answerTime === undefined ? NO_START : undefined) ??
    required("answered", d.answered !== undefined)
  );
}

const NO_START = problem(
  RecordIssue.FIELD_REQUIRED,
  "invite_time",
  "is absent, and so is answer_time; expected at least one of them",
);

function checkDay(
  d: CallDuration,
  moments: CallMoments,
  nowMs: number,
  context: PrepareContext,
): RecordProblem | undefined {
  const record = { recordDate: d.recordDate, revision: d.revision ?? 1, startMs: startMs(moments) };
  return checkRecordDate(record, nowMs, context.horizons);
}

function checkRounding(rule: RoundingRule): RecordProblem | undefined {
  return (
    required("increment_s", rule.incrementS !== 0) ??
    range("increment_s", rule.incrementS, 1, 3_600) ??
    range("minimum_s", rule.minimumS, 0, 3_600)
  );
}

function checkPart({ partIndex, partCount, lastPart }: CallPart): RecordProblem | undefined {
  const form =
    required("part_index", partIndex !== 0) ??
    range("part_index", partIndex, 1, MAX_PARTS) ??
    range("part_count", partCount, 1, MAX_PARTS);
  if (form !== undefined || partCount === undefined) return form;
  if (partIndex > partCount)
    return problem(RecordIssue.FIELDS_INCONSISTENT, "part_index", `is ${partIndex} of ${partCount}, expected no more`);
  if (lastPart === undefined || lastPart === (partIndex === partCount)) return undefined;
  return problem(
    RecordIssue.FIELDS_INCONSISTENT,
    "last_part",
    `is ${lastPart}, but the part is ${partIndex} of ${partCount}`,
  );
}

const MAX_PARTS = 2_147_483_647;

function partyIn(field: string, party: Party | undefined): RecordProblem | undefined {
  return party === undefined ? undefined : within(field, checkParty(party));
}

function detailsIn(field: string, party: Party | undefined): RecordProblem | undefined {
  return party === undefined ? undefined : within(field, checkPartyDetails(party));
}

function momentsOf(d: CallDuration): CallMoments {
  return {
    inviteMs: momentMs(d.inviteTime),
    ringingMs: undefined,
    answerMs: momentMs(d.answerTime),
    endMs: momentMs(d.endTime),
  };
}

function evidenceOf(d: CallDuration, moments: CallMoments) {
  return {
    answerMs: moments.answerMs,
    connectedMs: optionalNumber(d.connectedDurationMs),
    billedS: optionalNumber(d.billedDurationS),
  };
}

function optionalNumber(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
