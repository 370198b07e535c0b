import { TandemError } from "../../domain/errors.ts";
import { type MessageShape, Wire } from "./wire-shape.ts";

/** What a message consists of. */
export interface ElementCount {
  /**
   * Fields, items, entries and messages; of JSON: values. A field that comes twice counts twice.
   */
  readonly elements: number;
  /**
   * Of these, what becomes an object of its own: messages, entries, fields that are not known; of
   * JSON: objects and lists.
   */
  readonly objects: number;
}

/** The most that a message may consist of. */
export interface ElementBounds {
  readonly maxElements: number;
  readonly maxObjects: number;
}

/** Records within a message, each of which is judged for itself. */
export interface CountedRecords {
  readonly shape: MessageShape;
  readonly bounds: ElementBounds;
  /** With more of them, the message is refused whatever they are. */
  readonly most: number;
}

/** The most levels of messages within messages. The contract needs six. */
export const MAX_DEPTH = 32;
/** The same of JSON, where a list is a level of its own. */
const MAX_JSON_DEPTH = 2 * MAX_DEPTH;

/**
 * Counts the elements of a message in its binary form, before anything is made of it. One pass,
 * which allocates nothing for an element. Each field is read as its type says, which is how it will
 * be decoded: bytes that do not fit are refused, so that no other reading can find more.
 * @param records what is wrong with one of them is no fault of the message
 * @throws TandemError MESSAGE_TOO_LARGE, INVALID_ARGUMENT
 */
export function countBinary(
  shape: MessageShape,
  bytes: Uint8Array,
  bounds: ElementBounds,
  records?: CountedRecords,
): ElementCount {
  const counter = new BinaryCounter(bytes, bounds, records);
  counter.message(shape, bytes.length, 1);
  return counter;
}

class BinaryCounter implements ElementCount {
  elements = 0;
  objects = 0;
  readonly #bytes: Uint8Array;
  readonly #bounds: ElementBounds;
  readonly #records: CountedRecords | undefined;
  #recordCount = 0;
  #position = 0;

  constructor(bytes: Uint8Array, bounds: ElementBounds, records?: CountedRecords) {
    this.#bytes = bytes;
    this.#bounds = bounds;
    this.#records = records;
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
    // protobuf-es reads by the field's type, whatever the wire says: what it would make of this is
    // not what was counted.
    if (wire !== Wire.DELIMITED || field.packed < 0) throw unreadable();
    this.#packed(field.packed, this.#length(end));
  }

  #inner(shape: MessageShape, end: number, depth: number): void {
    const innerEnd = this.#length(end);
    this.#countObject();
    if (shape === this.#records?.shape && ++this.#recordCount <= this.#records.most)
      this.#record(this.#records, innerEnd);
    else this.message(shape, innerEnd, depth + 1);
  }

  // Of one that cannot be read, or has too much in it, nothing will be made.
  #record({ shape, bounds }: CountedRecords, end: number): void {
    const record = this.#bytes.subarray(this.#position, end);
    const own = countIfSound(() => countBinary(shape, record, bounds));
    this.#position = end;
    this.#add(own);
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
        if (inner >>> 3 !== tag >>> 3) throw unreadable();
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
        throw unreadable();
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
    if (length % size !== 0) throw unreadable();
    this.#count(length / size);
    this.#position = end;
  }

  #count(elements: number): void {
    this.elements += elements;
    if (this.elements > this.#bounds.maxElements) throw tooMany(this.#bounds.maxElements, "elements");
  }

  #add({ elements, objects }: ElementCount): void {
    this.#count(elements);
    this.objects += objects - 1;
    this.#countObject();
  }

  #countObject(): void {
    this.objects += 1;
    if (this.objects > this.#bounds.maxObjects) throw tooMany(this.#bounds.maxObjects, "objects");
  }

  #advance(bytes: number, end: number): void {
    this.#position += bytes;
    if (this.#position > end) throw unreadable();
  }

  // A tag has at most 32 bits and a field number.
  #tag(end: number): number {
    const start = this.#position;
    const tag = this.#varint(end);
    if (this.#position - start > 5 || tag > 0xffff_ffff || tag >>> 3 === 0) throw unreadable();
    return tag;
  }

  /** The end of what begins with its length. */
  #length(end: number): number {
    const innerEnd = this.#varint(end) + this.#position;
    if (innerEnd > end) throw unreadable();
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
    throw unreadable();
  }

  #skipVarint(end: number): void {
    for (let size = 0; size < MAX_VARINT_BYTES && this.#position < end; size++) {
      if ((this.#bytes[this.#position++] as number) < 0x80) return;
    }
    throw unreadable();
  }
}

const NOTHING: ElementCount = { elements: 0, objects: 0 };

/** What a count comes to; nothing, when what is counted is to be refused. */
export function countIfSound(count: () => ElementCount): ElementCount {
  try {
    return count();
  } catch (error) {
    if (error instanceof TandemError) return NOTHING;
    throw error;
  }
}

const MAX_VARINT_BYTES = 10;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);
const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** What each byte is, outside a text. */
const KIND = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === QUOTE) return 1;
  if (OPEN.has(byte)) return 2;
  if (CLOSE.has(byte)) return 3;
  if (byte === COLON) return 4;
  return byte === COMMA || SPACE.has(byte) ? 5 : 0;
});

/**
 * Counts the values of a message in JSON, before it is parsed. Of what is not JSON, it counts at
 * least as many as a parser makes before it sees that.
 * @param countCommas whether commas within texts count, escaped ones too: the text of a field mask
 *   becomes as many paths.
 * @throws TandemError MESSAGE_TOO_LARGE
 */
export function countJson(bytes: Uint8Array, bounds: ElementBounds, countCommas = false): ElementCount {
  const counter = new JsonCounter(bounds, countCommas);
  counter.read(bytes);
  return counter;
}

class JsonCounter implements ElementCount {
  elements = 0;
  objects = 0;
  readonly #bounds: ElementBounds;
  readonly #countCommas: boolean;
  #depth = 0;

  constructor(bounds: ElementBounds, countCommas: boolean) {
    this.#bounds = bounds;
    this.#countCommas = countCommas;
  }

  read(bytes: Uint8Array): void {
    let isInWord = false;
    for (let position = 0; position < bytes.length; position++) {
      const kind = KIND[bytes[position] as number];
      if (kind === 0) {
        // A number or a word is one value, however long.
        if (!isInWord) this.#count(1);
        isInWord = true;
        continue;
      }
      isInWord = false;
      if (kind === 1) position = this.#text(bytes, position + 1);
      else if (kind === 2) this.#open();
      else if (kind === 3) this.#depth -= 1;
      // What came before was a name, and no value.
      else if (kind === 4) this.elements -= 1;
    }
    if (this.elements > this.#bounds.maxElements) throw tooMany(this.#bounds.maxElements, "elements");
  }

  #text(bytes: Uint8Array, start: number): number {
    const end = endOfText(bytes, start);
    this.#count(1 + (this.#countCommas ? commasIn(bytes, start, end) : 0));
    return end;
  }

  #open(): void {
    this.#count(1);
    this.#depth += 1;
    this.objects += 1;
    if (this.#depth > MAX_JSON_DEPTH) throw tooDeep(MAX_JSON_DEPTH);
    if (this.objects > this.#bounds.maxObjects) throw tooMany(this.#bounds.maxObjects, "objects");
  }

  #count(elements: number): void {
    this.elements += elements;
    // A name that its colon has not yet taken back is one too many.
    if (this.elements > this.#bounds.maxElements + 1) throw tooMany(this.#bounds.maxElements, "elements");
  }
}

/** Where the quote is that ends a text; the end of all, if there is none. */
function endOfText(bytes: Uint8Array, start: number): number {
  let position = start;
  while (position < bytes.length && bytes[position] !== QUOTE) position += bytes[position] === BACKSLASH ? 2 : 1;
  return position;
}

function commasIn(bytes: Uint8Array, start: number, end: number): number {
  // No further than the text: behind it, each of many short ones would look through all of the
  // message.
  const text = bytes.subarray(start, end);
  let count = 0;
  for (let at = text.indexOf(COMMA); at >= 0; at = text.indexOf(COMMA, at + 1)) count++;
  for (let at = text.indexOf(BACKSLASH); at >= 0; at = text.indexOf(BACKSLASH, at + 2))
    if (isEscapedComma(text, at)) count++;
  return count;
}

/** Whether `\u002c` stands there, its last letter in either case. */
function isEscapedComma(text: Uint8Array, at: number): boolean {
  const last = text[at + ESCAPED_COMMA.length] ?? 0;
  return ESCAPED_COMMA.every((byte, index) => byte === text[at + index]) && (last | 0x20) === 0x63;
}

const ESCAPED_COMMA = Buffer.from("\\u002");

function tooMany(limit: number, unit: "elements" | "objects"): TandemError {
  const what = unit === "elements" ? "fields, items and values" : "messages, objects and lists";
  return new TandemError("MESSAGE_TOO_LARGE", `the message has over ${limit} ${what}`, { limit: String(limit), unit });
}

function tooDeep(limit: number): TandemError {
  const message = `the message is nested over ${limit} levels deep`;
  return new TandemError("MESSAGE_TOO_LARGE", message, { limit: String(limit), unit: "levels" });
}

function unreadable(): TandemError {
  return new TandemError("INVALID_ARGUMENT", "the message is not valid for this method", { field: "" });
}
