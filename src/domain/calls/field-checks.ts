import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { maskNumbers } from "../privacy/masking.ts";

/**
 * What is wrong with an uploaded record, or worth a warning; the parts of
 * tandem.type.v1.RecordOutcome.
 */
export interface RecordProblem {
  /** A RecordIssue. */
  issue: number;
  /** The field, as a path of contract names. Absent when no single field is at fault. */
  fieldPath?: string;
  /** What was wrong and what was expected. Numbers are masked. At most 512 characters. */
  message: string;
  /** Whether the same record may be accepted later without being changed. */
  retryable: boolean;
}

/**
 * A problem of one field. The path is of the message that the check is for; `within` leads it on.
 */
export function problem(issue: RecordIssue, fieldPath: string, message: string): RecordProblem {
  return { issue, fieldPath, message, retryable: issue === RecordIssue.IN_FUTURE };
}

/** A problem of a field within the field so named. */
export function within(field: string, inner: RecordProblem | undefined): RecordProblem | undefined {
  if (inner === undefined) return undefined;
  return { ...inner, fieldPath: inner.fieldPath === undefined ? field : `${field}.${inner.fieldPath}` };
}

/** A required field is absent. */
export function required(field: string, present: boolean): RecordProblem | undefined {
  return present ? undefined : problem(RecordIssue.FIELD_REQUIRED, field, "is absent, expected a value");
}

/** A text of at most so many characters (code points), without NUL or unpaired surrogates. */
export function text(field: string, value: string | undefined, maxCharacters: number): RecordProblem | undefined {
  if (value === undefined) return undefined;
  if (value.includes("\0")) return problem(RecordIssue.INVALID_TEXT, field, "contains NUL, expected text without it");
  if (!value.isWellFormed())
    return problem(RecordIssue.INVALID_TEXT, field, "contains an unpaired surrogate, expected valid Unicode");
  if (value.length <= maxCharacters || isShorter(value, maxCharacters)) return undefined;
  return problem(RecordIssue.FIELD_OUT_OF_RANGE, field, `is longer than ${maxCharacters} characters`);
}

/** A text as `text`, that is there and is not empty. */
export function requiredText(
  field: string,
  value: string | undefined,
  maxCharacters: number,
): RecordProblem | undefined {
  return required(field, value !== undefined && value !== "") ?? text(field, value, maxCharacters);
}

/** A text of a fixed form, after `text`; the value is quoted only where it cannot be personal. */
export function form(
  field: string,
  value: string | undefined,
  pattern: RegExp,
  expected: string,
): RecordProblem | undefined {
  if (value === undefined || pattern.test(value)) return undefined;
  return problem(RecordIssue.FIELD_MALFORMED, field, `has the wrong form, expected ${expected}`);
}

/** A number from `min` to `max`; NaN and the infinities are in no range. */
export function range(
  field: string,
  value: number | bigint | undefined,
  min: number,
  max: number,
): RecordProblem | undefined {
  if (value === undefined || (value >= min && value <= max)) return undefined;
  const expected = max === Number.MAX_VALUE ? `at least ${min}` : `${min} to ${max}`;
  return problem(RecordIssue.FIELD_OUT_OF_RANGE, field, `is ${value}, expected ${expected}`);
}

/** An enum value that the contract has; `last` is its highest, and there are no gaps. */
export function known(field: string, value: number, last: number): RecordProblem | undefined {
  if (value >= 0 && value <= last) return undefined;
  return problem(
    RecordIssue.UNKNOWN_ENUM_VALUE,
    field,
    `is ${value}, which this server does not know; expected 0 to ${last}`,
  );
}

/** An enum value that is known and is not the unspecified one. */
export function stated(field: string, value: number, last: number): RecordProblem | undefined {
  return required(field, value !== 0) ?? known(field, value, last);
}

/** A value as a message may show it: short, quoted, numbers masked. */
export function quote(value: string): string {
  return quoteMasked(maskNumbers(value.slice(0, QUOTED_UNITS * 2)));
}

/** A value that is masked already, short and quoted. */
export function quoteMasked(value: string): string {
  const shown = value.length > QUOTED_UNITS ? `${value.slice(0, QUOTED_UNITS)}…` : value;
  return JSON.stringify(shown.toWellFormed());
}

const QUOTED_UNITS = 40;

function isShorter(value: string, maxCharacters: number): boolean {
  if (value.length > maxCharacters * 2) return false;
  let count = 0;
  for (const _ of value) count++;
  return count <= maxCharacters;
}
