import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import {
  type CallMeasure,
  type Discrepancy,
  DiscrepancyCause,
  DiscrepancyCauseSchema,
  DiscrepancyStatus,
  DiscrepancyStatusSchema,
  MatchedBySchema,
  PendingReasonSchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { CsvColumn } from "../shared/csv-output.ts";
import { type Column, printTable } from "../shared/output.ts";
import { formatParty } from "../shared/print-party.ts";
import { enumName, formatDuration, formatTime } from "../shared/values.ts";

const COLUMNS: readonly Column[] = [
  { title: "start" },
  { title: "way" },
  { title: "calling" },
  { title: "called" },
  { title: "platform", align: "right" },
  { title: "carrier", align: "right" },
  { title: "delta", align: "right" },
  { title: "status" },
  { title: "because of" },
  { title: "discrepancy" },
];

/** Prints discrepancies, a line each, as a table. */
export function printDiscrepancies(discrepancies: readonly Discrepancy[], withCarrier: boolean): void {
  const columns = withCarrier ? [{ title: "carrier id" }, ...COLUMNS] : COLUMNS;
  const rows = discrepancies.map((each) => [...(withCarrier ? [each.carrierId] : []), ...cellsOf(each)]);
  printTable(columns, rows, "No discrepancies.");
}

/** A discrepancy as one line of a feed, which cannot wait for the widest cell. */
export function formatDiscrepancyLine(discrepancy: Discrepancy): string {
  const padded = cellsOf(discrepancy).map((cell, index) => {
    const width = LINE_WIDTHS[index] ?? 0;
    return COLUMNS[index]?.align === "right" ? cell.padStart(width) : cell.padEnd(width);
  });
  return `${padded.join("  ")} #${discrepancy.revision}`;
}

/** What most cells of a column fit in. */
const LINE_WIDTHS: readonly number[] = [0, 3, 15, 15, 9, 9, 9, 21, 12, 0];

/** A status and what it waits for, or that it is resolved: in a word, or as told. */
export function formatStatus({ status, pendingReason, resolvedTime }: Discrepancy, resolved = "resolved"): string {
  const reason = enumName(PendingReasonSchema, pendingReason);
  const name = enumName(DiscrepancyStatusSchema, status) ?? "";
  if (reason !== undefined) return `${name}: ${reason}`;
  return resolvedTime === undefined ? name : `${name}, ${resolved}`;
}

/** Whether both sides agree. A cause of such a pair explains no difference: it is a note. */
export function isAgreeing({ status }: Discrepancy): boolean {
  return AGREEING.has(status);
}

const AGREEING: ReadonlySet<DiscrepancyStatus> = new Set([
  DiscrepancyStatus.MATCHED_EXACT,
  DiscrepancyStatus.WITHIN_TOLERANCE,
  DiscrepancyStatus.MATCHED_UNANSWERED,
]);

/** The causes, in their order. */
export function formatCauses({ findings }: Discrepancy, separator = ", "): string {
  return findings.map(({ cause }) => enumName(DiscrepancyCauseSchema, cause) ?? "").join(separator);
}

/**
 * What explains the difference, or that nothing does; of a discrepancy that has no difference every
 * cause.
 */
export function formatReasons(discrepancy: Discrepancy): string {
  const reasons = discrepancy.findings.filter(({ cause }) => !EXPLAINING_NOTHING.has(cause));
  return formatCauses(reasons.length === 0 ? discrepancy : { ...discrepancy, findings: reasons });
}

/** What stands beside the reasons, and makes no difference of answers or lengths. */
export function formatCircumstances(discrepancy: Discrepancy): string {
  const beside = discrepancy.findings.filter(({ cause }) => EXPLAINING_NOTHING.has(cause));
  return beside.length === discrepancy.findings.length ? "" : formatCauses({ ...discrepancy, findings: beside });
}

const EXPLAINING_NOTHING: ReadonlySet<DiscrepancyCause> = new Set([
  DiscrepancyCause.ZONE_SHIFT,
  DiscrepancyCause.CLOCK_SKEW,
  DiscrepancyCause.LATE,
  DiscrepancyCause.NUMBERS_DIFFER,
]);

/** A difference with its sign. */
function formatDelta(ms: bigint | undefined): string {
  if (ms === undefined) return "";
  return ms < 0n ? `-${formatDuration(-ms)}` : `+${formatDuration(ms)}`;
}

/** How long a side says that the call was connected. */
export function formatConnected(measure: CallMeasure | undefined): string {
  if (measure === undefined) return "none";
  if (!measure.answered) return "unanswered";
  if (measure.connectedDurationMs !== undefined) return formatDuration(measure.connectedDurationMs);
  return measure.billedDurationS === undefined ? "answered" : `${measure.billedDurationS} s billed`;
}

function cellsOf(discrepancy: Discrepancy): string[] {
  const { platformMeasure, carrierMeasure, deltas } = discrepancy;
  const start = [platformMeasure, carrierMeasure].flatMap((side) => side?.inviteTime ?? side?.answerTime ?? [])[0];
  return [
    start === undefined ? discrepancy.callDate.padEnd("2026-03-01T10:05:00Z".length) : formatTime(start),
    enumName(DirectionSchema, discrepancy.direction)?.replace("bound", "") ?? "",
    formatParty(discrepancy.calling),
    formatParty(discrepancy.called),
    formatConnected(platformMeasure),
    formatConnected(carrierMeasure),
    formatDelta(deltas?.connectedDurationDeltaMs ?? deltas?.billedDurationDeltaMs),
    formatStatus(discrepancy),
    formatReasons(discrepancy),
    discrepancy.discrepancyId,
  ];
}

/** The columns of discrepancies as CSV. */
export const DISCREPANCY_CSV: readonly CsvColumn<Discrepancy>[] = [
  { title: "carrier_id", read: (each) => each.carrierId },
  { title: "discrepancy_id", read: (each) => each.discrepancyId },
  { title: "revision", read: (each) => each.revision },
  { title: "sequence", read: (each) => each.sequence },
  { title: "status", read: (each) => enumName(DiscrepancyStatusSchema, each.status) },
  { title: "causes", read: (each) => formatCauses(each, " ") },
  { title: "matched_by", read: (each) => enumName(MatchedBySchema, each.matchedBy) },
  { title: "call_date", read: (each) => each.callDate },
  { title: "direction", read: (each) => enumName(DirectionSchema, each.direction) },
  { title: "customer_id", read: (each) => each.customerId },
  { title: "trunk_id", read: (each) => each.trunkId },
  { title: "calling", read: (each) => formatParty(each.calling) },
  { title: "called", read: (each) => formatParty(each.called) },
  { title: "call_id", read: (each) => each.callId },
  { title: "platform_record_id", read: (each) => each.platformRecord?.recordId },
  { title: "platform_record_date", read: (each) => each.platformRecord?.recordDate },
  { title: "carrier_record_ids", read: (each) => each.carrierRecords.map(({ recordId }) => recordId).join(" ") },
  { title: "platform_answered", read: (each) => each.platformMeasure?.answered },
  { title: "platform_connected_duration_ms", read: (each) => each.platformMeasure?.connectedDurationMs },
  { title: "carrier_answered", read: (each) => each.carrierMeasure?.answered },
  { title: "carrier_connected_duration_ms", read: (each) => each.carrierMeasure?.connectedDurationMs },
  { title: "carrier_billed_duration_s", read: (each) => each.carrierMeasure?.billedDurationS },
  { title: "connected_duration_delta_ms", read: (each) => each.deltas?.connectedDurationDeltaMs },
  { title: "platform_invite_time", read: (each) => formatTime(each.platformMeasure?.inviteTime, "milliseconds") },
  { title: "carrier_invite_time", read: (each) => formatTime(each.carrierMeasure?.inviteTime, "milliseconds") },
  { title: "first_seen_time", read: (each) => formatTime(each.firstSeenTime, "milliseconds") },
  { title: "update_time", read: (each) => formatTime(each.updateTime, "milliseconds") },
  { title: "resolved_time", read: (each) => formatTime(each.resolvedTime, "milliseconds") },
];
