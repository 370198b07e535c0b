import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  mergeFromJson,
} from "@bufbuild/protobuf";
import { problem, type RecordProblem, within } from "../../domain/calls/field-checks.ts";
import { invalidArgument } from "../../domain/errors.ts";
import { isTimestampText } from "../../domain/time/instant.ts";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { MAX_DEPTH } from "./count-elements.ts";

/**
 * How JSON is decoded in methods that write: a name that the contract does not have is an error.
 */
export const STRICT_JSON = { ignoreUnknownFields: false, recursionLimit: MAX_DEPTH } as const;

/**
 * Finds what JSON says that its type does not have, with the path to it in the contract's names: a
 * field's name, an enum value's name, a day that is in no calendar, which JavaScript would take for
 * one of the next month, a number that lost digits when it was parsed. The decoder finds what else
 * is wrong.
 */
export function findJsonFault(schema: DescMessage, json: JsonValue, depth = 1): RecordProblem | undefined {
  if (!isObject(json) || depth > MAX_DEPTH) return undefined;
  for (const [name, value] of Object.entries(json)) {
    const field = fieldNamed(schema, name);
    if (!field) return problem(RecordIssue.UNKNOWN_FIELDS, shownName(name), `is not a field of ${schema.typeName}`);
    const fault =
      field.fieldKind === "list" ? listFault(field, value, depth) : valueFault(field, field.name, value, depth);
    if (fault) return fault;
  }
  return undefined;
}

/**
 * Refuses a JSON request with names that the contract does not have. Connect would ignore them, as
 * it ignores the fields of a newer contract in binary; but names are written by people, and a
 * misspelt one would be lost without notice.
 * @throws TandemError INVALID_ARGUMENT
 */
export function checkJsonRequest(input: DescMessage, json: JsonValue): void {
  const fault = findJsonFault(input, json);
  if (fault) throw invalidArgument(fault.fieldPath ?? "", fault.message);
}

/** What a text says in JSON; undefined when it is none. */
export function parseJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}

/** The first field whose value does not fit its type. Slow: it decodes each field by itself. */
export function findJsonTypeFault(schema: DescMessage, json: JsonValue, depth = 1): RecordProblem | undefined {
  if (!isObject(json)) return { issue: RecordIssue.UNREADABLE, message: "is no object", retryable: false };
  for (const [name, value] of Object.entries(json)) {
    const field = fieldNamed(schema, name);
    if (field && !takes(schema, { [name]: value })) return typeFault(schema, field, value, depth);
  }
  return undefined;
}

function typeFault(schema: DescMessage, field: DescField, value: JsonValue, depth: number): RecordProblem {
  const { name } = field;
  if (field.fieldKind !== "list" || !Array.isArray(value)) return oneTypeFault(field, name, value, depth);
  const at = value.findIndex((item) => !takes(schema, { [name]: [item] }));
  return oneTypeFault(field, `${name}[${Math.max(0, at)}]`, value[Math.max(0, at)] ?? null, depth);
}

function oneTypeFault(field: DescField, path: string, value: JsonValue, depth: number): RecordProblem {
  const isOurs = field.message && !field.message.typeName.startsWith("google.protobuf.") && depth < MAX_DEPTH;
  const inner = isOurs ? within(path, findJsonTypeFault(field.message, value, depth + 1)) : undefined;
  return inner ?? problem(RecordIssue.UNREADABLE, path, `is no ${typeNameOf(field)}`);
}

/** What can be read of a record that cannot be decoded whole, name by name. Lists are left out. */
export function salvageJson<T extends DescMessage>(schema: T, json: JsonValue): MessageShape<T> {
  const message = create(schema);
  if (!isObject(json)) return message;
  for (const [name, value] of Object.entries(json).slice(0, MAX_SALVAGED)) {
    if (Array.isArray(value) || !takes(schema, { [name]: value })) continue;
    mergeFromJson(schema, message, { [name]: value }, { ignoreUnknownFields: true, recursionLimit: MAX_DEPTH });
  }
  return message;
}

const MAX_SALVAGED = 1_000;
const MAX_SHOWN_NAME = 64;
const TIMESTAMP = "google.protobuf.Timestamp";

function isObject(json: JsonValue): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

export function fieldNamed(schema: DescMessage, name: string): DescField | undefined {
  return schema.fields.find((field) => field.jsonName === name || field.name === name);
}

function listFault(field: DescField, value: JsonValue, depth: number): RecordProblem | undefined {
  if (!Array.isArray(value)) return undefined;
  for (const [index, item] of value.entries()) {
    const fault = valueFault(field, `${field.name}[${index}]`, item, depth);
    if (fault) return fault;
  }
  return undefined;
}

function valueFault(field: DescField, path: string, value: JsonValue, depth: number): RecordProblem | undefined {
  if (field.fieldKind === "map") return undefined;
  if (field.message?.typeName === TIMESTAMP) {
    const isTime = typeof value !== "string" || isTimestampText(value);
    return isTime ? undefined : problem(RecordIssue.FIELD_MALFORMED, path, NO_TIME);
  }
  if (field.message && !field.message.typeName.startsWith("google.protobuf."))
    return within(path, findJsonFault(field.message, value, depth + 1));
  if (field.scalar !== undefined && WHOLE_64.has(field.scalar)) return lostDigits(path, value);
  if (!field.enum || typeof value !== "string") return undefined;
  const isKnown = field.enum.values.some(({ name }) => name === value);
  return isKnown
    ? undefined
    : problem(RecordIssue.UNKNOWN_ENUM_VALUE, path, `is not a value of ${field.enum.typeName} that this server knows`);
}

/** Of descriptor.proto's Type: int64, uint64, fixed64, sfixed64 and sint64. */
const WHOLE_64: ReadonlySet<number> = new Set([3, 4, 6, 16, 18]);

// JSON numbers are read as doubles, in which 9007199254740993 is ...992.
function lostDigits(path: string, value: JsonValue): RecordProblem | undefined {
  if (typeof value !== "number" || !Number.isInteger(value) || Number.isSafeInteger(value)) return undefined;
  return problem(RecordIssue.FIELD_MALFORMED, path, LOST_DIGITS);
}

const LOST_DIGITS = 'is a number of which JSON loses digits; expected a text, such as "9007199254740993"';
const NO_TIME = "is not a time; expected one such as 2026-03-01T10:05:00.250Z, on an existing day";

function takes(schema: DescMessage, json: JsonObject): boolean {
  try {
    fromJson(schema, json, { ignoreUnknownFields: true, recursionLimit: MAX_DEPTH });
    return true;
  } catch {
    return false;
  }
}

function typeNameOf(field: DescField): string {
  if (field.message) return field.message.typeName;
  if (field.enum) return field.enum.typeName;
  if (field.fieldKind === "list") return "list";
  return field.fieldKind === "scalar" ? (SCALAR_NAMES[field.scalar] ?? "value of its type") : "value of its type";
}

/** By the numbers of descriptor.proto's Type. */
const SCALAR_NAMES: Readonly<Record<number, string>> = {
  1: "number",
  2: "number",
  3: "whole number of 64 bits",
  5: "whole number of 32 bits",
  8: "true or false",
  9: "text",
  13: "whole number of 32 bits",
};

// A name may be a phone number that somebody put there: it is cut here, and masked where it is
// shown.
function shownName(name: string): string {
  return name.slice(0, MAX_SHOWN_NAME).toWellFormed().replaceAll("\0", "\ufffd");
}
