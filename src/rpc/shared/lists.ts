import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type FieldViolation, fieldViolations, invalidArgument, TandemError } from "../../domain/errors.ts";
import { DAY, type Micros, microsFromTimestamp } from "../../domain/time/instant.ts";

/** Years 1 to 9999, as protobuf has them. */
const MIN_SECONDS = -62_135_596_800n;
const MAX_SECONDS = 253_402_300_799n;

/** A required instant of a request. */
export function requiredInstant(field: string, timestamp: Timestamp | undefined): Micros {
  const instant = optionalInstant(field, timestamp);
  if (instant === undefined) throw invalidArgument(field, "is required");
  return instant;
}

/** An instant that a request may leave out. */
export function optionalInstant(field: string, timestamp: Timestamp | undefined): Micros | undefined {
  if (!timestamp) return undefined;
  if (!isTimestamp(timestamp))
    throw invalidArgument(field, "expected a time between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z");
  return microsFromTimestamp(timestamp);
}

/** Whether it is a time of the years 1 to 9999. */
export function isTimestamp({ seconds, nanos }: Timestamp): boolean {
  return seconds >= MIN_SECONDS && seconds <= MAX_SECONDS && nanos >= 0 && nanos <= 999_999_999;
}

/**
 * A required half-open period of a request, at most so many days long. Throws
 * LIST_WINDOW_TOO_LARGE.
 */
export function requiredPeriod(
  request: { startTime?: Timestamp | undefined; endTime?: Timestamp | undefined },
  maxDays: number,
): { start: Micros; end: Micros } {
  const start = requiredInstant("start_time", request.startTime);
  const end = requiredInstant("end_time", request.endTime);
  if (end <= start) throw invalidArgument("end_time", "expected a time after start_time");
  if (end - start > BigInt(maxDays) * DAY) throw windowTooLarge("end_time", "start_time", maxDays);
  return { start, end };
}

/** The error of a period that is longer than so many days. */
export function windowTooLarge(field: string, startField: string, maxDays: number): TandemError {
  const description = `expected at most ${maxDays} days after ${startField}`;
  return new TandemError(
    "LIST_WINDOW_TOO_LARGE",
    `the period is longer than ${maxDays} days`,
    { limit_days: String(maxDays) },
    { fieldViolations: [{ field, description }] },
  );
}

/** A half-open period of a request that may leave out either end. */
export function optionalPeriod(request: { startTime?: Timestamp | undefined; endTime?: Timestamp | undefined }): {
  start: Micros | undefined;
  end: Micros | undefined;
} {
  const start = optionalInstant("start_time", request.startTime);
  const end = optionalInstant("end_time", request.endTime);
  if (start !== undefined && end !== undefined && end <= start)
    throw invalidArgument("end_time", "expected a time after start_time");
  return { start, end };
}

/** Notes a wrong field if a condition does not hold. */
export type FieldCheck = (holds: boolean, field: string, description: string) => void;

/**
 * Checks of a request's fields, and their end, which throws INVALID_ARGUMENT with every wrong one.
 * @param path of what holds the fields, with a dot behind it.
 */
export function fieldChecks(path = ""): { check: FieldCheck; done: () => void } {
  const wrong: FieldViolation[] = [];
  return {
    check: (holds, field, description) => void (holds || wrong.push({ field: `${path}${field}`, description })),
    done: () => {
      if (wrong.length > 0) throw fieldViolations(wrong);
    },
  };
}

/** Whether a text that a person wrote is there, is not too long, and has no control characters. */
export function isText(text: string, maxLength: number): boolean {
  const length = [...text].length;
  return length >= 1 && length <= maxLength && /^[^\p{Cc}\p{Cs}]*$/u.test(text);
}

/** An id of a request: present, bounded and free of control characters. */
export function idText(field: string, value: string, maxLength: number): string {
  if (isIdText(value, maxLength)) return value;
  throw invalidArgument(field, `expected 1 to ${maxLength} characters, without control characters`);
}

/** An id that a request may leave out. */
export function optionalId(field: string, value: string | undefined, maxLength: number): string | undefined {
  return value === undefined ? undefined : idText(field, value, maxLength);
}

/** NUL and unpaired surrogates would reach the database as errors. */
export function isIdText(value: string, maxLength: number): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are refused here
  return value.length >= 1 && value.length <= maxLength && !/[\u0000-\u001f\u007f]/.test(value) && value.isWellFormed();
}
