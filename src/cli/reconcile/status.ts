import type { Command } from "commander";
import {
  type CarrierReconciliationStatus,
  CarrierReconciliationStatusSchema,
  ReconciliationService,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { PendingReasonSchema } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { ReportingStateSchema } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, csvCommand } from "../shared/connection.ts";
import { type CsvColumn, fieldColumns } from "../shared/csv-output.ts";
import { formatCount, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";

type Status = CarrierReconciliationStatus;

/** `tandem reconcile status` */
export function statusCommand(): Command {
  return csvCommand("status")
    .description("Show how far each carrier is reconciled, and what is pending.")
    .argument("[carriers...]", "only these carriers, at most 100")
    .addHelpText(
      "after",
      `
behind: records of both sides not judged yet. Every record committed before the time under "reconciled through" is judged.
Minutes are set aside if their calls do not settle; "tandem reconcile retry" takes them up again.

Examples:
  tandem reconcile status
  tandem reconcile status nordlys-tele --json`,
    )
    .action((carrierIds: string[], options: ConnectionOptions) =>
      listAndPrint(options, ReconciliationService.method.getReconciliationStatus, { carrierIds }, "statuses", {
        print: (statuses) => printRows(COLUMNS, statuses, "No carriers."),
        csv: STATUS_CSV,
      }),
    );
}

const COLUMNS: readonly RowColumn<Status>[] = [
  { title: "carrier", read: ({ carrierId }) => carrierId },
  { title: "reconciled through", read: formatThrough },
  { title: "behind", align: "right", read: (status) => formatCount(backlogOf(status)) },
  { title: "reported", read: ({ reportingState }) => enumName(ReportingStateSchema, reportingState) ?? "not yet" },
  { title: "unresolved", align: "right", read: (status) => formatCount(status.unresolvedDiscrepancyCount) },
  { title: "quarantined", align: "right", read: (status) => formatCount(status.quarantinedDurationCount) },
  { title: "newest duration", read: ({ lastDurationTime }) => formatTime(lastDurationTime) || "never" },
  { title: "pending", read: ({ pendingTotals }) => pendingTotals.map(formatPending).join(", ") },
];

function formatThrough({ reconciledThroughTime, rejudgedFromDate, setAside }: Status): string {
  const aside = setAside
    ? `, ${formatCount(setAside.minuteCount)} minutes set aside from ${formatTime(setAside.firstTime)}`
    : "";
  const rejudged = rejudgedFromDate === undefined ? "" : `, again from ${rejudgedFromDate}`;
  return `${formatTime(reconciledThroughTime)}${rejudged}${aside}`;
}

function formatPending({ pendingReason, callCount, oldestCallTime }: Status["pendingTotals"][number]): string {
  const reason = enumName(PendingReasonSchema, pendingReason) ?? "";
  return `${reason} ${formatCount(callCount)} since ${formatTime(oldestCallTime)}`;
}

function backlogOf(status: Status): bigint {
  const behind = status.cdrHeadSequence - status.cdrSequence + status.durationHeadSequence - status.durationSequence;
  return behind > 0n ? behind : 0n;
}

const STATUS_CSV: readonly CsvColumn<Status>[] = [
  ...fieldColumns(
    CarrierReconciliationStatusSchema,
    ...["carrier_id", "reporting_state", "cdr_sequence", "cdr_head_sequence", "duration_sequence"],
    ...["duration_head_sequence", "discrepancy_head_sequence", "reconciled_through_time", "last_cdr_time"],
    "last_duration_time",
  ),
  ...[1, 2, 3].map((reason) => ({
    title: `pending_${(enumName(PendingReasonSchema, reason) ?? "").replaceAll("-", "_")}`,
    read: ({ pendingTotals }: Status) =>
      pendingTotals.find(({ pendingReason }) => pendingReason === reason)?.callCount ?? 0n,
  })),
  ...fieldColumns(
    CarrierReconciliationStatusSchema,
    ...["unresolved_discrepancy_count", "quarantined_duration_count", "rule_version", "rejudged_from_date"],
  ),
  { title: "set_aside_minutes", read: (status) => status.setAside?.minuteCount ?? 0n },
];
