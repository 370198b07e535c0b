import { create, type DescField, type DescMessage, type MessageShape, mergeFromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { problem, type RecordProblem, within } from "../../domain/calls/field-checks.ts";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { MAX_DEPTH } from "./count-elements.ts";
import { DROP_UNKNOWN_FIELDS } from "./unknown-fields.ts";
import { type FieldShape, shapeOf, Wire } from "./wire-shape.ts";

/**
 * What is wrong with bytes that are not a message of a type, with the first wrong field, as far as
 * the bytes show one.
 */
export function findBinaryFault(schema: DescMessage, bytes: Uint8Array, depth = 1): RecordProblem | undefined {
  if (depth > MAX_DEPTH) return { issue: RecordIssue.TOO_LARGE, message: "is nested too deep", retryable: false };
  const seen = new Map<DescField, number>();
  for (const part of partsOf(schema, bytes)) {
    if (part === undefined) return { issue: RecordIssue.UNREADABLE, message: NOT_PROTOBUF, retryable: false };
    const { field } = part;
    if (!field) continue;
    const count = seen.get(field) ?? 0;
    seen.set(field, count + 1);
    const name = field.fieldKind === "list" ? `${field.name}[${count}]` : field.name;
    const fault =
      part.end === undefined ? problem(RecordIssue.UNREADABLE, name, CUT) : valueFault(part, name, bytes, depth);
    if (fault) return fault;
  }
  return undefined;
}

/**
 * What can be read of a record that cannot be decoded whole: field by field, as far as it is known
 * where each ends. Text that is not UTF-8 gets replacement characters. Use it only to name the
 * record and to count it.
 */
export function salvageBinary<T extends DescMessage>(schema: T, bytes: Uint8Array): MessageShape<T> {
  const message = create(schema);
  let count = 0;
  for (const part of partsOf(schema, bytes)) {
    if (part?.end === undefined || ++count > MAX_SALVAGED) break;
    const { field, start, end, wire } = part;
    if (!field || field.fieldKind === "list" || field.fieldKind === "map" || wire !== shapeOfField(schema, field)?.wire)
      continue;
    try {
      mergeFromBinary(schema, message, bytes.subarray(start, end), DROP_UNKNOWN_FIELDS.binaryOptions);
    } catch {
      if (field.fieldKind !== "scalar" || wire !== WireType.LengthDelimited) continue;
      const value = Buffer.from(bytes.subarray(part.valueStart, end)).toString();
      (message as Record<string, unknown>)[field.localName] = value.slice(0, MAX_SALVAGED);
    }
  }
  return message;
}

/** Most fields of a record, and most characters of a text, that are looked at. */
const MAX_SALVAGED = 1_000;
const NOT_PROTOBUF = "the record ends within a field, or has something between two";
const CUT = "is cut off, or reaches beyond the record's end";
const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

interface Part {
  /** Undefined: the type has no field of this number. */
  readonly field: DescField | undefined;
  readonly wire: number;
  readonly start: number;
  /** After the tag, and after the length if there is one. */
  readonly valueStart: number;
  /** Undefined: it does not end within the message. */
  readonly end: number | undefined;
}

// Each field in turn. The last is undefined where no field begins, or has no end.
function* partsOf(schema: DescMessage, bytes: Uint8Array): Generator<Part | undefined> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < bytes.length) {
    const start = reader.pos;
    const tag = attempt(() => reader.tag());
    if (!tag) return yield undefined;
    const [number, wire] = tag;
    const field = schema.fields.find((each) => each.number === number);
    const valueStart = attempt(() => startOfValue(bytes, reader.pos, wire));
    const isWhole = attempt(() => reader.skip(wire, number, MAX_DEPTH)) !== undefined && reader.pos <= bytes.length;
    if (valueStart === undefined || !isWhole) return yield { field, wire, start, valueStart: start, end: undefined };
    yield { field, wire, start, valueStart, end: reader.pos };
  }
}

function startOfValue(bytes: Uint8Array, position: number, wire: WireType): number {
  if (wire !== WireType.LengthDelimited) return position;
  const reader = new BinaryReader(bytes);
  reader.pos = position;
  reader.uint32();
  return reader.pos;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function valueFault(part: Part, name: string, bytes: Uint8Array, depth: number): RecordProblem | undefined {
  const field = part.field as DescField;
  const shape = shapeOfField(field.parent, field);
  if (part.wire !== shape?.wire && !(part.wire === Wire.DELIMITED && (shape?.packed ?? -1) >= 0)) {
    return problem(RecordIssue.UNREADABLE, name, `has wire type ${part.wire}, expected ${shape?.wire}`);
  }
  const value = bytes.subarray(part.valueStart, part.end);
  if (field.message) return within(name, findBinaryFault(field.message, value, depth + 1));
  if (part.wire !== Wire.DELIMITED) return undefined;
  const isText = attempt(() => strictUtf8.decode(value)) !== undefined;
  return isText ? undefined : problem(RecordIssue.INVALID_TEXT, name, "is not valid UTF-8");
}

function shapeOfField(schema: DescMessage, field: DescField): FieldShape | undefined {
  return shapeOf(schema)[field.number];
}
