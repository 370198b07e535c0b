import { create } from "@bufbuild/protobuf";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { RoundingRuleSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import {
  CorrelationSchema,
  DirectionSchema,
  InterconnectDialogSchema,
  RecordKindSchema,
} from "../../gen/tandem/type/v1/call_pb.js";
import { type Party, PartyKind, PartySchema } from "../../gen/tandem/type/v1/party_pb.js";
import { parseEnumName, parseTime } from "../shared/values.ts";

/**
 * A column of the file: what it means, and how its text becomes part of a record. The text is never
 * empty. What is taken otherwise than it stands is returned as what to say of it.
 */
export interface DurationColumn {
  readonly meaning: string;
  // biome-ignore lint/suspicious/noConfusingVoidType: most have nothing to say.
  readonly read: (text: string, record: CallDuration) => string | void;
}

/** What is said, once for a file, of lengths with more digits than a millisecond has. */
const ROUNDED = "is more precise than a millisecond: rounded";

/**
 * Every column by name, in the order of the help. Only the form is checked here: the rules are the
 * server's, and so are its verdicts.
 */
export const DURATION_COLUMNS: Readonly<Record<string, DurationColumn>> = {
  record_id: field("the switch's id of the record; required", "recordId", asSent),
  record_date: field("UTC day of the invite, else of the answer; default: taken from them", "recordDate", asSent),
  revision: field("1 (default) or higher: the highest wins", "revision", whole32),
  kind: field("report (default) or void", "kind", (text) => parseEnumName(RecordKindSchema, text)),
  direction: field("outbound (to the PSTN) or inbound", "direction", (text) => parseEnumName(DirectionSchema, text)),
  calling: field("+E.164; or restricted, unavailable, short:118, emergency:112, other:text", "calling", party),
  asserted: field("as the network asserts the caller", "asserted", party),
  called: field("likewise", "called", party),
  redirecting: field("who forwarded the call", "redirecting", party),
  invite_time: field("2026-03-01T10:05:00.250Z, or with an offset such as +01:00", "inviteTime", (text) =>
    parseTime(timeOfDay(text)),
  ),
  answer_time: field("likewise; empty when unanswered", "answerTime", (text) => parseTime(timeOfDay(text))),
  end_time: field("likewise", "endTime", (text) => parseTime(timeOfDay(text))),
  answered: field("yes or no", "answered", yesNo),
  connected_duration_ms: field("answer to end, milliseconds, before any rounding", "connectedDurationMs", whole),
  connected_duration_s: column(
    "the same in seconds, if the switch has no better: 95 or 95.25; rounded to milliseconds",
    (text, record) => {
      const { ms, isRounded } = millisecondsOf(text);
      record.connectedDurationMs = ms;
      return isRounded ? ROUNDED : undefined;
    },
  ),
  billed_duration_s: field("whole seconds", "billedDurationS", whole),
  rounding_increment_s: column("billing increment that made billed_duration_s", (text, record) => {
    record.roundingRule ??= create(RoundingRuleSchema);
    record.roundingRule.incrementS = whole32(text);
  }),
  rounding_minimum_s: column("least that is billed", (text, record) => {
    record.roundingRule ??= create(RoundingRuleSchema);
    record.roundingRule.minimumS = whole32(text);
  }),
  time_resolution_ms: field("1 (default); 1000 for a switch that writes seconds", "timeResolutionMs", whole32),
  utc_offset_minutes: field("offset of the switch's clock; evidence only", "utcOffsetMinutes", whole32),
  final_sip_code: field("such as 200", "finalSipCode", whole32),
  q850_cause: field("such as 16", "q850Cause", whole32),
  trunk_id: field("the trunk, as both sides name it", "trunkId", asSent),
  sip_call_id: column("Call-ID of the SIP dialog on the trunk", (text, record) => {
    record.correlation ??= create(CorrelationSchema);
    record.correlation.interconnectDialog = create(InterconnectDialogSchema, { callId: text });
  }),
  icid: column("icid-value of P-Charging-Vector", (text, record) => {
    record.correlation ??= create(CorrelationSchema);
    record.correlation.icid = text;
  }),
  platform_record_id: field("record id of the platform's CDR, echoed from the feed", "platformRecordId", asSent),
  customer_reference: field("the carrier's own reference, at most 60 characters", "customerReference", asSent),
};

function column(meaning: string, read: DurationColumn["read"]): DurationColumn {
  return { meaning, read };
}

// A column that is one field of the record.
function field<Name extends keyof CallDuration>(
  meaning: string,
  name: Name,
  read: (text: string) => CallDuration[Name],
): DurationColumn {
  return column(meaning, (text, record) => {
    record[name] = read(text);
  });
}

function asSent(text: string): string {
  return text;
}

function whole(text: string): bigint {
  if (!/^-?\d{1,15}$/.test(text)) throw new Error("expected a whole number");
  return BigInt(text);
}

/** A whole number as the contract's fields of 32 bits take it. */
function whole32(text: string): number {
  const value = Number(whole(text));
  if (Math.abs(value) > MAX_32_BITS) throw new Error(`expected a whole number of at most ${MAX_32_BITS}`);
  return value;
}

const MAX_32_BITS = 2_147_483_647;

function millisecondsOf(text: string): { ms: bigint; isRounded: boolean } {
  const [, seconds, fraction = ""] = /^(\d{1,12})(?:\.(\d{1,18}))?$/.exec(text) ?? [];
  if (seconds === undefined) throw new Error("expected seconds, such as 95 or 95.25");
  const ms = BigInt(seconds) * 1000n + BigInt(fraction.slice(0, 3).padEnd(3, "0"));
  const rest = fraction.slice(3);
  return { ms: rest >= "5" ? ms + 1n : ms, isRounded: /[1-9]/.test(rest) };
}

function yesNo(text: string): boolean {
  const value = { yes: true, true: true, "1": true, no: false, false: false, "0": false }[text.toLowerCase()];
  if (value === undefined) throw new Error("expected yes or no");
  return value;
}

/** A local time without its zone would be a guess. */
function timeOfDay(text: string): string {
  if (!/T.*(Z|[+-]\d{2}:\d{2})$/.test(text)) {
    throw new Error("expected a time with its zone: 2026-03-01T10:05:00Z or 2026-03-01T11:05:00+01:00");
  }
  return text;
}

const PARTY_PREFIXES: Readonly<Record<string, PartyKind>> = {
  short: PartyKind.SHORT_CODE,
  emergency: PartyKind.EMERGENCY,
  other: PartyKind.NON_E164,
};

function party(text: string): Party {
  if (text.startsWith("+")) return create(PartySchema, { kind: PartyKind.E164, value: text });
  if (text === "restricted") return create(PartySchema, { kind: PartyKind.RESTRICTED });
  if (text === "unavailable") return create(PartySchema, { kind: PartyKind.UNAVAILABLE });
  const [, prefix = "", value = ""] = /^(\w+):(.+)$/.exec(text) ?? [];
  const kind = PARTY_PREFIXES[prefix];
  if (kind === undefined) {
    throw new Error("expected +E.164, restricted, unavailable, short:..., emergency:... or other:...");
  }
  return create(PartySchema, { kind, value });
}
