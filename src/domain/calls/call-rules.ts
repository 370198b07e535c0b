import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { DAY_MS, dayNumber } from "../time/instant.ts";
import { problem, quote, type RecordProblem } from "./field-checks.ts";

/** The times of a call in their order, milliseconds since 1970 with a fraction; absent: unknown. */
export interface CallMoments {
  inviteMs: number | undefined;
  ringingMs: number | undefined;
  answerMs: number | undefined;
  endMs: number | undefined;
}

/** Milliseconds. */
export interface PhaseLengths {
  setupMs: number | undefined;
  ringMs: number | undefined;
  connectedMs: number | undefined;
  totalMs: number | undefined;
}

/** How old a record may be on arrival, by its record_date, days. */
export interface Horizons {
  /** For revision 1. */
  firstDays: number;
  /** For later revisions. */
  laterDays: number;
}

export interface TimestampParts {
  seconds: bigint;
  nanos: number;
}

/**
 * A time zone error is at most this far ahead. Such records are taken and flagged: the error can
 * only be found if it is seen.
 */
export const MAX_AHEAD_MS = 15 * 3_600_000;
/** A sent length may differ from the times by this. */
export const LENGTH_SLACK_MS = 1_000;

const MAX_PHASE_MS = DAY_MS;
/** 30 days. */
export const MAX_CONNECTED_MS = 2_592_000_000;

const MIN_SECONDS = -62_135_596_800n;
const MAX_SECONDS = 253_402_300_799n;

/** Accepts the years 1 to 9999 (google/protobuf/timestamp.proto). */
export function checkTimestamp(field: string, timestamp: TimestampParts | undefined): RecordProblem | undefined {
  if (timestamp === undefined) return undefined;
  const { seconds, nanos } = timestamp;
  if (seconds >= MIN_SECONDS && seconds <= MAX_SECONDS && nanos >= 0 && nanos <= 999_999_999) return undefined;
  return problem(
    RecordIssue.FIELD_OUT_OF_RANGE,
    field,
    `is ${seconds} s and ${nanos} ns, expected a time in the years 1 to 9999`,
  );
}

/** Milliseconds since 1970, with a fraction. */
export function momentMs(timestamp: TimestampParts | undefined): number | undefined {
  return timestamp === undefined ? undefined : Number(timestamp.seconds) * 1_000 + timestamp.nanos / 1_000_000;
}

/** The invite, else the answer. */
export function startMs(moments: CallMoments): number | undefined {
  return moments.inviteMs ?? moments.answerMs;
}

/** Each time follows the ones before it, within the clock's resolution. */
export function checkOrder(
  { inviteMs, answerMs, endMs }: CallMoments,
  resolutionMs: number | undefined,
): RecordProblem | undefined {
  const slackMs = resolutionMs !== undefined && resolutionMs > 1 ? resolutionMs : 0;
  return (
    follows("answer_time", answerMs, "invite_time", inviteMs, slackMs) ??
    follows("end_time", endMs, "invite_time", inviteMs, slackMs) ??
    follows("end_time", endMs, "answer_time", answerMs, slackMs)
  );
}

export function checkRinging({ ringingMs, inviteMs }: CallMoments): RecordProblem | undefined {
  return follows("ringing_time", ringingMs, "invite_time", inviteMs, 0);
}

/** A warning for ringing after the answer or the end: over UDP a 180 may be overtaken. */
export function compareRinging({ ringingMs, answerMs, endMs }: CallMoments): RecordProblem | undefined {
  const after = answerMs === undefined ? "end_time" : "answer_time";
  const nextMs = answerMs ?? endMs;
  if (ringingMs === undefined || nextMs === undefined || ringingMs <= nextMs) return undefined;
  return problem(RecordIssue.FIELDS_INCONSISTENT, "ringing_time", `is after ${after}: the ringing time is ignored`);
}

/**
 * Accepts an existing day within the horizon, tomorrow at the latest; at revision 1 the UTC day of
 * the call's start.
 */
export function checkRecordDate(
  record: { recordDate: string; revision: number; startMs: number | undefined },
  nowMs: number,
  horizons: Horizons,
): RecordProblem | undefined {
  const field = "record_date";
  const day = dayNumber(record.recordDate);
  if (day === undefined)
    return problem(RecordIssue.FIELD_MALFORMED, field, `is ${quote(record.recordDate)}, expected a day YYYY-MM-DD`);
  const today = Math.floor(nowMs / DAY_MS);
  if (day > today + 1)
    return problem(RecordIssue.IN_FUTURE, field, `is ${record.recordDate}, expected tomorrow (UTC) at the latest`);
  const horizonDays = record.revision === 1 ? horizons.firstDays : horizons.laterDays;
  if (today - day > horizonDays) {
    const which = record.revision === 1 ? "revision 1" : "a later revision";
    return problem(
      RecordIssue.TOO_OLD,
      field,
      `is ${record.recordDate}, expected at most ${horizonDays} days ago for ${which}`,
    );
  }
  if (record.revision !== 1 || record.startMs === undefined || Math.floor(record.startMs / DAY_MS) === day)
    return undefined;
  const expected = new Date(record.startMs).toISOString().slice(0, 10);
  return problem(
    RecordIssue.RECORD_DATE_MISMATCH,
    field,
    `is ${record.recordDate}, expected ${expected}, the UTC day of the call's start`,
  );
}

/** CLOCK_AHEAD (a warning) up to 15 h ahead, IN_FUTURE (refused) beyond. */
export function checkFuture(moments: CallMoments, nowMs: number): RecordProblem | undefined {
  return (
    ahead("invite_time", moments.inviteMs, nowMs + MAX_AHEAD_MS) ??
    ahead("ringing_time", moments.ringingMs, nowMs + MAX_AHEAD_MS) ??
    ahead("answer_time", moments.answerMs, nowMs + MAX_AHEAD_MS) ??
    ahead("end_time", moments.endMs, nowMs + MAX_AHEAD_MS) ??
    clockAhead("invite_time", moments.inviteMs, nowMs) ??
    clockAhead("ringing_time", moments.ringingMs, nowMs) ??
    clockAhead("answer_time", moments.answerMs, nowMs) ??
    clockAhead("end_time", moments.endMs, nowMs)
  );
}

/** The lengths that the times give, whole milliseconds. */
export function lengthsOf({ inviteMs, ringingMs, answerMs, endMs }: CallMoments): PhaseLengths {
  return {
    setupMs: between(inviteMs, ringingMs),
    ringMs: notNegative(between(ringingMs, answerMs ?? endMs)),
    connectedMs: between(answerMs, endMs),
    totalMs: between(inviteMs, endMs),
  };
}

/** Checks the range of each length, and that sent ones are within 1 s of the times. */
export function checkLengths(sent: PhaseLengths, derived: PhaseLengths): RecordProblem | undefined {
  return (
    checkLength("setup_duration_ms", sent.setupMs, derived.setupMs, MAX_PHASE_MS) ??
    checkLength("ring_duration_ms", sent.ringMs, derived.ringMs, MAX_PHASE_MS) ??
    checkLength("connected_duration_ms", sent.connectedMs, derived.connectedMs, MAX_CONNECTED_MS) ??
    checkLength("total_duration_ms", sent.totalMs, derived.totalMs, MAX_CONNECTED_MS)
  );
}

/**
 * A warning when the connected duration differs from answer to end by over 1 s. The duration
 * counts; the times may be wrong.
 */
export function compareConnected(
  sentMs: number | undefined,
  { answerMs, endMs }: CallMoments,
): RecordProblem | undefined {
  const derived = between(answerMs, endMs);
  if (sentMs === undefined || derived === undefined || Math.abs(sentMs - derived) <= LENGTH_SLACK_MS) return undefined;
  return problem(
    RecordIssue.DURATION_DIFFERS,
    "connected_duration_ms",
    `is ${sentMs}, but end_time - answer_time is ${derived}`,
  );
}

/** An answered call needs an answer time or a duration; an unanswered one has neither. */
export function checkAnswered(
  answered: boolean,
  evidence: { answerMs: number | undefined; connectedMs: number | undefined; billedS: number | undefined },
): RecordProblem | undefined {
  const { answerMs, connectedMs, billedS } = evidence;
  if (answered) {
    if (answerMs !== undefined || connectedMs !== undefined || billedS !== undefined) return undefined;
    return problem(
      RecordIssue.FIELDS_INCONSISTENT,
      "answered",
      "is true, but answer_time and connected_duration_ms are both absent",
    );
  }
  if (answerMs !== undefined)
    return problem(RecordIssue.FIELDS_INCONSISTENT, "answered", "is false, but answer_time is present");
  if ((connectedMs ?? 0) > 0)
    return problem(RecordIssue.FIELDS_INCONSISTENT, "answered", "is false, but connected_duration_ms is over 0");
  return undefined;
}

/**
 * Whether the attempt counts as effective for NER (ITU-T E.425): answered, busy, no answer or
 * rejected by the user. As carrier.v1.QualitySummary says: SIP 480, 486, 600, 603, 487 after
 * ringing; else Q.850 17, 18, 19, 21, 27.
 */
export function isNetworkEffective(attempt: {
  answered: boolean;
  rang: boolean;
  finalSipCode: number | undefined;
  q850Cause: number | undefined;
}): boolean {
  if (attempt.answered || (attempt.finalSipCode === 487 && attempt.rang)) return true;
  return EFFECTIVE_SIP_CODES.has(attempt.finalSipCode ?? 0) || EFFECTIVE_Q850_CAUSES.has(attempt.q850Cause ?? 0);
}

const EFFECTIVE_SIP_CODES: ReadonlySet<number> = new Set([480, 486, 600, 603]);
const EFFECTIVE_Q850_CAUSES: ReadonlySet<number> = new Set([17, 18, 19, 21, 27]);

function follows(
  field: string,
  ms: number | undefined,
  before: string,
  beforeMs: number | undefined,
  slackMs: number,
): RecordProblem | undefined {
  if (ms === undefined || beforeMs === undefined || ms >= beforeMs - slackMs) return undefined;
  return problem(RecordIssue.FIELDS_INCONSISTENT, field, `is before ${before}, expected at or after it`);
}

function ahead(field: string, ms: number | undefined, limitMs: number): RecordProblem | undefined {
  if (ms === undefined || ms <= limitMs) return undefined;
  return problem(RecordIssue.IN_FUTURE, field, "is more than 15 h in the future");
}

function clockAhead(field: string, ms: number | undefined, nowMs: number): RecordProblem | undefined {
  if (ms === undefined || ms <= nowMs) return undefined;
  const seconds = Math.ceil((ms - nowMs) / 1_000);
  return problem(RecordIssue.CLOCK_AHEAD, field, `is ${seconds} s in the future: a clock or a time zone is wrong`);
}

function between(fromMs: number | undefined, toMs: number | undefined): number | undefined {
  return fromMs === undefined || toMs === undefined ? undefined : Math.round(toMs - fromMs);
}

function notNegative(ms: number | undefined): number | undefined {
  return ms !== undefined && ms < 0 ? undefined : ms;
}

function checkLength(
  field: string,
  sentMs: number | undefined,
  derivedMs: number | undefined,
  maxMs: number,
): RecordProblem | undefined {
  const ms = sentMs ?? derivedMs;
  if (ms === undefined) return undefined;
  if (!(ms >= 0 && ms <= maxMs))
    return problem(RecordIssue.FIELD_OUT_OF_RANGE, field, `is ${ms}, expected 0 to ${maxMs}`);
  if (sentMs === undefined || derivedMs === undefined || Math.abs(sentMs - derivedMs) <= LENGTH_SLACK_MS)
    return undefined;
  return problem(
    RecordIssue.FIELDS_INCONSISTENT,
    field,
    `is ${sentMs}, but the times give ${derivedMs}; expected at most 1 s difference`,
  );
}
