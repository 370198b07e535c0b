import {
  checkAnswered,
  checkFuture,
  checkOrder,
  checkRecordDate,
  compareConnected,
} from "../../domain/calls/call-rules.ts";
import { writeQuarter } from "../../domain/calls/party-hash.ts";
import { HashedContent, writeContentHash } from "../../domain/calls/record-hash.ts";
import { varintBytes } from "../../domain/wire-writer.ts";
import { CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { Direction, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { PartySchema } from "../../gen/tandem/type/v1/party_pb.js";
import { factsOfNumber, type NumberFacts } from "./number-facts.ts";
import {
  ABSENT,
  ANSWER,
  ANSWERED,
  BILLED_S,
  CONNECTED_MS,
  DIRECTION,
  END,
  figure,
  form,
  INBOUND_PARTIES,
  INVITE,
  isComplete,
  KIND,
  OUTBOUND_PARTIES,
  PARTIES,
  type PartyPlace,
  RECORD_DATE,
  RECORD_ID,
  REVISION,
  startMicros,
  TIME_RESOLUTION_MS,
  TRUNK_ID,
  timeMs,
} from "./ordinary-duration-form.ts";
import type { AttributionCandidate, PrepareContext } from "./prepared.ts";
import { Head, makeRoom, NO_WARNINGS, PreparedDuration, room, writeWholeHead } from "./prepared-duration.ts";

/**
 * Prepares a duration that is in order, straight from bytes `[start, end)` and without a message.
 * Returns undefined for any other record, right or wrong. `prepareDuration` would make the same of
 * each one, in several times the time, and stays the judge of what is in order.
 */
export function prepareOrdinaryDuration(
  bytes: Buffer,
  start: number,
  end: number,
  context: PrepareContext,
): PreparedDuration | undefined {
  if (!form.matches(bytes, start, end)) return undefined;
  const recordDate = dateText(bytes);
  if (recordDate === undefined || !isComplete() || !isInOrder(recordDate, context)) return undefined;
  makeRoom(end - start + MOST_ADDED_BYTES);
  const contentEnd = writeContent(bytes, start, end);
  writeContentHash(
    context.hashSecret,
    HashedContent.DURATION,
    { bytes: room.slab.bytes, start: room.payload, end: contentEnd },
    { bytes: room.slab.bytes, at: room.head + Head.CONTENT_HASH },
  );
  readParties(bytes);
  writePartyHash(bytes, context);
  writeWholeHead(Head.START_TIME, startMicros());
  const connectedMs = figure(CONNECTED_MS);
  writeWholeHead(Head.CONNECTED_MS, connectedMs);
  const parts = {
    recordId: bytes.toString("latin1", starts[RECORD_ID], ends[RECORD_ID]),
    recordDate,
    revision: figure(REVISION) ?? 1,
    isVoid: false,
    direction: numbers[DIRECTION] as number,
    trunkId: starts[TRUNK_ID] === ABSENT ? undefined : trunkText(bytes),
    partIndex: undefined,
    warnings: NO_WARNINGS,
    candidates: candidates(),
  };
  return new PreparedDuration(parts, writeCountries(contentEnd));
}

// What was read last. The arrays are filled anew by each record.
const { numbers, starts, ends } = form;

/** What content adds, and at most five countries. */
const MOST_ADDED_BYTES = 64;

// By the rules that hold for any duration.
function isInOrder(recordDate: string, { now, horizons }: PrepareContext): boolean {
  const inviteMs = timeMs(INVITE);
  const answerMs = timeMs(ANSWER);
  const moments = { inviteMs, ringingMs: undefined, answerMs, endMs: timeMs(END) };
  const startMs = inviteMs ?? answerMs;
  if (startMs === undefined) return false;
  const connectedMs = figure(CONNECTED_MS);
  const nowMs = Number(now) / 1_000;
  return (
    checkOrder(moments, figure(TIME_RESOLUTION_MS)) === undefined &&
    checkAnswered(numbers[ANSWERED] === 1, { answerMs, connectedMs, billedS: figure(BILLED_S) }) === undefined &&
    checkFuture(moments, nowMs) === undefined &&
    compareConnected(connectedMs, moments) === undefined &&
    checkRecordDate({ recordDate, revision: figure(REVISION) ?? 1, startMs }, nowMs, horizons) === undefined
  );
}

// An upload sends the same day and trunk over and over, so that its records share their texts.
let lastDate = "";
let lastTrunk = "";

function dateText(bytes: Buffer): string | undefined {
  if (ends[RECORD_DATE] !== (starts[RECORD_DATE] as number) + 10) return undefined;
  if (!isText(bytes, RECORD_DATE, lastDate))
    lastDate = bytes.toString("latin1", starts[RECORD_DATE], ends[RECORD_DATE]);
  return lastDate;
}

function trunkText(bytes: Buffer): string {
  if (!isText(bytes, TRUNK_ID, lastTrunk)) lastTrunk = bytes.toString("latin1", starts[TRUNK_ID], ends[TRUNK_ID]);
  return lastTrunk;
}

function isText(bytes: Buffer, slot: number, value: string): boolean {
  const start = starts[slot] as number;
  if ((ends[slot] as number) - start !== value.length) return false;
  for (let at = 0; at < value.length; at++) if (bytes[start + at] !== value.charCodeAt(at)) return false;
  return true;
}

// What was sent, with the defaults of revision and kind. Returns where it ends.
function writeContent(bytes: Buffer, start: number, end: number): number {
  const hasRevision = numbers[REVISION] !== ABSENT;
  const hasKind = numbers[KIND] !== ABSENT;
  const target = room.slab.bytes;
  const dateEnd = ends[RECORD_DATE] as number;
  const kindAt = hasRevision ? dateEnd + 1 + varintBytes(numbers[REVISION] as number) : dateEnd;
  let at = room.payload;
  at += bytes.copy(target, at, start, dateEnd);
  if (!hasRevision) {
    target[at++] = REVISION_TAG;
    target[at++] = 1;
  } else at += bytes.copy(target, at, dateEnd, kindAt);
  if (!hasKind) {
    target[at++] = KIND_TAG;
    target[at++] = RecordKind.REPORT;
  }
  return at + bytes.copy(target, at, kindAt, end);
}

const REVISION_TAG = CallDurationSchema.field.revision.number << 3;
const KIND_TAG = CallDurationSchema.field.kind.number << 3;

// What is known of the parties' numbers, in the order of PARTIES.
const facts: (NumberFacts | undefined)[] = PARTIES.map(() => undefined);

function readParties(bytes: Buffer): void {
  for (let index = 0; index < PARTIES.length; index++) {
    const { value } = PARTIES[index] as PartyPlace;
    const start = starts[value] as number;
    const digits = numbers[value] as number;
    facts[index] = start === ABSENT ? undefined : factsOfNumber(digits, bytes, start, ends[value] as number);
  }
}

function candidates(): AttributionCandidate[] {
  const parties = numbers[DIRECTION] === Direction.OUTBOUND ? OUTBOUND_PARTIES : INBOUND_PARTIES;
  let found: AttributionCandidate[] | undefined;
  for (const party of parties) {
    const some = facts[party.index]?.candidates[party.basis];
    if (some !== undefined) found = found === undefined ? some : [...found, ...some];
  }
  return found ?? NOBODY;
}

const NOBODY: AttributionCandidate[] = [];
Object.freeze(NOBODY);

// The text that `partyText` makes, in bytes.
const partyBytes = Buffer.alloc(256);

function writePartyHash(bytes: Buffer, { hashSecret }: PrepareContext): void {
  const connectedMs = figure(CONNECTED_MS);
  partyBytes[0] = DIGIT_ZERO + (numbers[DIRECTION] as number);
  partyBytes[1] = SPACE;
  let at = connectedMs === undefined ? 2 : writeDigits(partyBytes, 2, connectedMs);
  for (const { message, kind, value } of PARTIES) {
    partyBytes[at++] = LINE_BREAK;
    if (starts[message] === ABSENT) continue;
    partyBytes[at++] = DIGIT_ZERO + (numbers[kind] as number);
    partyBytes[at++] = SPACE;
    if (starts[value] !== ABSENT) at += bytes.copy(partyBytes, at, starts[value], ends[value]);
  }
  const hashAt = room.head + Head.PARTY_HASH;
  const into = { bytes: room.slab.bytes, at: hashAt };
  writeContentHash(hashSecret, HashedContent.DURATION_PARTIES, { bytes: partyBytes, start: 0, end: at }, into);
  writeQuarter(room.slab.bytes, hashAt, startMicros());
}

function writeDigits(bytes: Buffer, start: number, value: number): number {
  let end = start + 1;
  for (let power = 10; power <= value; power *= 10) end++;
  let rest = value;
  for (let at = end - 1; at >= start; at--) {
    const tens = Math.floor(rest / 10);
    bytes[at] = DIGIT_ZERO + rest - tens * 10;
    rest = tens;
  }
  return end;
}

const LINE_BREAK = 10;
const SPACE = 32;
const DIGIT_ZERO = 48;

// The countries that follow from the numbers, as `writeDerivedCountries` writes them.
function writeCountries(from: number): number {
  const target = room.slab.bytes;
  let at = from;
  for (let index = 0; index < PARTIES.length; index++) {
    const country = facts[index]?.country;
    if (country === undefined) continue;
    target[at++] = (PARTIES[index] as PartyPlace).tag;
    target[at++] = 2 + country.length;
    target[at++] = COUNTRY_TAG;
    target[at++] = country.length;
    for (let unit = 0; unit < country.length; unit++) target[at++] = country[unit] as number;
  }
  return at;
}

const COUNTRY_TAG = (PartySchema.field.countryCode.number << 3) | 2;
