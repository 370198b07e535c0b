import { type DescField, type DescMessage, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import type { WireReader } from "../../domain/wire-reader.ts";

/** The values of a message's fields, at their numbers, to be put into the message as they are. */
type FieldValues = Readonly<Record<FieldNumber, never>>;
type FieldNumber = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15 | HighNumber;
type HighNumber = 16 | 17 | 18 | 19 | 20 | 21 | 22 | 23 | 24 | 25 | 26 | 27 | 28 | 29 | 30 | 31;

/** What a decoder knows of the fields of a message type besides their descriptors. */
interface DecodedFields {
  /** Fields that are not read, by name: with one of them the decoder fails. */
  readonly omit?: readonly string[];
  /** Texts that outlive the record, by name: substrings would keep all of its text alive. */
  readonly copied?: readonly string[];
  /** Texts that are the same in most records, by name: these share one string. */
  readonly shared?: readonly string[];
  /** Fields that an encoder may leave out whatever their value, by name. */
  readonly optional?: readonly string[];
}

/** A message type as a decoder knows it. */
export interface DecodedType extends DecodedFields {
  readonly schema: DescMessage;
  readonly make: (values: FieldValues) => object;
}

/**
 * Tells a decoder of a message type.
 * @param make makes a message from the values of its fields, which are at their numbers. It writes
 *   every field, so that all messages have one hidden class.
 */
export function decodedType<T extends DescMessage>(
  schema: T,
  make: (values: FieldValues) => Required<Omit<MessageShape<T>, "$unknown">>,
  fields: DecodedFields = {},
): DecodedType {
  return { schema, make, ...fields };
}

/**
 * Makes the decoder of a message type, for messages of ordinary form that end at a position. What
 * it cannot read makes the reader fail.
 * @param types of the message, and of every message within it.
 */
export function compileDecoder<T extends DescMessage>(schema: T, types: readonly DecodedType[]) {
  const plan = planOf(schema, types);
  const decode = (reader: WireReader, end: number) => readMessage(reader, plan, end) as MessageShape<T>;
  return Object.assign(decode, {
    /** By field number: where the field's first tag stands in what was read last; -1: nowhere. */
    tagStarts: plan.tagStarts,
    /** The start and end of each item of its list, one after the other. */
    itemBounds: plan.itemBounds,
  });
}

/** How the messages of one type are read. */
interface Plan {
  readonly make: (values: FieldValues) => object;
  /** By tag: how the field is read, a `Kind` with its marks. 0: it is not. */
  readonly kinds: Uint8Array;
  /** By field number: the messages within it. */
  readonly inner: readonly (Plan | undefined)[];
  /** By field number: what a field has that does not come. Of a list: undefined. */
  readonly absent: readonly unknown[];
  /** By field number: the fields of the message that is being read. No type is within itself. */
  readonly values: unknown[];
  readonly tagStarts: Int32Array;
  readonly itemBounds: number[];
}

const Kind = { TEXT: 1, COPIED: 2, SHARED: 3, INT32: 4, INT64: 5, BOOL: 6, MESSAGE: 7, DOUBLE: 8, LIST: 9 } as const;
/** The bits of a kind without its marks. */
const KIND_BITS = 15;
/** Marks a field that is not written when it has its zero value. */
const IMPLICIT = 16;
/** Marks a field that may be left out whatever its value. */
const OPTIONAL = 32;
/** A list with more items is left to protobuf-es. */
const MAX_ITEMS = 16;
/** google.protobuf.FeatureSet.FieldPresence.IMPLICIT */
const IMPLICIT_PRESENCE = 2;
/** Tags of one or two bytes, up to field number 31. */
const MAX_TAGS = 256;

function planOf(schema: DescMessage, types: readonly DecodedType[]): Plan {
  const type = types.find((each) => each.schema === schema);
  if (!type) throw new Error(`${schema.typeName} is of no type that this decoder knows`);
  const kinds = new Uint8Array(MAX_TAGS);
  const absent: unknown[] = [undefined];
  const inner: (Plan | undefined)[] = [];
  for (const field of schema.fields) {
    const kind = kindOf(field, type);
    const isImplicit = field.presence === IMPLICIT_PRESENCE;
    absent[field.number] = isImplicit && kind !== Kind.LIST ? zeroOf(kind) : undefined;
    if (type.omit?.includes(field.name)) continue;
    const wire = wireOf(kind);
    const marks = (isImplicit ? IMPLICIT : 0) | (type.optional?.includes(field.name) ? OPTIONAL : 0);
    kinds[(field.number << 3) | wire] = kind | marks;
    inner[field.number] = field.message && planOf(field.message, types);
  }
  const tagStarts = new Int32Array(MAX_TAGS >> 3);
  return { make: type.make, kinds, inner, absent, values: [...absent], tagStarts, itemBounds: [] };
}

function wireOf(kind: number): number {
  if (kind === Kind.DOUBLE) return 1;
  return kind <= Kind.SHARED || kind === Kind.MESSAGE || kind === Kind.LIST ? 2 : 0;
}

function zeroOf(kind: number): unknown {
  if (kind === Kind.INT64) return 0n;
  return kind <= Kind.SHARED ? "" : 0;
}

function kindOf(field: DescField, { copied, shared }: DecodedType): number {
  if (field.fieldKind === "message") return Kind.MESSAGE;
  if (field.fieldKind === "list") return Kind.LIST;
  if (field.fieldKind === "enum") return Kind.INT32;
  if (field.fieldKind === "scalar") {
    switch (field.scalar) {
      case ScalarType.STRING:
        if (shared?.includes(field.name)) return Kind.SHARED;
        return copied?.includes(field.name) ? Kind.COPIED : Kind.TEXT;
      case ScalarType.INT32:
        return Kind.INT32;
      case ScalarType.INT64:
        return Kind.INT64;
      case ScalarType.BOOL:
        return Kind.BOOL;
      case ScalarType.DOUBLE:
        return Kind.DOUBLE;
    }
  }
  throw new Error(`${field.parent.typeName}.${field.name} is of a kind that this decoder does not know`);
}

function readMessage(reader: WireReader, plan: Plan, end: number): object {
  const { kinds, inner, absent, values, tagStarts } = plan;
  for (let number = 1; number < absent.length; number++) values[number] = absent[number];
  tagStarts.fill(-1);
  plan.itemBounds.length = 0;
  let tag = 0;
  while (reader.position < end) {
    const start = reader.position;
    tag = reader.tagAfter(tag);
    const kind = tag < MAX_TAGS ? (kinds[tag] as number) : 0;
    const number = tag >>> 3;
    if (tagStarts[number] === -1) tagStarts[number] = start;
    switch (kind & KIND_BITS) {
      case Kind.TEXT:
        values[number] = reader.ascii(end);
        break;
      case Kind.COPIED:
        values[number] = reader.asciiCopy(end);
        break;
      case Kind.SHARED:
        values[number] = sharedText(reader.ascii(end));
        break;
      case Kind.INT32:
        values[number] = reader.uint31();
        break;
      case Kind.INT64:
        values[number] = BigInt(reader.uint53());
        break;
      case Kind.BOOL:
        values[number] = reader.bool();
        break;
      case Kind.MESSAGE:
        values[number] = readMessage(reader, inner[number] as Plan, reader.part(values[number], end));
        break;
      case Kind.DOUBLE:
        values[number] = reader.double(end);
        break;
      case Kind.LIST:
        values[number] = itemsAfter(values[number], reader, plan, inner[number] as Plan, end);
        // The next item has the same tag.
        tag--;
        break;
      default:
        reader.fail();
    }
    if (kind >= IMPLICIT && (kind >= OPTIONAL || !values[number])) reader.isCanonical = false;
  }
  if (reader.position !== end) reader.fail();
  return plan.make(values as never);
}

function itemsAfter(earlier: unknown, reader: WireReader, of: Plan, plan: Plan, end: number): object[] {
  const items = (earlier ?? []) as object[];
  const itemEnd = reader.part(undefined, end);
  of.itemBounds.push(reader.position, itemEnd);
  if (items.length === MAX_ITEMS) reader.fail();
  else items.push(readMessage(reader, plan, itemEnd));
  return items;
}

// An upload sends the same day over and over, so that all share one string.
let lastText = "";
function sharedText(text: string): string {
  if (text !== lastText) lastText = text;
  return lastText;
}
