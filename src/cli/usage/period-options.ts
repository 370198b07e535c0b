import { type Command, InvalidArgumentError, Option } from "commander";
import { addDays, isDay } from "../../domain/time/instant.ts";
import type { FieldsCommand } from "../shared/fields.ts";
import { parseTimeZone } from "../shared/time-zone-option.ts";

export interface PeriodOptions {
  readonly from?: string;
  readonly to?: string;
  readonly month?: string;
  readonly timeZone: string;
}

/** `--from` and `--to`, which is the last day, or `--month`; and `--time-zone`. */
export function withPeriod(command: FieldsCommand): FieldsCommand {
  return command
    .option("--from <day>", "the first day: 2026-03-01", parseDay)
    .option("--to <day>", "the last day (default: the first)", parseDay)
    .addOption(
      new Option("--month <month>", "all days of a month: 2026-03").argParser(parseMonth).conflicts(["from", "to"]),
    )
    .requiredOption("--time-zone <zone>", "the customer's time zone, IANA: Europe/Copenhagen", parseTimeZone);
}

/** The period of the contract, without its last day. */
export function periodOf(options: PeriodOptions, command: Command) {
  const { from, to, month, timeZone } = options;
  if (month !== undefined) return { startDate: `${month}-01`, endDate: firstOfNext(month), timeZone };
  if (from === undefined) return command.error("error: say which days: --from and --to, or --month");
  return { startDate: from, endDate: addDays(to ?? from, 1), timeZone };
}

function parseDay(text: string): string {
  if (isDay(text)) return text;
  throw new InvalidArgumentError("Expected a day such as 2026-03-01.");
}

function parseMonth(text: string): string {
  if (isDay(`${text}-01`)) return text;
  throw new InvalidArgumentError("Expected a month such as 2026-03.");
}

// No month has more than 31 days.
function firstOfNext(month: string): string {
  return `${addDays(`${month}-01`, 31).slice(0, 7)}-01`;
}
