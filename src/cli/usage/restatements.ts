import type { Command } from "commander";
import {
  type ClosedPeriod,
  type Restatement,
  RestatementCauseSchema,
  type RestatementLine,
  RestatementSchema,
  UsageKeySchema,
  type UsageTotals,
} from "../../gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../gen/tandem/platform/v1/usage_service_pb.js";
import { connectFor, readList } from "../shared/calls.ts";
import { type ConnectionOptions, csvCommand } from "../shared/connection.ts";
import { type CsvColumn, csvOf, printCsv } from "../shared/csv-output.ts";
import { formatCount, printMessage, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatMinutes, formatTime, parseTime } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { USAGE_KEYS } from "./print-usage.ts";

/** `tandem usage restatements` */
export function restatementsCommand(): Command {
  return csvCommand("restatements")
    .description("List a customer's closed periods and what changed after each was closed (platform only).")
    .argument("<customer>", "the customer's id")
    .field("periodId", "--period <id>", "only this period")
    .field("startTime", "--from <time>", "recorded at this time or later", parseTime)
    .field("endTime", "--to <time>", "recorded before this time", parseTime)
    .addHelpText(
      "after",
      `\nCSV has a row for each line of figures that changed.\n\n${TIME_HELP}\n\nExample:\n  tandem usage restatements cedar-bank --from 30d`,
    )
    .action(async (customerId: string, options: ConnectionOptions) => {
      const method = UsageService.method.listRestatements;
      using connection = await connectFor(options, method);
      const { answer } = await readList(connection, method, { ...options, customerId }, "restatements");
      const { restatements, periods } = answer;
      if (options.json) printMessage(method.output, answer);
      else if (options.csv) {
        printCsv(
          LINE_CSV,
          restatements.flatMap((restatement) => restatement.lines.map((line) => ({ restatement, line }))),
        );
      } else {
        printRows(PERIOD_COLUMNS, periods, "No closed periods: tandem usage close --help");
        printRestatements(restatements, periods);
      }
    });
}

const PERIOD_COLUMNS: readonly RowColumn<ClosedPeriod>[] = [
  { title: "period", read: ({ periodId }) => periodId },
  { title: "from", read: ({ startDate }) => startDate },
  { title: "to before", read: ({ endDate }) => endDate },
  { title: "time zone", read: ({ timeZone }) => timeZone },
  { title: "closed", read: ({ closeTime }) => formatTime(closeTime) },
  { title: "calls", align: "right", read: ({ closedTotals }) => formatCalls(closedTotals) },
  { title: "minutes", align: "right", read: ({ closedTotals }) => minutesOf(closedTotals) },
  { title: "restated", align: "right", read: ({ restatementNumber }) => `${restatementNumber}` },
  { title: "calls now", align: "right", read: ({ currentTotals }) => formatCalls(currentTotals) },
  { title: "minutes now", align: "right", read: ({ currentTotals }) => minutesOf(currentTotals) },
];

function formatCalls(totals: UsageTotals | undefined): string {
  return formatCount(totals?.attemptCount ?? 0n);
}

function minutesOf(totals: UsageTotals | undefined): string {
  return formatMinutes(totals?.connectedDurationMs);
}

function printRestatements(restatements: readonly Restatement[], periods: readonly ClosedPeriod[]): void {
  if (restatements.length === 0) return;
  const starts = new Map(periods.map(({ periodId, startDate }) => [periodId, startDate]));
  const change = (of: Restatement, format: (totals: UsageTotals | undefined) => string) =>
    `${format(of.oldTotals)} > ${format(of.newTotals)}`;
  const columns: RowColumn<Restatement>[] = [
    { title: "period from", read: ({ periodId }) => starts.get(periodId) ?? periodId },
    { title: "no", align: "right", read: ({ restatementNumber }) => `${restatementNumber}` },
    { title: "recorded", read: ({ recordTime }) => formatTime(recordTime) },
    { title: "why", read: ({ cause }) => enumName(RestatementCauseSchema, cause)?.replaceAll("-", " ") },
    { title: "lines", align: "right", read: ({ lines }) => formatCount(lines.length) },
    { title: "calls", align: "right", read: (restatement) => change(restatement, formatCalls) },
    { title: "minutes", align: "right", read: (restatement) => change(restatement, minutesOf) },
    { title: "records", read: describeRecords },
  ];
  console.log();
  printRows(columns, restatements, "");
}

/** Enough for a look-up. */
function describeRecords({ lines }: Restatement): string {
  const ids = [...new Set(lines.flatMap(({ records }) => records.map(({ record }) => record?.recordId ?? "")))];
  const more = ids.length > 2 ? ` and ${formatCount(ids.length - 2)} more` : "";
  return `${ids.slice(0, 2).join(", ")}${more}`;
}

interface CsvLine {
  readonly restatement: Restatement;
  readonly line: RestatementLine;
}

const LINE_CSV: readonly CsvColumn<CsvLine>[] = [
  ...csvOf(
    RestatementSchema,
    ["period_id", "restatement_number", "record_time", "cause"],
    ({ restatement }: CsvLine) => restatement,
  ),
  ...csvOf(
    UsageKeySchema,
    USAGE_KEYS.slice(0, 5).map(({ field }) => field),
    ({ line }: CsvLine) => line.key,
  ),
  { title: "old_attempt_count", read: ({ line }) => line.oldTotals?.attemptCount },
  { title: "new_attempt_count", read: ({ line }) => line.newTotals?.attemptCount },
  { title: "old_connected_duration_ms", read: ({ line }) => line.oldTotals?.connectedDurationMs },
  { title: "new_connected_duration_ms", read: ({ line }) => line.newTotals?.connectedDurationMs },
  { title: "record_count", read: ({ line }) => line.recordCount },
  { title: "record_ids", read: ({ line }) => line.records.map(({ record }) => record?.recordId ?? "").join(" ") },
];
