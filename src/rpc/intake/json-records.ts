import { create, type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { problem, type RecordProblem } from "../../domain/calls/field-checks.ts";
import { maskNumbers } from "../../domain/privacy/masking.ts";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { recordProblem } from "../../upload/records/record-limits.ts";
import { UnreadableRecord } from "../../upload/records/record-list.ts";
import { type ReadRecord, type RecordReader, tooMuchInside } from "./binary-records.ts";
import { countJson } from "./count-json.ts";
import { fieldNamed, findJsonFault, findJsonTypeFault, parseJson, STRICT_JSON, salvageJson } from "./json-faults.ts";

/** Records in JSON. */
export function readJson<T extends DescMessage>(reader: RecordReader<T>): ReadRecord<T> {
  return (bytes, start, end) => readRecord(reader, bytes.subarray(start, end));
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function readRecord<T extends DescMessage>(
  { schema, bounds }: RecordReader<T>,
  bytes: Uint8Array,
): MessageShape<T> | UnreadableRecord<MessageShape<T>> {
  const unreadable = (wrong: RecordProblem, json: JsonValue) =>
    new UnreadableRecord(maskedPath(wrong), salvageJson(schema, json), bytes);
  try {
    countJson(bytes, bounds);
  } catch (error) {
    return new UnreadableRecord(tooMuchInside(error instanceof Error ? error.message : ""), create(schema), bytes);
  }
  const { text, isUtf8 } = textOf(bytes);
  const json = parseJson(text);
  if (json === undefined) return unreadable(NOT_JSON, null);
  if (!isUtf8) return unreadable(findReplaced(json, schema) ?? NOT_UTF8, json);
  const fault = findJsonFault(schema, json);
  if (fault) return unreadable(fault, json);
  try {
    return fromJson(schema, json, STRICT_JSON);
  } catch {
    return unreadable(findJsonTypeFault(schema, json) ?? NO_SUCH_RECORD, json);
  }
}

function textOf(bytes: Uint8Array): { text: string; isUtf8: boolean } {
  try {
    return { text: strictUtf8.decode(bytes), isUtf8: true };
  } catch {
    return { text: Buffer.from(bytes).toString(), isUtf8: false };
  }
}

// Finds where bytes that are not UTF-8 became replacement characters.
function findReplaced(json: JsonValue, schema: DescMessage): RecordProblem | undefined {
  for (const { path, text } of textsOf(json, schema, ""))
    if (text.includes("\ufffd")) return problem(RecordIssue.INVALID_TEXT, path, "is not valid UTF-8");
  return undefined;
}

/** Each text and each name in a value, with the path to it in the contract's names. */
function* textsOf(
  json: JsonValue,
  schema: DescMessage | undefined,
  path: string,
): Generator<{ path: string; text: string }> {
  if (typeof json === "string") yield { path, text: json };
  if (typeof json !== "object" || json === null) return;
  if (Array.isArray(json)) {
    for (const [at, item] of json.entries()) yield* textsOf(item, schema, `${path}[${at}]`);
    return;
  }
  for (const [name, value] of Object.entries(json)) {
    const field = schema && fieldNamed(schema, name);
    const inner = `${path === "" ? "" : `${path}.`}${field?.name ?? name.slice(0, 64)}`;
    yield { path: inner, text: name };
    yield* textsOf(value, field?.message, inner);
  }
}

// A misspelt name is shown as it was sent, and may be anything.
function maskedPath(wrong: RecordProblem): RecordProblem {
  return wrong.fieldPath === undefined ? wrong : { ...wrong, fieldPath: maskNumbers(wrong.fieldPath) };
}

const NOT_JSON = recordProblem(RecordIssue.UNREADABLE, "the record is no JSON");
const NOT_UTF8 = recordProblem(RecordIssue.INVALID_TEXT, "the record is not valid UTF-8");
const NO_SUCH_RECORD = recordProblem(RecordIssue.UNREADABLE, "the record is no JSON of its type");
