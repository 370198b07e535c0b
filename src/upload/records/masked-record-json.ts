import {
  type DescEnum,
  type DescField,
  type DescMessage,
  isFieldSet,
  type Message,
  type MessageShape,
} from "@bufbuild/protobuf";
import { maskedValue, type Party } from "../../domain/calls/party.ts";
import { maskNumbers } from "../../domain/privacy/masking.ts";
import { isoFromMicros, microsFromTimestamp } from "../../domain/time/instant.ts";

/** Most bytes of a stored record, UTF-8. */
export const MAX_RECORD_JSON_BYTES = 1_024;

/**
 * A record as it was sent, as canonical JSON with numbers masked, to be shown when it was refused:
 * at most 1,024 bytes, so the end of a long one is cut off. Network identifiers are left out. Never
 * throws: what canonical JSON cannot express is written as it is.
 */
export function maskedRecordJson<T extends DescMessage>(schema: T, message: MessageShape<T>): string {
  return cut(JSON.stringify(jsonOf(schema, message)), MAX_RECORD_JSON_BYTES);
}

/** Shown beside the record anyway, and used to look it up. */
const RECORD_ID = "record_id";
const PARTY = "tandem.type.v1.Party";
const NETWORK_IDENTIFIERS = "tandem.type.v1.NetworkIdentifiers";
const TIMESTAMP = "google.protobuf.Timestamp";
const MAX_TEXT_UNITS = 512;
const MAX_LIST_ITEMS = 16;

type Json = string | number | boolean | Json[] | { [name: string]: Json };

function jsonOf(schema: DescMessage, message: Message): Json {
  const values = message as unknown as Record<string, unknown>;
  if (schema.typeName === TIMESTAMP) return timestampJson(values as { seconds: bigint; nanos: number });
  const json: { [name: string]: Json } = {};
  for (const field of schema.fields) {
    if (field.message?.typeName === NETWORK_IDENTIFIERS || !isFieldSet(message, field)) continue;
    const value = values[field.localName];
    const items = Array.isArray(value) ? value.slice(0, MAX_LIST_ITEMS) : undefined;
    json[field.jsonName] = items ? items.map((item) => valueJson(field, item)) : valueJson(field, value);
  }
  const masked = schema.typeName === PARTY ? maskedValue(values as unknown as Party) : undefined;
  if (masked !== undefined) json["value"] = textJson(masked);
  return json;
}

function valueJson(field: DescField, value: unknown): Json {
  if (field.message) return jsonOf(field.message, value as Message);
  if (field.enum) return enumJson(field.enum, value as number);
  if (typeof value === "string")
    return textJson(field.name === RECORD_ID ? value : maskNumbers(value.slice(0, MAX_TEXT_UNITS)));
  if (typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return value;
  return String(value);
}

function enumJson(schema: DescEnum, value: number): Json {
  return schema.value[value]?.name ?? value;
}

function textJson(text: string): string {
  return text.slice(0, MAX_TEXT_UNITS).toWellFormed();
}

function timestampJson({ seconds, nanos }: { seconds: bigint; nanos: number }): Json {
  try {
    return isoFromMicros(microsFromTimestamp({ seconds, nanos })).replace(/\.?0+Z$/, "Z");
  } catch {
    return { seconds: String(seconds), nanos };
  }
}

// Cuts between characters, so that the result is valid UTF-8.
function cut(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
