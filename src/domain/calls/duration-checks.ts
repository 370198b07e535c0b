import type { CallDuration, CallPart, RoundingRule } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { Direction, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { lastValue } from "../enum-values.ts";
import { numberOf } from "../known-numbers.ts";
import { checkCodes, checkCorrelation, checkIdentity, MAX_ID } from "./call-fields.ts";
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
} from "./call-rules.ts";
import type { CheckContext, CheckedRecord } from "./checked-record.ts";
import { known, problem, type RecordProblem, range, required, text, within } from "./field-checks.ts";
import { checkPartyDetailsIn, checkPartyIn } from "./party.ts";

/**
 * Checks a duration of which the optional fields are right, or were dropped where they were wrong.
 * @param dropped what was wrong in those, as warnings.
 */
export function checkDuration(
  duration: CallDuration,
  dropped: readonly RecordProblem[],
  context: CheckContext,
): CheckedRecord {
  const moments = momentsOf(duration);
  const future = checkFuture(moments, context.nowMs);
  const { recordDate, revision = 1 } = duration;
  const fault =
    checkFields(duration) ??
    checkMeaning(duration, moments) ??
    (future?.issue === RecordIssue.IN_FUTURE ? future : undefined) ??
    checkRecordDate({ recordDate, revision, startMs: startMs(moments) }, context.nowMs, context.horizons);
  const differs = compareConnected(numberOf(duration.connectedDurationMs), moments);
  return { fault, warnings: [future, differs, ...dropped] };
}

/**
 * Checks each field that a call can do without. What is wrong here is dropped, and the call is
 * kept.
 */
export function checkDurationOptional(d: CallDuration): RecordProblem | undefined {
  return (
    within("correlation", checkCorrelation(d.correlation)) ??
    text("platform_record_id", d.platformRecordId, MAX_ID) ??
    checkPartyDetailsIn("calling", d.calling) ??
    checkPartyDetailsIn("asserted", d.asserted) ??
    checkPartyDetailsIn("called", d.called) ??
    checkPartyIn("dialed", d.dialed) ??
    checkPartyDetailsIn("dialed", d.dialed) ??
    checkPartyDetailsIn("redirecting", d.redirecting) ??
    range("utc_offset_minutes", d.utcOffsetMinutes, -840, 840) ??
    range("time_resolution_ms", d.timeResolutionMs, 1, 60_000) ??
    within("rounding_rule", d.roundingRule && checkRounding(d.roundingRule)) ??
    checkCodes(d) ??
    text("customer_reference", d.customerReference, 60) ??
    text("trunk_id", d.trunkId, MAX_ID)
  );
}

const LAST_KIND = lastValue(RecordKind);
const LAST_DIRECTION = lastValue(Direction);

function checkFields(d: CallDuration): RecordProblem | undefined {
  return (
    checkIdentity(d) ??
    known("kind", d.kind, LAST_KIND) ??
    known("direction", d.direction, LAST_DIRECTION) ??
    checkPartyIn("calling", d.calling) ??
    checkPartyIn("asserted", d.asserted) ??
    checkPartyIn("called", d.called) ??
    checkPartyIn("redirecting", d.redirecting) ??
    checkTimestamp("invite_time", d.inviteTime) ??
    checkTimestamp("answer_time", d.answerTime) ??
    checkTimestamp("end_time", d.endTime) ??
    range("connected_duration_ms", d.connectedDurationMs, 0, MAX_CONNECTED_MS) ??
    range("billed_duration_s", d.billedDurationS, 0, MAX_CONNECTED_MS / 1_000) ??
    within("part", d.part && checkPart(d.part))
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
  "is absent and so is answer_time, expected at least one of them",
);

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

function evidenceOf(d: CallDuration, moments: CallMoments) {
  return {
    answerMs: moments.answerMs,
    connectedMs: numberOf(d.connectedDurationMs),
    billedS: numberOf(d.billedDurationS),
  };
}

function momentsOf(d: CallDuration): CallMoments {
  return {
    inviteMs: momentMs(d.inviteTime),
    ringingMs: undefined,
    answerMs: momentMs(d.answerTime),
    endMs: momentMs(d.endTime),
  };
}
