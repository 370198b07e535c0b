import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { RecordProblem } from "../../domain/calls/field-checks.ts";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";

/**
 * The warning for fields that this server does not know: it names the first message that has some.
 * Only for a record that has.
 */
export function unknownFieldsWarning(schema: DescMessage, message: Message): RecordProblem {
  const found = findUnknown(schema, message, []);
  const numbers = (found?.numbers ?? []).slice(0, NAMED_FIELDS).join(", ");
  const path = found?.path.join(".") ?? "";
  return {
    issue: RecordIssue.UNKNOWN_FIELDS,
    ...(path === "" ? {} : { fieldPath: path }),
    message: `fields that this server does not know were dropped: ${numbers}`,
    retryable: false,
  };
}

const NAMED_FIELDS = 10;

interface Found {
  path: string[];
  numbers: number[];
}

function findUnknown(schema: DescMessage, message: Message, path: string[]): Found | undefined {
  const own = message.$unknown ?? [];
  if (own.length > 0) return { path, numbers: [...new Set(own.map((field) => field.no))] };
  for (const { name, inner, schema: innerSchema } of innerMessages(schema, message)) {
    const found = findUnknown(innerSchema, inner, [...path, name]);
    if (found) return found;
  }
  return undefined;
}

function* innerMessages(
  schema: DescMessage,
  message: Message,
): Generator<{ name: string; inner: Message; schema: DescMessage }> {
  for (const field of schema.fields) {
    const value = (message as unknown as Record<string, unknown>)[field.localName];
    if (field.message === undefined || value === undefined) continue;
    if (field.fieldKind !== "list") yield { name: field.name, inner: value as Message, schema: field.message };
    else
      for (const [index, inner] of (value as Message[]).entries())
        yield { name: `${field.name}[${index}]`, inner, schema: field.message };
  }
}
