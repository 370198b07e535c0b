import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { maskNumbers } from "../privacy/masking.ts";

/** A fault of an uploaded record, or a warning; as tandem.type.v1.RecordOutcome. */
export interface RecordProblem {
  /** A RecordIssue. */
  issue: number;
  /** A path of contract names; absent: no single field is at fault. */
  fieldPath?: string;
  /** What was wrong and what was expected, with numbers masked, at most 512 characters. */
  message: string;
  /** Whether the unchanged record may be accepted later. */
  retryable: boolean;
}

/** The path is relative to the checked message; `within` completes it. */
export function problem(issue: RecordIssue, fieldPath: string, message: string): RecordProblem {
  return { issue, fieldPath, message, retryable: issue === RecordIssue.IN_FUTURE };
}

export function within(field: string, inner: RecordProblem | undefined): RecordProblem | undefined {
  if (inner === undefined) return undefined;
  return { ...inner, fieldPath: inner.fieldPath === undefined ? field : `${field}.${inner.fieldPath}` };
}

export function required(field: string, present: boolean): RecordProblem | undefined {
  return present ? undefined : problem(RecordIssue.FIELD_REQUIRED, field, "is absent, expected a value");
}

/** At most so many code points, without NUL or unpaired surrogates. */
export function text(field: string, value: string | undefined, maxCharacters: number): RecordProblem | undefined {
  if (value === undefined) return undefined;
  if (value.includes("\0")) return problem(RecordIssue.INVALID_TEXT, field, "contains NUL, expected text without it");
  if (!value.isWellFormed())
    return problem(RecordIssue.INVALID_TEXT, field, "contains an unpaired surrogate, expected valid Unicode");
  if (value.length <= maxCharacters || isShorter(value, maxCharacters)) return undefined;
  return problem(RecordIssue.FIELD_OUT_OF_RANGE, field, `is longer than ${maxCharacters} characters`);
}

/** Like `text`, and not empty. */
export function requiredText(
  field: string,
  value: string | undefined,
  maxCharacters: number,
): RecordProblem | undefined {
  return required(field, value !== undefined && value !== "") ?? text(field, value, maxCharacters);
}

/** Checks a fixed form after `text`; quotes the value only where it cannot be personal. */
export function form(
  field: string,
  value: string | undefined,
  pattern: RegExp,
  expected: string,
): RecordProblem | undefined {
  if (value === undefined || pattern.test(value)) return undefined;
  return problem(RecordIssue.FIELD_MALFORMED, field, `has the wrong form, expected ${expected}`);
}

/** NaN and infinities are in no range. */
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

/** `last` is the highest value; there are no gaps. */
export function known(field: string, value: number, last: number): RecordProblem | undefined {
  if (value >= 0 && value <= last) return undefined;
  return problem(
    RecordIssue.UNKNOWN_ENUM_VALUE,
    field,
    `is ${value}, which this server does not know; expected 0 to ${last}`,
  );
}

/** Like `known`, but not unspecified. */
export function stated(field: string, value: number, last: number): RecordProblem | undefined {
  return required(field, value !== 0) ?? known(field, value, last);
}

/** Short, quoted, numbers masked. */
export function quote(value: string): string {
  return quoteMasked(maskNumbers(value.slice(0, QUOTED_UNITS * 2)));
}

/** Short and quoted. */
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
