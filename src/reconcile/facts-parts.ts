import type { Party } from "../domain/calls/party.ts";
import type { RoundingRule } from "../domain/carriers/carrier.ts";
import type { CarrierFacts, CorrelationIds } from "../domain/matching/facts.ts";
import { WireReader } from "../domain/wire-reader.ts";

// The messages within a stored record, as far as matching needs them.

/** Shared: records are read one at a time. */
export const reader = new WireReader();

/** Positions of the parties in a record, by their numbers in CallParties. */
export const [CALLING, ASSERTED, CALLED, DIALED, REDIRECTING] = [1, 2, 3, 4, 5] as const;
/** Positions of times, by their numbers in CallTimes. */
export const [INVITE, RINGING, ANSWER, END] = [1, 2, 3, 4] as const;
/** Positions of lengths, by their numbers in CallLengths. */
export const [RING, CONNECTED, TOTAL] = [2, 3, 4] as const;
/** Of sub-messages: texts and messages have a length, numbers have none. */
export const [NUMBER, LONG] = [0, 2] as const;

export interface Time {
  seconds: number;
  nanos: number;
}

export function readParties(parties: (Party | undefined)[], end: number): void {
  const innerEnd = reader.part(undefined, end);
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    const position = tag >> 3;
    if ((tag & 7) === LONG && position >= CALLING && position <= REDIRECTING) readParty(parties, position, innerEnd);
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
}

// A derived country is stored behind the rest, and is of the same message.
export function readParty(parties: (Party | undefined)[], position: number, end: number): void {
  const party = parties[position] ?? { kind: 0, value: undefined, countryCode: undefined, presentation: 0 };
  parties[position] = party;
  const innerEnd = reader.part(undefined, end);
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    if (tag === ((1 << 3) | NUMBER)) party.kind = reader.uint31();
    else if (tag === ((2 << 3) | LONG)) party.value = reader.asciiCopy(innerEnd);
    else if (tag === ((3 << 3) | LONG)) party.countryCode = reader.ascii(innerEnd);
    else if (tag === ((4 << 3) | NUMBER)) party.presentation = reader.uint31();
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
}

export function readTimes(times: (Time | undefined)[], end: number): void {
  const innerEnd = reader.part(undefined, end);
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    const position = tag >> 3;
    if ((tag & 7) === LONG && position >= INVITE && position <= END) readTime(times, position, innerEnd);
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
}

export function readTime(times: (Time | undefined)[], position: number, end: number): void {
  const time: Time = { seconds: 0, nanos: 0 };
  const innerEnd = reader.part(times[position], end);
  times[position] = time;
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    if (tag === ((1 << 3) | NUMBER)) time.seconds = reader.uint53();
    else if (tag === ((2 << 3) | NUMBER)) time.nanos = reader.uint31();
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
}

// Stated lengths and derived ones are stored one behind the other, and are one message.
export function readLengths(lengths: (number | undefined)[], end: number): void {
  const innerEnd = reader.part(undefined, end);
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    const position = tag >> 3;
    if ((tag & 7) === NUMBER && position >= RING && position <= TOTAL) lengths[position] = reader.uint53();
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
}

export function readTrunk(earlier: string | undefined, end: number): string | undefined {
  let trunkId: string | undefined;
  const innerEnd = reader.part(earlier, end);
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    if (tag === ((1 << 3) | LONG)) trunkId = reader.ascii(innerEnd);
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
  return trunkId;
}

export function readIds(earlier: CorrelationIds | undefined, end: number): CorrelationIds {
  const ids = { dialogCallId: "", dialogFromTag: "", dialogToTag: "", icid: "", sessionId: "" };
  const innerEnd = reader.part(earlier, end);
  let isDialogRead: true | undefined;
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    if (tag === ((1 << 3) | LONG)) {
      readDialog(ids, isDialogRead, innerEnd);
      isDialogRead = true;
    } else if (tag === ((3 << 3) | LONG)) ids.sessionId = reader.ascii(innerEnd);
    else if (tag === ((4 << 3) | LONG)) ids.icid = reader.ascii(innerEnd);
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
  return {
    dialogCallId: optionalText(ids.dialogCallId),
    dialogFromTag: optionalText(ids.dialogFromTag),
    dialogToTag: optionalText(ids.dialogToTag),
    icid: optionalText(ids.icid),
    sessionId: optionalText(ids.sessionId),
  };
}

interface DialogTexts {
  dialogCallId: string;
  dialogFromTag: string;
  dialogToTag: string;
}

function readDialog(ids: DialogTexts, earlier: true | undefined, end: number): void {
  const innerEnd = reader.part(earlier, end);
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    if (tag === ((1 << 3) | LONG)) ids.dialogCallId = reader.ascii(innerEnd);
    else if (tag === ((2 << 3) | LONG)) ids.dialogFromTag = reader.ascii(innerEnd);
    else if (tag === ((3 << 3) | LONG)) ids.dialogToTag = reader.ascii(innerEnd);
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
}

export function readRule(earlier: RoundingRule | undefined, end: number): RoundingRule {
  const rule = { incrementS: 0, minimumS: 0 };
  const innerEnd = reader.part(earlier, end);
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    if (tag === ((1 << 3) | NUMBER)) rule.incrementS = reader.uint31();
    else if (tag === ((2 << 3) | NUMBER)) rule.minimumS = reader.uint31();
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
  return rule;
}

export function readPart(earlier: CarrierFacts["part"], end: number): NonNullable<CarrierFacts["part"]> {
  let [index, count, isLast]: [number, number | undefined, boolean | undefined] = [0, undefined, undefined];
  const innerEnd = reader.part(earlier, end);
  while (reader.position < innerEnd) {
    const tag = reader.uint31();
    if (tag === ((1 << 3) | NUMBER)) index = reader.uint31();
    else if (tag === ((2 << 3) | NUMBER)) count = reader.uint31();
    else if (tag === ((3 << 3) | NUMBER)) isLast = reader.bool();
    else reader.skip(tag, innerEnd);
  }
  if (reader.position !== innerEnd) reader.fail();
  return { index, count, isLast };
}

export function optionalText(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
