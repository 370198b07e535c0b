import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Command, InvalidArgumentError, Option } from "commander";
import { given } from "../../domain/given.ts";
import {
  type UsageCompleteness,
  UsageDimension,
  UsageDimensionSchema,
  type UsageRow,
  type UsageTotals,
} from "../../gen/tandem/platform/v1/usage_pb.js";
import {
  type ExportUsageRequestSchema,
  QueryUsageResponseSchema,
  UsageService,
} from "../../gen/tandem/platform/v1/usage_service_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { type Connection, type ConnectionOptions, connect, csvCommand } from "../shared/connection.ts";
import { printCsv } from "../shared/csv-output.ts";
import { fieldOption } from "../shared/fields.ts";
import { printMessage } from "../shared/output.ts";
import { collect, enumListOption, enumOption, parseTime } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { type PeriodOptions, periodOf, withPeriod } from "./period-options.ts";
import { describeCompleteness, printUsage, usageCsv } from "./print-usage.ts";

interface ShowOptions extends ConnectionOptions, PeriodOptions {
  readonly groupBy?: UsageDimension[];
  readonly closed?: MessageInitShape<typeof ExportUsageRequestSchema>["asOf"];
}

/** The service's default. */
const DEFAULT_BY = [UsageDimension.DAY, UsageDimension.NUMBER, UsageDimension.DIRECTION, UsageDimension.COUNTRY];

/** `tandem usage show`, and `tandem usage` with a customer. */
export function showCommand(): Command {
  return withPeriod(csvCommand("show"))
    .description("Show a customer's usage at one moment, over at most 400 days (platform only).")
    .argument("<customer>", "the customer's id")
    .addOption(
      enumListOption(
        "--by <dimensions>",
        "a row for each (default: day,number,direction,country)",
        UsageDimensionSchema,
        "groupBy",
      ),
    )
    .field("phoneNumbers", "--number <numbers>", "only these numbers of the customer", collect)
    .addOption(enumOption("--direction <direction>", "only this direction", DirectionSchema))
    .field("countryCodes", "--country <codes>", "only calls with these countries: DK,SE", (text, before?: string[]) =>
      collect(text.toUpperCase(), before),
    )
    .addOption(
      fieldOption("asOf", "--as-of <time>", "show closed days as they stood at this time", (text) => ({
        case: "asOfTime",
        value: parseTime(text),
      })).conflicts("closed"),
    )
    .addOption(
      new Option("--closed <period>", "show the period as closed; with :3, after its third restatement").argParser(
        (text) => ({ case: "asOfVersion", value: parseVersion(text) }),
      ),
    )
    .addHelpText(
      "after",
      `
Agreed calls count the carrier's duration. Other calls have columns of their own, and count in the sums: disputed (the sides
disagree), unconfirmed (the carrier should have the call but does not), pending (not judged yet), not reported (the carrier
need not report it), carrier only (the platform does not have it).
no length: answered calls of unknown length, which the minutes leave out.

${TIME_HELP}

Examples:
  tandem usage cedar-bank --month 2026-03 --time-zone Europe/Copenhagen
  tandem usage cedar-bank --from 2026-03-01 --to 2026-03-07 --time-zone Europe/Copenhagen --by country,direction --csv`,
    )
    .action(async (customerId: string, options: ShowOptions, command: Command) => {
      const { groupBy = DEFAULT_BY, closed } = options;
      const period = periodOf(options, command);
      using connection = await connect(options, "platform");
      const found = await readUsage(connection, { ...given({ asOf: closed }), ...options, customerId, ...period });
      if (options.json) printMessage(QueryUsageResponseSchema, found);
      else if (options.csv) printCsv(usageCsv(groupBy), found.rows);
      else printUsage(found.rows, found.totals, groupBy);
      const notes = found.completeness && !options.json ? describeCompleteness(found.completeness) : [];
      for (const note of notes) console.error(note);
    });
}

/** All rows of an export, which are of one moment. */
async function readUsage(connection: Connection, request: MessageInitShape<typeof ExportUsageRequestSchema>) {
  const rows: UsageRow[] = [];
  let completeness: UsageCompleteness | undefined;
  let totals: UsageTotals | undefined;
  for await (const { frame } of connection.client(UsageService).exportUsage(request)) {
    if (frame.case === "header") completeness = frame.value.completeness;
    else if (frame.case === "batch") rows.push(...frame.value.rows);
    else if (frame.case === "trailer") totals = frame.value.totals;
  }
  if (totals === undefined) throw new Error("the export ended before its trailer, so it is not complete: call again");
  return { rows, totals, ...given({ completeness }) };
}

function parseVersion(text: string): { periodId: string; restatementNumber: number } {
  const [, periodId = "", number = "0"] = /^([^:]{1,64})(?::(\d{1,9}))?$/.exec(text) ?? [];
  if (periodId === "")
    throw new InvalidArgumentError("Expected a period's id, or its id, a colon and a restatement's number.");
  return { periodId, restatementNumber: Number(number) };
}
