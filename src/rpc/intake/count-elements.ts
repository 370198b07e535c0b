import { TandemError, unreadableMessage } from "../../domain/errors.ts";
import { type MessageShape, Wire } from "./wire-shape.ts";

/** What a message consists of. */
export interface ElementCount {
  /**
   * Fields, items, entries and messages; of JSON: values. A field that comes twice counts twice.
   */
  readonly elements: number;
  /**
   * How many of them become objects: messages, entries, unknown fields; of JSON: objects and lists.
   */
  readonly objects: number;
  /** How many records there are, of which each is an element and an object, whatever it holds. */
  readonly records?: number;
}

/** The most that a message may consist of. */
export interface ElementBounds {
  readonly maxElements: number;
  readonly maxObjects: number;
}

/** Most levels of nested messages. The contract needs six. */
export const MAX_DEPTH = 32;

/**
 * Counts the elements of a binary message before anything is made of it, in one pass that allocates
 * nothing for an element. Each field is read as its type says, which is how it will be decoded:
 * bytes that do not fit are refused, so that no other reading can find more.
 * @param record of what type records are: what they hold is counted when each is read
 * @throws TandemError MESSAGE_TOO_LARGE, INVALID_ARGUMENT
 */
export function countBinary(
  shape: MessageShape,
  bytes: Uint8Array,
  bounds: ElementBounds,
  record?: MessageShape,
): ElementCount {
  const counter = new BinaryCounter(bytes, bounds, record);
  counter.message(shape, bytes.length, 1);
  return counter;
}

class BinaryCounter implements ElementCount {
  elements = 0;
  objects = 0;
  records = 0;
  readonly #bytes: Uint8Array;
  readonly #bounds: ElementBounds;
  readonly #record: MessageShape | undefined;
  #position = 0;

  constructor(bytes: Uint8Array, bounds: ElementBounds, record?: MessageShape) {
    this.#bytes = bytes;
    this.#bounds = bounds;
    this.#record = record;
  }

  message(shape: MessageShape, end: number, depth: number): void {
    if (depth > MAX_DEPTH) throw tooDeep(MAX_DEPTH);
    while (this.#position < end) {
      const tag = this.#tag(end);
      const field = shape[tag >>> 3];
      this.#count(1);
      if (field) this.#known(field, tag & 7, end, depth);
      else this.#unknown(tag, end, depth);
    }
  }

  #known(field: NonNullable<MessageShape[number]>, wire: number, end: number, depth: number): void {
    if (wire === field.wire) {
      if (field.inner) this.#inner(field.inner, end, depth);
      else this.#skip(wire, end);
      return;
    }
    // protobuf-es reads by the field's type, whatever the wire type says: it would decode something
    // else than what was counted here.
    if (wire !== Wire.DELIMITED || field.packed < 0) throw unreadableMessage();
    this.#packed(field.packed, this.#length(end));
  }

  #inner(shape: MessageShape, end: number, depth: number): void {
    const innerEnd = this.#length(end);
    this.#countObject();
    if (shape === this.#record) {
      this.records += 1;
      this.#position = innerEnd;
    } else this.message(shape, innerEnd, depth + 1);
  }

  #unknown(tag: number, end: number, depth: number): void {
    this.#countObject();
    if ((tag & 7) === Wire.START_GROUP) this.#group(tag, end, depth);
    else this.#skip(tag & 7, end);
  }

  #group(tag: number, end: number, depth: number): void {
    if (depth >= MAX_DEPTH) throw tooDeep(MAX_DEPTH);
    for (;;) {
      const inner = this.#tag(end);
      if ((inner & 7) === Wire.END_GROUP) {
        if (inner >>> 3 !== tag >>> 3) throw unreadableMessage();
        return;
      }
      this.#count(1);
      this.#unknown(inner, end, depth + 1);
    }
  }

  #skip(wire: number, end: number): void {
    switch (wire) {
      case Wire.VARINT:
        this.#skipVarint(end);
        return;
      case Wire.FIXED64:
        this.#advance(8, end);
        return;
      case Wire.FIXED32:
        this.#advance(4, end);
        return;
      case Wire.DELIMITED:
        this.#position = this.#length(end);
        return;
      default:
        throw unreadableMessage();
    }
  }

  #packed(wire: number, end: number): void {
    if (wire === Wire.VARINT) {
      while (this.#position < end) {
        this.#skipVarint(end);
        this.#count(1);
      }
      return;
    }
    const size = wire === Wire.FIXED64 ? 8 : 4;
    const length = end - this.#position;
    if (length % size !== 0) throw unreadableMessage();
    this.#count(length / size);
    this.#position = end;
  }

  #count(elements: number): void {
    this.elements += elements;
    if (this.elements > this.#bounds.maxElements) throw tooMany(this.#bounds.maxElements, "elements");
  }

  #countObject(): void {
    this.objects += 1;
    if (this.objects > this.#bounds.maxObjects) throw tooMany(this.#bounds.maxObjects, "objects");
  }

  #advance(bytes: number, end: number): void {
    this.#position += bytes;
    if (this.#position > end) throw unreadableMessage();
  }

  // A tag has at most 32 bits and a field number.
  #tag(end: number): number {
    const start = this.#position;
    const tag = this.#varint(end);
    if (this.#position - start > 5 || tag > 0xffff_ffff || tag >>> 3 === 0) throw unreadableMessage();
    return tag;
  }

  /** The end of a length-delimited value. */
  #length(end: number): number {
    const innerEnd = this.#varint(end) + this.#position;
    if (innerEnd > end) throw unreadableMessage();
    return innerEnd;
  }

  #varint(end: number): number {
    let value = 0;
    let scale = 1;
    for (let size = 0; size < MAX_VARINT_BYTES && this.#position < end; size++) {
      const byte = this.#bytes[this.#position++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw unreadableMessage();
  }

  #skipVarint(end: number): void {
    for (let size = 0; size < MAX_VARINT_BYTES && this.#position < end; size++) {
      if ((this.#bytes[this.#position++] as number) < 0x80) return;
    }
    throw unreadableMessage();
  }
}

const MAX_VARINT_BYTES = 10;

export function tooMany(limit: number, unit: "elements" | "objects"): TandemError {
  const what = unit === "elements" ? "fields, items and values" : "messages, objects and lists";
  return new TandemError("MESSAGE_TOO_LARGE", `the message has over ${limit} ${what}`, { limit: String(limit), unit });
}

export function tooDeep(limit: number): TandemError {
  const message = `the message is nested over ${limit} levels deep`;
  return new TandemError("MESSAGE_TOO_LARGE", message, { limit: String(limit), unit: "levels" });
}
