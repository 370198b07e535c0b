import { MAX_ID } from "../../domain/calls/call-fields.ts";
import { MAX_CONNECTED_MS } from "../../domain/calls/call-rules.ts";
import { PARTY_NAMES, type PartyName } from "../../domain/privacy/erasure.ts";
import { AttributionBasis } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { Direction, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import { e164, type MessageForm, OrdinaryForm, text, visible, whole } from "./ordinary-form.ts";

/** What the form's arrays have for a field that is absent. */
export const ABSENT = -1;
/** 2100-01-01: later times are for others to read. */
const MAX_SECONDS = 4_102_444_800;

const PARTY: MessageForm = { kind: whole(PartyKind.E164, PartyKind.UNAVAILABLE), value: e164 };
const TIME: MessageForm = { seconds: whole(1, MAX_SECONDS), nanos: whole(1, 999_999_999) };
/** The fields of an ordinary duration, with their bounds. */
export const form = new OrdinaryForm(CallDurationSchema, {
  record_id: visible(MAX_ID),
  record_date: text(10),
  revision: whole(1, 1_000_000),
  kind: whole(RecordKind.REPORT, RecordKind.REPORT),
  correlation: {
    interconnect_dialog: { call_id: text(512), from_tag: text(256), to_tag: text(256) },
    correlation_id: text(MAX_ID),
    icid: text(256),
    leg_index: whole(0, 999),
  },
  platform_record_id: text(MAX_ID),
  direction: whole(Direction.OUTBOUND, Direction.INBOUND),
  calling: PARTY,
  asserted: PARTY,
  called: PARTY,
  dialed: PARTY,
  redirecting: PARTY,
  invite_time: TIME,
  answer_time: TIME,
  end_time: TIME,
  utc_offset_minutes: whole(0, 840),
  time_resolution_ms: whole(1, 60_000),
  connected_duration_ms: whole(0, MAX_CONNECTED_MS),
  billed_duration_s: whole(0, MAX_CONNECTED_MS / 1_000),
  rounding_rule: { increment_s: whole(1, 3_600), minimum_s: whole(1, 3_600) },
  answered: whole(0, 1),
  final_sip_code: whole(200, 699),
  q850_cause: whole(1, 127),
  customer_reference: text(60),
  trunk_id: text(MAX_ID),
});

// What was read last. The form's arrays are filled anew by each record.
const { numbers, starts } = form;
export const RECORD_ID = form.slot("record_id");
export const RECORD_DATE = form.slot("record_date");
export const REVISION = form.slot("revision");
export const KIND = form.slot("kind");
const DIALOG = form.slot("correlation.interconnect_dialog");
const CALL_ID = form.slot("correlation.interconnect_dialog.call_id");
export const DIRECTION = form.slot("direction");
export const TIME_RESOLUTION_MS = form.slot("time_resolution_ms");
export const CONNECTED_MS = form.slot("connected_duration_ms");
export const BILLED_S = form.slot("billed_duration_s");
const ROUNDING = form.slot("rounding_rule");
const INCREMENT_S = form.slot("rounding_rule.increment_s");
export const ANSWERED = form.slot("answered");
export const TRUNK_ID = form.slot("trunk_id");

/** A party: its slots, the field that holds it, what it decides, and its place in PARTIES. */
export interface PartyPlace {
  readonly message: number;
  readonly kind: number;
  readonly value: number;
  readonly tag: number;
  readonly basis: number;
  readonly index: number;
}

function partyPlace(name: PartyName, basis: number): PartyPlace {
  return {
    index: PARTY_NAMES.indexOf(name),
    message: form.slot(name),
    kind: form.slot(`${name}.kind`),
    value: form.slot(`${name}.value`),
    tag: (CallDurationSchema.field[name].number << 3) | 2,
    basis,
  };
}

/** Candidates of a party that decides nothing. */
const NO_BASIS = 0;
const CALLING = partyPlace("calling", AttributionBasis.CALLING);
const ASSERTED = partyPlace("asserted", AttributionBasis.ASSERTED);
const CALLED = partyPlace("called", AttributionBasis.CALLED);
const REDIRECTING = partyPlace("redirecting", AttributionBasis.REDIRECTING);
/** In the order of the contract. */
export const PARTIES = [CALLING, ASSERTED, CALLED, partyPlace("dialed", NO_BASIS), REDIRECTING] as const;
export const OUTBOUND_PARTIES = [REDIRECTING, ASSERTED, CALLING] as const;
export const INBOUND_PARTIES = [CALLED] as const;

/** A figure of the record that was read last; undefined: absent. */
export function figure(slot: number): number | undefined {
  const value = numbers[slot] as number;
  return value === ABSENT ? undefined : value;
}

/** A time: its slots. */
interface TimePlace {
  readonly message: number;
  readonly seconds: number;
  readonly nanos: number;
}

function timePlace(name: string): TimePlace {
  return { message: form.slot(name), seconds: form.slot(`${name}.seconds`), nanos: form.slot(`${name}.nanos`) };
}

export const INVITE = timePlace("invite_time");
export const ANSWER = timePlace("answer_time");
export const END = timePlace("end_time");

/** A time of the record that was read last, milliseconds since 1970 with a fraction. */
export function timeMs({ seconds, nanos }: TimePlace): number | undefined {
  const whole = figure(seconds);
  return whole === undefined ? undefined : whole * 1_000 + (figure(nanos) ?? 0) / 1_000_000;
}

/** When the call of the record that was read last began, microseconds since 1970. */
export function startMicros(): number {
  const { seconds, nanos } = figure(INVITE.seconds) === undefined ? ANSWER : INVITE;
  return (numbers[seconds] as number) * 1_000_000 + Math.floor((figure(nanos) ?? 0) / 1_000);
}

/** Whether the record that was read last, and every message within it, has what it must have. */
export function isComplete(): boolean {
  for (const party of PARTIES) if (!isParty(party)) return false;
  return (
    starts[CALLING.message] !== ABSENT &&
    starts[CALLED.message] !== ABSENT &&
    numbers[DIRECTION] !== ABSENT &&
    numbers[ANSWERED] !== ABSENT &&
    starts[RECORD_ID] !== ABSENT &&
    isTime(INVITE) &&
    isTime(ANSWER) &&
    isTime(END) &&
    (starts[DIALOG] === ABSENT || starts[CALL_ID] !== ABSENT) &&
    (starts[ROUNDING] === ABSENT || numbers[INCREMENT_S] !== ABSENT)
  );
}

function isParty({ message, kind, value }: PartyPlace): boolean {
  if (starts[message] === ABSENT) return true;
  if (numbers[kind] === PartyKind.E164) return starts[value] !== ABSENT;
  return (numbers[kind] as number) >= PartyKind.RESTRICTED && starts[value] === ABSENT;
}

function isTime({ message, seconds }: TimePlace): boolean {
  return starts[message] === ABSENT || numbers[seconds] !== ABSENT;
}
