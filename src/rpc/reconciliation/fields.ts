import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument } from "../../domain/errors.ts";
import { addDays, isDay, utcDay } from "../../domain/time/instant.ts";
import { wallMicros } from "../../domain/time/wall-clock.ts";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { carrierOf } from "../shared/access/caller.ts";
import { type FieldCheck, isIdText, windowTooLarge } from "../shared/lists.ts";

/**
 * The carrier that a request of either side is about, empty for every one; and how page tokens name
 * a method of that side.
 */
export function askedCarrier(request: object | { readonly carrierId: string }, context: HandlerContext) {
  const isPlatforms = "carrierId" in request;
  const { carrierId } = isPlatforms ? request : carrierOf(context);
  return { carrierId, scopeOf: (method: string) => (isPlatforms ? `platform.${method}` : method) };
}

/** Most customers, and most trunks, of a request. */
const MAX_VALUES = 100;
const MAX_NAME_LENGTH = 128;

export function checkNames(
  check: FieldCheck,
  { customerIds, trunkIds }: { customerIds: readonly string[]; trunkIds: readonly string[] },
): void {
  for (const [field, ids] of [
    ["customer_ids", customerIds],
    ["trunk_ids", trunkIds],
  ] as const) {
    check(ids.length <= MAX_VALUES, field, `expected at most ${MAX_VALUES}`);
    check(
      ids.every((id) => isIdText(id, MAX_NAME_LENGTH)),
      field,
      `expected 1 to ${MAX_NAME_LENGTH} characters each, without control characters`,
    );
  }
}

/** Checks a direction; none means both. */
export function checkDirection(check: FieldCheck, direction: Direction): void {
  check(Direction[direction] !== undefined, "direction", "expected DIRECTION_OUTBOUND or DIRECTION_INBOUND, or none");
}

/** Days of the carrier's calendar, without the last. */
export interface DatePeriod {
  readonly startDate: string;
  readonly endDate: string;
}

/** A required period of at most so many days. Throws INVALID_ARGUMENT, LIST_WINDOW_TOO_LARGE. */
export function requiredDates(request: { startDate: string; endDate: string }, maxDays: number): DatePeriod {
  const startDate = day("start_date", request.startDate);
  const endDate = day("end_date", request.endDate);
  if (endDate <= startDate) throw invalidArgument("end_date", "expected a day after start_date");
  if (endDate > addDays(startDate, maxDays)) throw windowTooLarge("end_date", "start_date", maxDays);
  return { startDate, endDate };
}

/**
 * A period whose ends may be missing. It is then as long as allowed, and without both ends it ends
 * tomorrow (UTC).
 */
export function optionalDates(
  request: { startDate?: string | undefined; endDate?: string | undefined },
  maxDays: number,
): DatePeriod {
  const startDate = request.startDate === undefined ? undefined : day("start_date", request.startDate);
  const endDate =
    request.endDate === undefined
      ? addDays(startDate ?? utcDay(wallMicros()), startDate === undefined ? 2 : maxDays)
      : day("end_date", request.endDate);
  return requiredDates({ startDate: startDate ?? addDays(endDate, -maxDays), endDate }, maxDays);
}

export function sortedUnique<T extends string | number>(values: readonly T[]): T[] {
  return [...new Set(values)].sort((a, b) => (a < b ? -1 : 1));
}

function day(field: string, text: string): string {
  if (isDay(text)) return text;
  throw invalidArgument(field, text === "" ? "is required: a day, YYYY-MM-DD" : "expected a day, YYYY-MM-DD");
}
