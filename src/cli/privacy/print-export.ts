import { timestampDate } from "@bufbuild/protobuf/wkt";
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
import { countOf, formatCount, styled } from "../shared/output.ts";
import { formatParty } from "../shared/print-party.ts";
import { enumName, formatDuration, formatTime } from "../shared/values.ts";

/** An item as a line. */
interface ExportRow {
  readonly kind: string;
  readonly carrierId: string;
  readonly time: string;
  readonly way: string;
  readonly calling: string;
  readonly called: string;
  readonly connectedMs: bigint | undefined;
  readonly id: string;
  readonly more: string;
}

const COLUMNS: readonly CsvColumn<ExportRow>[] = [
  { title: "kind", read: ({ kind }) => kind },
  { title: "carrier_id", read: ({ carrierId }) => carrierId },
  { title: "time", read: ({ time }) => time },
  { title: "direction", read: ({ way }) => way },
  { title: "calling", read: ({ calling }) => calling },
  { title: "called", read: ({ called }) => called },
  { title: "connected_ms", read: ({ connectedMs }) => connectedMs },
  { title: "id", read: ({ id }) => id },
  { title: "more", read: ({ more }) => more },
];

/** Items as CSV, with a header on request. */
export function exportCsv(items: readonly PhoneNumberExportItem[], withHeader: boolean): string {
  return formatCsv(COLUMNS, items.map(rowOf), withHeader);
}

/** An item as one line of a stream, which cannot wait for the widest cell. */
export function formatExportLine(item: PhoneNumberExportItem): string {
  const { kind, carrierId, time, way, calling, called, connectedMs, id, more } = rowOf(item);
  const parties = `${way.replace("bound", "").padEnd(3)}  ${calling.padEnd(15)}  ${called.padEnd(15)}`;
  const what = `${kind.padEnd(11)}  ${carrierId.padEnd(15)}  ${time.padEnd(20)}`;
  return `${what}  ${parties}  ${formatDuration(connectedMs).padStart(9)}  ${id}${more === "" ? "" : `  ${more}`}`;
}

/** What an export begins with, for people. */
export function formatExportHeader({ exportId, snapshotTime, policies }: PhoneNumberExportHeader): string {
  const kept = policies.length === 0 ? "" : `, under ${policies.length} retention policies (--json shows them)`;
  return styled("dim", `Export ${exportId}, as of ${formatTime(snapshotTime)}${kept}`);
}

/** What it ends with. */
export function formatExportTrailer({ itemCount, withheldCount }: PhoneNumberExportTrailer): string {
  const withheld =
    withheldCount === 0n
      ? ""
      : `; ${withheldCount === 1n ? "1 call is withheld, for its caller" : `${formatCount(withheldCount)} calls are withheld, for their callers`} asked not to be shown (GDPR 15(4))`;
  return `Complete: ${countOf(itemCount, "item")}${withheld}.`;
}

function rowOf({ carrierId, item }: PhoneNumberExportItem): ExportRow {
  switch (item.case) {
    case "phoneNumber":
      return { ...EMPTY, ...numberRow(item.value), carrierId };
    case "callDetailRecord":
      return { ...EMPTY, ...cdrRow(item.value), carrierId };
    case "callDuration":
      return { ...EMPTY, ...durationRow(item.value), carrierId };
    case "discrepancy":
      return { ...EMPTY, ...discrepancyRow(item.value), carrierId };
    case "approval":
      return { ...EMPTY, kind: "approval", carrierId, id: item.value.phoneNumber, more: "the carrier may claim it" };
    case "disclosure":
      return { ...EMPTY, ...disclosureRow(item.value), carrierId };
    case undefined:
      return { ...EMPTY, carrierId };
    default:
      return item satisfies never;
  }
}

const EMPTY: ExportRow = {
  kind: "",
  carrierId: "",
  time: "",
  way: "",
  calling: "",
  called: "",
  connectedMs: undefined,
  id: "",
  more: "",
};

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
    way: enumName(DirectionSchema, record.direction) ?? "",
    calling: formatParty(parties?.calling),
    called: formatParty(parties?.called),
    connectedMs: lengths?.connectedDurationMs,
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
    way: enumName(DirectionSchema, record.direction) ?? "",
    calling: formatParty(record.calling),
    called: formatParty(record.called),
    connectedMs: record.connectedDurationMs,
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
    way: enumName(DirectionSchema, discrepancy.direction) ?? "",
    calling: formatParty(discrepancy.calling),
    called: formatParty(discrepancy.called),
    connectedMs: measure?.connectedDurationMs,
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
    time: commitTime === undefined ? "" : `${timestampDate(commitTime).toISOString().slice(0, 19)}Z`,
    id: disclosure.disclosureId,
    more: `to the ${to} by ${method}, for ${purpose}: records of ${first === last ? first : `${first} to ${last}`}`,
  };
}
