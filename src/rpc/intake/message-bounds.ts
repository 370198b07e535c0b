import type { DescField, DescMessage, DescMethod } from "@bufbuild/protobuf";
import type { Limits } from "../../domain/limits.ts";
import { accessRuleOf } from "../shared/method-rules.ts";
import type { ElementBounds } from "./count-elements.ts";

/** The bounds of one message of a method's requests. */
export interface MessageBounds extends ElementBounds {
  readonly maxBytes: number;
  /** Whether anyone may call the method: then its messages must come uncompressed. */
  readonly isAnonymous: boolean;
  /** Whether the request has a field mask, whose text becomes as many paths. */
  readonly hasFieldMask: boolean;
}

/**
 * For methods that anyone may call. They need a host and the full name of a symbol at most, some
 * hundred bytes in two levels of fields: four KiB and 64 elements are ten times as much.
 */
export const MAX_ANONYMOUS_BYTES = 4_096;
const MAX_ANONYMOUS_ELEMENTS = 64;

/**
 * For requests that are answered with a stream, which may keep them for as long as it lives. The
 * largest filter names 100 customers and 100 trunks with 128 characters each, in JSON six bytes for
 * each character; an export of usage, 100 numbers and 250 countries.
 */
const MAX_STREAM_REQUEST_BYTES = 163_840;
const MAX_STREAM_REQUEST_ELEMENTS = 512;

/**
 * How many items a list within a record is taken to have: the contract's longest, a call's streams,
 * has 16.
 */
const INNER_ITEMS = 16;

/**
 * The bounds of a method's messages, from what its request may need by the contract. A request has
 * `maxRequestElements`, which is enough for a thousand numbers and every filter. One with a list of
 * messages, a batch, also has the fields of the most records that a batch may have.
 */
export function boundsOf(method: DescMethod, limits: Limits): MessageBounds {
  const hasFieldMask = reaches(method.input, "google.protobuf.FieldMask", new Set());
  if (accessRuleOf(method)?.principal === "anyone") {
    const maxBytes = Math.min(MAX_ANONYMOUS_BYTES, limits.maxMessageBytes);
    const maxObjects = MAX_ANONYMOUS_ELEMENTS;
    return { maxBytes, maxElements: MAX_ANONYMOUS_ELEMENTS, maxObjects, isAnonymous: true, hasFieldMask };
  }
  const batch = batchRoom(method.input, limits.maxBatchRecords, new Set());
  if (method.methodKind === "server_streaming" && batch.elements === 0) {
    const maxBytes = Math.min(MAX_STREAM_REQUEST_BYTES, limits.maxMessageBytes);
    const most = Math.min(MAX_STREAM_REQUEST_ELEMENTS, limits.maxRequestElements);
    return { maxBytes, maxElements: most, maxObjects: most, isAnonymous: false, hasFieldMask };
  }
  return {
    maxBytes: limits.maxMessageBytes,
    maxElements: limits.maxRequestElements + batch.elements,
    // Twice, because fields of a newer contract are objects too, and a record may have as many of
    // them as it has messages.
    maxObjects: limits.maxRequestElements + 2 * batch.objects,
    isAnonymous: false,
    hasFieldMask,
  };
}

/**
 * The bounds of one record: what one with every field of its type needs, and fields of a newer
 * contract.
 */
export function recordBounds(record: DescMessage): ElementBounds {
  const { elements, objects } = recordRoom(record, new Set());
  return { maxElements: elements + UNKNOWN_ELEMENTS, maxObjects: 2 * objects + UNKNOWN_ELEMENTS };
}

/** How many fields of a newer contract a record may have beside those that this server knows. */
const UNKNOWN_ELEMENTS = 64;

interface Room {
  readonly elements: number;
  readonly objects: number;
}

const NONE: Room = { elements: 0, objects: 0 };

/** What the records of a request need, wherever they stand in it. */
function batchRoom(message: DescMessage, maxRecords: number, within: ReadonlySet<DescMessage>): Room {
  if (within.has(message)) return NONE;
  const inner = new Set([...within, message]);
  return sum(
    message.fields.map((field) => {
      if (!field.message) return NONE;
      if (field.fieldKind === "message") return batchRoom(field.message, maxRecords, inner);
      return times(maxRecords, withOne(recordRoom(field.message, inner)));
    }),
  );
}

/** What a record with every field needs. */
function recordRoom(message: DescMessage, within: ReadonlySet<DescMessage>): Room {
  if (within.has(message)) return NONE;
  const inner = new Set([...within, message]);
  return sum(message.fields.map((field) => fieldRoom(field, inner)));
}

function fieldRoom(field: DescField, within: ReadonlySet<DescMessage>): Room {
  if (field.fieldKind === "scalar" || field.fieldKind === "enum") return { elements: 1, objects: 0 };
  const one = field.message ? withOne(recordRoom(field.message, within)) : { elements: 1, objects: 0 };
  return field.fieldKind === "message" ? one : withOne(times(INNER_ITEMS, one));
}

function withOne({ elements, objects }: Room): Room {
  return { elements: elements + 1, objects: objects + 1 };
}

function times(count: number, { elements, objects }: Room): Room {
  return { elements: count * elements, objects: count * objects };
}

function sum(rooms: readonly Room[]): Room {
  return rooms.reduce((a, b) => ({ elements: a.elements + b.elements, objects: a.objects + b.objects }), NONE);
}

function reaches(message: DescMessage, typeName: string, seen: Set<DescMessage>): boolean {
  if (message.typeName === typeName) return true;
  if (seen.has(message)) return false;
  seen.add(message);
  return message.fields.some(({ message: inner }) => inner && reaches(inner, typeName, seen));
}
