import { isE164 } from "../../domain/calls/party.ts";
import type { Stated } from "../../domain/enum-values.ts";
import { invalidArgument } from "../../domain/errors.ts";
import { isSubjectRole } from "../../domain/privacy/subject.ts";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { addDays, isDay, type Micros } from "../../domain/time/instant.ts";
import { RecipientKind } from "../../gen/tandem/platform/v1/disclosure_pb.js";
import type {
  DisclosedNumber,
  DisclosedPeriod,
  DisclosedRecord,
  ListDisclosuresRequest,
  SubjectRole,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { AskedRecord } from "../../store/privacy/disclosure-targets.ts";
import { idText, optionalPeriod, requiredInstant } from "../shared/lists.ts";

/** Longest period of record dates, days. */
const MAX_DAYS = 400;

export type AskedSubject =
  | { readonly of: "record"; readonly record: AskedRecord }
  | NumberSubject
  | { readonly of: "period"; readonly startDate: string; readonly endDate: string };

export interface NumberSubject {
  readonly of: "number";
  readonly phoneNumber: string;
  readonly start: Micros;
  readonly end: Micros;
  readonly role: Stated<SubjectRole>;
}

export interface AskedDisclosures {
  /** Empty: every carrier, of a number only. */
  readonly carrierId: string;
  readonly subject: AskedSubject;
  readonly recipientKind: number | undefined;
  readonly start: Micros | undefined;
  readonly end: Micros | undefined;
  /** All of it as one text: what page tokens are good for. */
  readonly scope: string;
}

export function readDisclosuresRequest(request: ListDisclosuresRequest): AskedDisclosures {
  const { carrierId, recipientKind } = request;
  const subject = readSubject(request);
  if (carrierId === "" && subject.of !== "number")
    throw invalidArgument("carrier_id", "is required, except with a number");
  if (RecipientKind[recipientKind] === undefined)
    throw invalidArgument("recipient_kind", "expected RECIPIENT_KIND_CARRIER or RECIPIENT_KIND_PLATFORM, or none");
  const { start, end } = optionalPeriod(request);
  const asked = { carrierId, subject, recipientKind: recipientKind === 0 ? undefined : recipientKind, start, end };
  return { ...asked, scope: JSON.stringify(asked, (_, value) => (typeof value === "bigint" ? String(value) : value)) };
}

function readSubject({ subject }: ListDisclosuresRequest): AskedSubject {
  switch (subject.case) {
    case "record":
      return { of: "record", record: readRecord(subject.value) };
    case "number":
      return readNumber(subject.value);
    case "period":
      return readPeriod(subject.value);
    case undefined:
      throw invalidArgument("subject", "is required: record, number or period");
    default:
      return subject satisfies never;
  }
}

function readRecord({ side, record }: DisclosedRecord): AskedRecord {
  if (side !== PLATFORM_SIDE && side !== CARRIER_SIDE)
    throw invalidArgument("record.side", "is required: RECORD_SIDE_PLATFORM or RECORD_SIDE_CARRIER");
  if (!record) throw invalidArgument("record.record", "is required");
  const recordId = idText("record.record.record_id", record.recordId, 128);
  if (!isDay(record.recordDate)) throw invalidArgument("record.record.record_date", "is required: a day, YYYY-MM-DD");
  const { revision } = record;
  if (revision !== undefined && revision < 1) throw invalidArgument("record.record.revision", "expected 1 or more");
  return { side, recordId, recordDate: record.recordDate, revision };
}

function readNumber({ phoneNumber, startTime, endTime, role }: DisclosedNumber): NumberSubject {
  if (!isE164(phoneNumber))
    throw invalidArgument("number.phone_number", "expected E.164: + and 2 to 15 digits, the first not 0");
  const start = requiredInstant("number.start_time", startTime);
  const end = requiredInstant("number.end_time", endTime);
  if (end <= start) throw invalidArgument("number.end_time", "expected a time after start_time");
  if (!isSubjectRole(role)) throw invalidArgument("number.role", "is required: a role");
  return { of: "number", phoneNumber, start, end, role };
}

function readPeriod({ startDate, endDate }: DisclosedPeriod): Extract<AskedSubject, { of: "period" }> {
  if (!isDay(startDate)) throw invalidArgument("period.start_date", "is required: a day, YYYY-MM-DD");
  if (!isDay(endDate)) throw invalidArgument("period.end_date", "is required: a day, YYYY-MM-DD");
  if (endDate <= startDate) throw invalidArgument("period.end_date", "expected a day after start_date");
  if (addDays(startDate, MAX_DAYS) < endDate)
    throw invalidArgument("period.end_date", `expected at most ${MAX_DAYS} days after start_date`);
  return { of: "period", startDate, endDate };
}
