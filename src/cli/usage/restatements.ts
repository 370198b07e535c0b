import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { given } from "../../domain/given.ts";
import {
  type ClosedPeriod,
  type Restatement,
  RestatementCauseSchema,
  type RestatementLine,
} from "../../gen/tandem/platform/v1/usage_pb.js";
import { ListRestatementsResponseSchema, UsageService } from "../../gen/tandem/platform/v1/usage_service_pb.js";
import { type Connection, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { type CsvColumn, csvOption, printCsv } from "../shared/csv-output.ts";
import { formatCount, printMessage, printTable } from "../shared/output.ts";
import { readPages } from "../shared/pages.ts";
import { enumName, formatTime, parseTime } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { formatMinutes, USAGE_KEYS, usageKeyCsv } from "./print-usage.ts";

interface RestatementOptions extends ConnectionOptions {
  readonly period?: string;
  readonly from?: Timestamp;
  readonly to?: Timestamp;
  readonly csv?: true;
}

/** `tandem usage restatements` */
export function restatementsCommand(): Command {
  return remoteCommand("restatements")
    .description("List a customer's closed periods and what changed after each was closed (platform only).")
    .argument("<customer>", "the customer's id")
    .option("--period <id>", "only this period")
    .option("--from <time>", "recorded at this time or later", parseTime)
    .option("--to <time>", "recorded before this time", parseTime)
    .addOption(csvOption())
    .addHelpText(
      "after",
      `\nCSV has a row for each line of figures that changed.\n\n${TIME_HELP}\n\nExample:\n  tandem usage restatements cedar-bank --from 30d`,
    )
    .action(async (customerId: string, options: RestatementOptions) => {
      using connection = await connect(options, "platform");
      const found = await readRestatements(connection, customerId, options);
      if (options.json) printMessage(ListRestatementsResponseSchema, found);
      else if (options.csv) {
        printCsv(
          LINE_CSV,
          found.restatements.flatMap((restatement) => restatement.lines.map((line) => ({ restatement, line }))),
        );
      } else {
        printPeriods(found.periods);
        printRestatements(found.restatements, found.periods);
      }
    });
}

async function readRestatements(connection: Connection, customerId: string, { period, from, to }: RestatementOptions) {
  const client = connection.client(UsageService);
  const request = { customerId, periodId: period ?? "", ...given({ startTime: from, endTime: to }) };
  const { items } = await readPages(
    (page) => client.listRestatements({ ...request, ...page }),
    (page) => [page],
  );
  return {
    restatements: items.flatMap(({ restatements }) => restatements),
    periods: items.flatMap(({ periods }) => periods),
  };
}

function printPeriods(periods: readonly ClosedPeriod[]): void {
  printTable(
    [
      { title: "period" },
      { title: "from" },
      { title: "to before" },
      { title: "time zone" },
      { title: "closed" },
      { title: "calls", align: "right" },
      { title: "minutes", align: "right" },
      { title: "restated", align: "right" },
      { title: "calls now", align: "right" },
      { title: "minutes now", align: "right" },
    ],
    periods.map((period) => [
      period.periodId,
      period.startDate,
      period.endDate,
      period.timeZone,
      formatTime(period.closeTime),
      formatCount(period.closedTotals?.attemptCount ?? 0n),
      formatMinutes(period.closedTotals),
      `${period.restatementNumber}`,
      formatCount(period.currentTotals?.attemptCount ?? 0n),
      formatMinutes(period.currentTotals),
    ]),
    "No closed periods: tandem usage close --help",
  );
}

function printRestatements(restatements: readonly Restatement[], periods: readonly ClosedPeriod[]): void {
  if (restatements.length === 0) return;
  const starts = new Map(periods.map(({ periodId, startDate }) => [periodId, startDate]));
  console.log();
  printTable(
    [
      { title: "period from" },
      { title: "no", align: "right" },
      { title: "recorded" },
      { title: "why" },
      { title: "lines", align: "right" },
      { title: "calls", align: "right" },
      { title: "minutes", align: "right" },
      { title: "records" },
    ],
    restatements.map((restatement) => [
      starts.get(restatement.periodId) ?? restatement.periodId,
      `${restatement.restatementNumber}`,
      formatTime(restatement.recordTime),
      enumName(RestatementCauseSchema, restatement.cause)?.replaceAll("-", " ") ?? "",
      formatCount(restatement.lines.length),
      `${formatCount(restatement.oldTotals?.attemptCount ?? 0n)} > ${formatCount(restatement.newTotals?.attemptCount ?? 0n)}`,
      `${formatMinutes(restatement.oldTotals)} > ${formatMinutes(restatement.newTotals)}`,
      describeRecords(restatement),
    ]),
    "",
  );
}

/** Enough to look one up. */
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
  { title: "period_id", read: ({ restatement }) => restatement.periodId },
  { title: "restatement_number", read: ({ restatement }) => restatement.restatementNumber },
  { title: "record_time", read: ({ restatement }) => formatTime(restatement.recordTime, "milliseconds") },
  { title: "cause", read: ({ restatement }) => enumName(RestatementCauseSchema, restatement.cause) },
  ...usageKeyCsv(USAGE_KEYS.slice(0, 5), ({ line }: CsvLine) => line.key),
  { title: "old_attempt_count", read: ({ line }) => line.oldTotals?.attemptCount },
  { title: "new_attempt_count", read: ({ line }) => line.newTotals?.attemptCount },
  { title: "old_connected_duration_ms", read: ({ line }) => line.oldTotals?.connectedDurationMs },
  { title: "new_connected_duration_ms", read: ({ line }) => line.newTotals?.connectedDurationMs },
  { title: "record_count", read: ({ line }) => line.recordCount },
  { title: "record_ids", read: ({ line }) => line.records.map(({ record }) => record?.recordId ?? "").join(" ") },
];
