import { type CallDetailRecord, Completeness } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { DirectionSchema, RecordKind, ReleasePartySchema } from "../../gen/tandem/type/v1/call_pb.js";
import { QualityReasonSchema, QualityVerdictSchema } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { formatLine, printFields, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatDuration, formatParty, formatTime, formatWay } from "../shared/values.ts";

const COLUMNS: readonly RowColumn<CallDetailRecord>[] = [
  { title: "invite", read: ({ times, recordDate }) => formatTime(times?.inviteTime) || recordDate },
  { title: "way", width: 3, read: ({ direction }) => formatWay(direction) },
  { title: "calling", width: 15, read: ({ parties }) => formatParty(parties?.calling) },
  { title: "called", width: 15, read: ({ parties }) => formatParty(parties?.called) },
  {
    title: "connected",
    align: "right",
    width: 9,
    read: ({ kind, lengths }) => (kind === RecordKind.VOID ? "void" : formatDuration(lengths?.connectedDurationMs)),
  },
  { title: "SIP", align: "right", width: 3, read: ({ outcome }) => outcome?.finalSipCode?.toString() },
  { title: "quality", width: 12, read: ({ qualityVerdict }) => enumName(QualityVerdictSchema, qualityVerdict) },
  { title: "record", read: formatRevision },
];

/** Prints records, a line each, as a table. */
export function printCdrs(records: readonly CallDetailRecord[]): void {
  printRows(COLUMNS, records, "No records.");
}

/** A record as one line of a feed. */
export function formatCdrLine(record: CallDetailRecord): string {
  return formatLine(COLUMNS, record);
}

/** A record's id, with its revision unless it is the first. */
export function formatRevision({ recordId, revision = 1 }: Pick<CallDetailRecord, "recordId" | "revision">): string {
  return revision > 1 ? `${recordId}#${revision}` : recordId;
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

function formatQuality(record: CallDetailRecord): string {
  const reasons = record.qualityReasons.map((reason) => enumName(QualityReasonSchema, reason)).join(", ");
  const verdict = enumName(QualityVerdictSchema, record.qualityVerdict) ?? "";
  return reasons === "" ? verdict : `${verdict}: ${reasons}`;
}
