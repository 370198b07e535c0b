import {
  type CallMeasure,
  type Discrepancy,
  DiscrepancyCause,
  DiscrepancyCauseSchema,
  DiscrepancySchema,
  DiscrepancyStatus,
  DiscrepancyStatusSchema,
  PendingReasonSchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type CsvColumn, fieldColumns } from "../shared/csv-output.ts";
import { formatLine, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatDuration, formatParty, formatTime, formatWay } from "../shared/values.ts";

const COLUMNS: readonly RowColumn<Discrepancy>[] = [
  { title: "start", read: formatStart },
  { title: "way", width: 3, read: ({ direction }) => formatWay(direction) },
  { title: "calling", width: 15, read: ({ calling }) => formatParty(calling) },
  { title: "called", width: 15, read: ({ called }) => formatParty(called) },
  { title: "platform", align: "right", width: 9, read: ({ platformMeasure }) => formatConnected(platformMeasure) },
  { title: "carrier", align: "right", width: 9, read: ({ carrierMeasure }) => formatConnected(carrierMeasure) },
  {
    title: "delta",
    align: "right",
    width: 9,
    read: ({ deltas }) => formatDelta(deltas?.connectedDurationDeltaMs ?? deltas?.billedDurationDeltaMs),
  },
  { title: "status", width: 21, read: (discrepancy) => formatStatus(discrepancy) },
  { title: "because of", width: 12, read: formatReasons },
  { title: "discrepancy", read: ({ discrepancyId }) => discrepancyId },
];

/** Prints discrepancies, a line each, as a table. */
export function printDiscrepancies(discrepancies: readonly Discrepancy[], withCarrier: boolean): void {
  const carrier: RowColumn<Discrepancy> = { title: "carrier id", read: ({ carrierId }) => carrierId };
  printRows([...(withCarrier ? [carrier] : []), ...COLUMNS], discrepancies, "No discrepancies.");
}

/** A discrepancy as one line of a feed. */
export function formatDiscrepancyLine(discrepancy: Discrepancy): string {
  return `${formatLine(COLUMNS, discrepancy)} #${discrepancy.revision}`;
}

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

function formatStart({ platformMeasure, carrierMeasure, callDate }: Discrepancy): string {
  const [start] = [platformMeasure, carrierMeasure].flatMap((side) => side?.inviteTime ?? side?.answerTime ?? []);
  return start === undefined ? callDate.padEnd("2026-03-01T10:05:00Z".length) : formatTime(start);
}

/** The columns of discrepancies as CSV. */
export const DISCREPANCY_CSV: readonly CsvColumn<Discrepancy>[] = [
  ...fieldColumns(DiscrepancySchema, "carrier_id", "discrepancy_id", "revision", "sequence", "status"),
  { title: "causes", read: (each) => formatCauses(each, " ") },
  ...fieldColumns(DiscrepancySchema, "matched_by", "call_date", "direction", "customer_id", "trunk_id"),
  { title: "calling", read: (each) => formatParty(each.calling) },
  { title: "called", read: (each) => formatParty(each.called) },
  ...fieldColumns(DiscrepancySchema, "call_id"),
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
  ...fieldColumns(DiscrepancySchema, "first_seen_time", "update_time", "resolved_time"),
];
