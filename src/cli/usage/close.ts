import { type Command, InvalidArgumentError } from "commander";
import type { ClosedPeriod } from "../../gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../gen/tandem/platform/v1/usage_service_pb.js";
import { callAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, csvCommand } from "../shared/connection.ts";
import { formatCount, printFields } from "../shared/output.ts";
import { formatMinutes, formatTime } from "../shared/values.ts";
import { type PeriodOptions, periodOf, withPeriod } from "./period-options.ts";
import { describeCompleteness } from "./print-usage.ts";

/** `tandem usage close` */
export function closeCommand(): Command {
  return withPeriod(csvCommand("close"))
    .description("Fix a period's figures. Every later change becomes a numbered restatement (platform only).")
    .argument("<customer>", "the customer's id")
    .field(
      "maxPendingRatio",
      "--max-pending <ratio>",
      "close even with this share of calls pending, 0 to 1 (default: 0)",
      parseRatio,
    )
    .option("--request-id <id>", "makes the call repeatable: the same id gets the first answer again")
    .addHelpText(
      "after",
      "\nExample:\n  tandem usage close cedar-bank --month 2026-03 --time-zone Europe/Copenhagen --max-pending 0.001",
    )
    .action((customerId: string, options: ConnectionOptions & PeriodOptions, command: Command) => {
      const request = { ...options, customerId, ...periodOf(options, command) };
      return callAndPrint(
        options,
        UsageService.method.closePeriod,
        request,
        ({ period }) => period && printPeriod(period),
      );
    });
}

function printPeriod({ closedTotals, completeness, ...period }: ClosedPeriod): void {
  const { attemptCount = 0n, answeredCount = 0n, unmeasuredCount } = closedTotals ?? {};
  printFields([
    ["period", period.periodId],
    ["days", `${period.startDate} to before ${period.endDate}, ${period.timeZone}`],
    ["closed", `${formatTime(period.closeTime)} by ${period.closedBy}`],
    ["calls", `${formatCount(attemptCount)}, ${formatCount(answeredCount)} answered`],
    ["minutes", formatMinutes(closedTotals?.connectedDurationMs)],
    ["no length", unmeasuredCount ? formatCount(unmeasuredCount) : undefined],
  ]);
  for (const note of completeness ? describeCompleteness(completeness) : []) console.error(note);
}

function parseRatio(text: string): number {
  const ratio = /^\d(\.\d{1,12})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(ratio >= 0 && ratio <= 1)) throw new InvalidArgumentError("Expected a share from 0 to 1, such as 0.001.");
  return ratio;
}
