import { type CallDetailRecord, Completeness } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { DirectionSchema, RecordKind, ReleasePartySchema } from "../../gen/tandem/type/v1/call_pb.js";
import { QualityReasonSchema, QualityVerdictSchema } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { type Column, printFields, printTable } from "../shared/output.ts";
import { formatParty } from "../shared/print-party.ts";
import { enumName, formatDuration, formatTime } from "../shared/values.ts";

const COLUMNS: readonly Column[] = [
  { title: "invite" },
  { title: "way" },
  { title: "calling" },
  { title: "called" },
  { title: "connected", align: "right" },
  { title: "SIP", align: "right" },
  { title: "quality" },
  { title: "record" },
];

/** Prints records, a line each, as a table. */
export function printCdrs(records: readonly CallDetailRecord[]): void {
  printTable(COLUMNS, records.map(cellsOf), "No records.");
}

/** A record as one line of a feed, which cannot wait for the widest cell. */
export function formatCdrLine(record: CallDetailRecord): string {
  const [invite = "", way = "", calling = "", called = "", connected = "", sip = "", quality = "", id = ""] =
    cellsOf(record);
  const parties = `${calling.padEnd(15)}  ${called.padEnd(15)}`;
  return `${invite}  ${way.padEnd(3)}  ${parties}  ${connected.padStart(9)}  ${sip.padStart(3)}  ${quality.padEnd(12)}  ${id}`;
}

/** Prints all that matters of a record. */
export function printCdr(record: CallDetailRecord): void {
  const { times, lengths, outcome, route, parties, attribution, correlation } = record;
  const dialog = correlation?.interconnectDialog;
  printFields([
    ["record", `${record.recordId}  ${record.recordDate}  revision ${record.revision ?? 1}`],
    [
      "state",
      `${record.kind === RecordKind.VOID ? "void" : ""}${record.completeness === Completeness.PARTIAL ? "partial" : ""}`,
    ],
    ["call", record.callId],
    ["direction", enumName(DirectionSchema, record.direction)],
    ["calling", formatParty(parties?.calling)],
    ["asserted", formatParty(parties?.asserted)],
    ["called", formatParty(parties?.called)],
    ["redirecting", formatParty(parties?.redirecting)],
    ["ours", attribution && `${attribution.phoneNumber}, customer ${attribution.customerId}`],
    ["invite", formatTime(times?.inviteTime, "milliseconds")],
    ["ringing", formatTime(times?.ringingTime, "milliseconds")],
    ["answer", formatTime(times?.answerTime, "milliseconds")],
    ["end", formatTime(times?.endTime, "milliseconds")],
    ["connected", formatDuration(lengths?.connectedDurationMs)],
    ["outcome", [outcome?.finalSipCode, outcome?.reasonPhrase].filter(Boolean).join(" ")],
    ["Q.850 cause", outcome?.q850Cause?.toString()],
    ["released by", enumName(ReleasePartySchema, outcome?.releaseParty ?? 0)],
    ["trunk", [route?.trunkId, route?.codec].filter(Boolean).join(", ")],
    ["SIP Call-ID", dialog?.callId],
    ["quality", formatQuality(record)],
    ["feed", `sequence ${record.sequence}, ingested ${formatTime(record.ingestTime, "milliseconds")}`],
  ]);
}

function cellsOf(record: CallDetailRecord): string[] {
  const { parties, times, lengths, outcome } = record;
  const revision = (record.revision ?? 1) > 1 ? `#${record.revision}` : "";
  return [
    formatTime(times?.inviteTime) || record.recordDate,
    enumName(DirectionSchema, record.direction)?.replace("bound", "") ?? "",
    formatParty(parties?.calling),
    formatParty(parties?.called),
    record.kind === RecordKind.VOID ? "void" : formatDuration(lengths?.connectedDurationMs),
    outcome?.finalSipCode?.toString() ?? "",
    enumName(QualityVerdictSchema, record.qualityVerdict) ?? "",
    `${record.recordId}${revision}`,
  ];
}

function formatQuality(record: CallDetailRecord): string {
  const reasons = record.qualityReasons.map((reason) => enumName(QualityReasonSchema, reason)).join(", ");
  const verdict = enumName(QualityVerdictSchema, record.qualityVerdict) ?? "";
  return reasons === "" ? verdict : `${verdict}: ${reasons}`;
}
