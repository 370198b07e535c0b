import { type Disclosure, RecipientKindSchema } from "../../gen/tandem/platform/v1/disclosure_pb.js";
import type {
  PhoneNumberExportHeader,
  PhoneNumberExportItem,
  PhoneNumberExportTrailer,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { ProcessingPurposeSchema } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, DurationState } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { DirectionSchema, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import type { Discrepancy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { NumberStateSchema, type PhoneNumber } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { formatStatus } from "../reconcile/print-discrepancies.ts";
import { type CsvColumn, formatCsv } from "../shared/csv-output.ts";
import { countOf, formatCount, formatLine, type RowColumn, styled } from "../shared/output.ts";
import { enumName, formatDuration, formatParty, formatTime } from "../shared/values.ts";

interface ExportRow {
  readonly kind?: string;
  readonly carrier_id: string;
  readonly time?: string;
  readonly direction?: string;
  readonly calling?: string;
  readonly called?: string;
  readonly connected_ms?: bigint | undefined;
  readonly id?: string;
  readonly more?: string;
}

const COLUMNS: readonly CsvColumn<ExportRow>[] = (
  ["kind", "carrier_id", "time", "direction", "calling", "called", "connected_ms", "id", "more"] as const
).map((title) => ({ title, read: (row) => row[title] }));

export function exportCsv(items: readonly PhoneNumberExportItem[], withHeader: boolean): string {
  return formatCsv(COLUMNS, items.map(rowOf), withHeader);
}

/** An item as one line of a stream. */
export function formatExportLine(item: PhoneNumberExportItem): string {
  return formatLine(LINE, rowOf(item)).trimEnd();
}

const LINE: readonly RowColumn<ExportRow>[] = [
  { title: "kind", width: 11, read: ({ kind }) => kind },
  { title: "carrier", width: 15, read: ({ carrier_id }) => carrier_id },
  { title: "time", width: 20, read: ({ time }) => time },
  { title: "way", width: 3, read: ({ direction }) => direction?.replace("bound", "") },
  { title: "calling", width: 15, read: ({ calling }) => calling },
  { title: "called", width: 15, read: ({ called }) => called },
  { title: "connected", align: "right", width: 9, read: ({ connected_ms }) => formatDuration(connected_ms) },
  { title: "id", read: ({ id }) => id },
  { title: "more", read: ({ more }) => more },
];

export function formatExportHeader({ exportId, snapshotTime, policies }: PhoneNumberExportHeader): string {
  const kept = policies.length === 0 ? "" : `, under ${policies.length} retention policies (--json shows them)`;
  return styled("dim", `Export ${exportId}, as of ${formatTime(snapshotTime)}${kept}`);
}

export function formatExportTrailer({ itemCount, withheldCount }: PhoneNumberExportTrailer): string {
  const withheld =
    withheldCount === 0n
      ? ""
      : `; ${withheldCount === 1n ? "1 call is withheld, for its caller" : `${formatCount(withheldCount)} calls are withheld, for their callers`} asked not to be shown (GDPR 15(4))`;
  return `Complete: ${countOf(itemCount, "item")}${withheld}.`;
}

function rowOf({ carrierId: carrier_id, item }: PhoneNumberExportItem): ExportRow {
  switch (item.case) {
    case "phoneNumber":
      return { ...numberRow(item.value), carrier_id };
    case "callDetailRecord":
      return { ...cdrRow(item.value), carrier_id };
    case "callDuration":
      return { ...durationRow(item.value), carrier_id };
    case "discrepancy":
      return { ...discrepancyRow(item.value), carrier_id };
    case "approval":
      return { kind: "approval", carrier_id, id: item.value.phoneNumber, more: "the carrier may claim it" };
    case "disclosure":
      return { ...disclosureRow(item.value), carrier_id };
    case undefined:
      return { carrier_id };
    default:
      return item satisfies never;
  }
}

function numberRow({ state, customerId, effectiveStartTime, effectiveEndTime, phoneNumber }: PhoneNumber) {
  const until = effectiveEndTime === undefined ? "" : `until ${formatTime(effectiveEndTime)}`;
  return {
    kind: "number",
    time: formatTime(effectiveStartTime),
    id: phoneNumber,
    more: [enumName(NumberStateSchema, state), customerId && `customer ${customerId}`, until]
      .filter(Boolean)
      .join(", "),
  };
}

function cdrRow(record: CallDetailRecord) {
  const { parties, times, lengths, outcome } = record;
  const isVoid = record.kind === RecordKind.VOID;
  return {
    kind: "cdr",
    time: formatTime(times?.inviteTime) || record.recordDate,
    direction: enumName(DirectionSchema, record.direction) ?? "",
    calling: formatParty(parties?.calling),
    called: formatParty(parties?.called),
    connected_ms: lengths?.connectedDurationMs,
    id: record.recordId,
    more: [isVoid && "taken back", outcome?.finalSipCode && `SIP ${outcome.finalSipCode}`].filter(Boolean).join(", "),
  };
}

function durationRow(record: CallDuration) {
  const isVoid = record.kind === RecordKind.VOID;
  const isQuarantined = record.state === DurationState.QUARANTINED;
  return {
    kind: "duration",
    time: formatTime(record.inviteTime ?? record.answerTime) || record.recordDate,
    direction: enumName(DirectionSchema, record.direction) ?? "",
    calling: formatParty(record.calling),
    called: formatParty(record.called),
    connected_ms: record.connectedDurationMs,
    id: record.recordId,
    more: [isQuarantined && "in quarantine", isVoid && "taken back"].filter(Boolean).join(", "),
  };
}

function discrepancyRow(discrepancy: Discrepancy) {
  const { platformMeasure, carrierMeasure } = discrepancy;
  const measure = platformMeasure ?? carrierMeasure;
  return {
    kind: "discrepancy",
    time: formatTime(measure?.inviteTime ?? measure?.answerTime) || discrepancy.callDate,
    direction: enumName(DirectionSchema, discrepancy.direction) ?? "",
    calling: formatParty(discrepancy.calling),
    called: formatParty(discrepancy.called),
    connected_ms: measure?.connectedDurationMs,
    id: discrepancy.discrepancyId,
    more: formatStatus(discrepancy),
  };
}

function disclosureRow(disclosure: Disclosure) {
  const { commitTime, recipientKind, credentialId, method, firstRecordDate: first, lastRecordDate: last } = disclosure;
  const to = `${enumName(RecipientKindSchema, recipientKind)} (${credentialId})`;
  const purpose = enumName(ProcessingPurposeSchema, disclosure.purpose)?.replaceAll("-", " ") ?? "no purpose";
  return {
    kind: "disclosure",
    time: formatTime(commitTime),
    id: disclosure.disclosureId,
    more: `to the ${to} by ${method}, for ${purpose}: records of ${first === last ? first : `${first} to ${last}`}`,
  };
}
