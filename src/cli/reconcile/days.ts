import { InvalidArgumentError } from "commander";
import { addDays, isDay } from "../../domain/time/instant.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import type { FieldsCommand } from "../shared/fields.ts";

/** For help texts. */
export const DAY_HELP =
  "A day is 2026-03-01, 7d (so many days ago), or today; in the time zone agreed with the carrier.";

/** `--from` and `--to`, which is the last day. */
export function withDays(command: FieldsCommand, defaultDays: string): FieldsCommand {
  return command
    .field("startDate", "--from <day>", `the first day (default: ${defaultDays})`, parseDay)
    .field("endDate", "--to <day>", "the last day (default: today)", (text) => addDays(parseDay(text), 1));
}

/** The days of the contract, which ends before `endDate`; so many if the first is not given. */
export function daysOf({ startDate, endDate }: Days, defaultDays: number) {
  // Somewhere it is tomorrow already.
  const end = endDate ?? addDays(today(), 2);
  return { startDate: startDate ?? addDays(end, -defaultDays), endDate: end };
}

export interface Days {
  readonly startDate?: string;
  readonly endDate?: string;
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
