import { type Command, InvalidArgumentError } from "commander";
import { addDays, isDay } from "../../domain/time/instant.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";

export interface DayOptions {
  readonly from?: string;
  readonly to?: string;
}

/** For help texts. */
export const DAY_HELP =
  "A day is 2026-03-01, 7d (so many days ago), or today; in the time zone agreed with the carrier.";

/** `--from` and `--to`, which is the last day. */
export function withDays(command: Command, defaultDays: string): Command {
  return command
    .option("--from <day>", `the first day (default: ${defaultDays})`, parseDay)
    .option("--to <day>", "the last day (default: today)", parseDay);
}

/** The days of the contract, without the last. */
export function daysOf({ from, to }: DayOptions, defaultDays: number): { startDate: string; endDate: string } {
  // Somewhere it is tomorrow already.
  const endDate = addDays(to ?? addDays(today(), 1), 1);
  return { startDate: from ?? addDays(endDate, -defaultDays), endDate };
}

/** A day: `2026-03-01`, `today`, or so many days ago, `7d`. */
export function parseDay(text: string): string {
  if (text === "today") return today();
  const [, ago] = /^(\d{1,4})d$/.exec(text) ?? [];
  if (ago !== undefined) return addDays(today(), -Number(ago));
  if (isDay(text)) return text;
  throw new InvalidArgumentError("Expected a day such as 2026-03-01, 7d (ago), or today.");
}

function today(): string {
  return new Date(wallMs()).toISOString().slice(0, 10);
}
