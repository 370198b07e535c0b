import type { Command } from "commander";
import {
  type CarrierReconciliationStatus,
  GetReconciliationStatusResponseSchema,
  ReconciliationService,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { PendingReasonSchema } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { ReportingStateSchema } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { type CsvColumn, csvOption, printCsv } from "../shared/csv-output.ts";
import { type Column, formatCount, printMessage, printTable } from "../shared/output.ts";
import { readPages } from "../shared/pages.ts";
import { enumName, formatTime } from "../shared/values.ts";

type Status = CarrierReconciliationStatus;

/** `tandem reconcile status` */
export function statusCommand(): Command {
  return remoteCommand("status")
    .description("Show how far each carrier is reconciled, and what is pending.")
    .argument("[carriers...]", "only these carriers, at most 100")
    .addOption(csvOption())
    .addHelpText(
      "after",
      `
behind: records of both sides not judged yet. Every record committed before the time under "reconciled through" is judged.
Minutes are set aside if their calls do not settle; "tandem reconcile retry" takes them up again.

Examples:
  tandem reconcile status
  tandem reconcile status nordlys-tele --json`,
    )
    .action(async (carriers: string[], options: ConnectionOptions & { csv?: true }) => {
      using connection = await connect(options, "platform");
      const client = connection.client(ReconciliationService);
      const { items: statuses } = await readPages(
        (page) => client.getReconciliationStatus({ carrierIds: carriers, ...page }),
        (page) => page.statuses,
      );
      if (options.json) printMessage(GetReconciliationStatusResponseSchema, { statuses });
      else if (options.csv) printCsv(STATUS_CSV, statuses);
      else printTable(COLUMNS, statuses.map(cellsOf), "No carriers.");
    });
}

const COLUMNS: readonly Column[] = [
  { title: "carrier" },
  { title: "reconciled through" },
  { title: "behind", align: "right" },
  { title: "reported" },
  { title: "unresolved", align: "right" },
  { title: "quarantined", align: "right" },
  { title: "newest duration" },
  { title: "pending" },
];

function cellsOf(status: Status): string[] {
  const aside = status.setAside
    ? `, ${formatCount(status.setAside.minuteCount)} minutes set aside from ${formatTime(status.setAside.firstTime)}`
    : "";
  const rejudged = status.rejudgedFromDate === undefined ? "" : `, again from ${status.rejudgedFromDate}`;
  return [
    status.carrierId,
    `${formatTime(status.reconciledThroughTime)}${rejudged}${aside}`,
    formatCount(backlogOf(status)),
    enumName(ReportingStateSchema, status.reportingState) ?? "not yet",
    formatCount(status.unresolvedDiscrepancyCount),
    formatCount(status.quarantinedDurationCount),
    formatTime(status.lastDurationTime) || "never",
    status.pendingTotals
      .map(({ pendingReason, callCount, oldestCallTime }) => {
        const reason = enumName(PendingReasonSchema, pendingReason) ?? "";
        return `${reason} ${formatCount(callCount)} since ${formatTime(oldestCallTime)}`;
      })
      .join(", "),
  ];
}

function backlogOf(status: Status): bigint {
  const behind = status.cdrHeadSequence - status.cdrSequence + status.durationHeadSequence - status.durationSequence;
  return behind > 0n ? behind : 0n;
}

const STATUS_CSV: readonly CsvColumn<Status>[] = [
  { title: "carrier_id", read: (status) => status.carrierId },
  { title: "reporting_state", read: (status) => enumName(ReportingStateSchema, status.reportingState) },
  { title: "cdr_sequence", read: (status) => status.cdrSequence },
  { title: "cdr_head_sequence", read: (status) => status.cdrHeadSequence },
  { title: "duration_sequence", read: (status) => status.durationSequence },
  { title: "duration_head_sequence", read: (status) => status.durationHeadSequence },
  { title: "discrepancy_head_sequence", read: (status) => status.discrepancyHeadSequence },
  { title: "reconciled_through_time", read: (status) => formatTime(status.reconciledThroughTime, "milliseconds") },
  { title: "last_cdr_time", read: (status) => formatTime(status.lastCdrTime, "milliseconds") },
  { title: "last_duration_time", read: (status) => formatTime(status.lastDurationTime, "milliseconds") },
  ...[1, 2, 3].map((reason) => ({
    title: `pending_${(enumName(PendingReasonSchema, reason) ?? "").replaceAll("-", "_")}`,
    read: ({ pendingTotals }: Status) =>
      pendingTotals.find(({ pendingReason }) => pendingReason === reason)?.callCount ?? 0n,
  })),
  { title: "unresolved_discrepancy_count", read: (status) => status.unresolvedDiscrepancyCount },
  { title: "quarantined_duration_count", read: (status) => status.quarantinedDurationCount },
  { title: "rule_version", read: (status) => status.ruleVersion },
  { title: "rejudged_from_date", read: (status) => status.rejudgedFromDate },
  { title: "set_aside_minutes", read: (status) => status.setAside?.minuteCount ?? 0n },
];
