import type { DescField, DescMessage } from "@bufbuild/protobuf";

/** What the value of a field must be for a record to be ordinary. */
type ValueForm =
  | { readonly kind: typeof TEXT; readonly most: number; readonly lowest: number }
  | { readonly kind: typeof WHOLE; readonly least: number; readonly most: number }
  | { readonly kind: typeof NUMBER };

/** The fields of a message that an ordinary record may have, by name. */
export interface MessageForm {
  readonly [field: string]: ValueForm | MessageForm;
}

const TEXT = 1;
const WHOLE = 2;
const NUMBER = 3;
const MESSAGE = 4;

/** ASCII without NUL, 1 to `most` characters. */
export function text(most: number): ValueForm {
  return { kind: TEXT, most, lowest: 0x01 };
}

/** Printable ASCII without spaces, 1 to `most` characters. */
export function visible(most: number): ValueForm {
  return { kind: TEXT, most, lowest: 0x21 };
}

/** An integer, an enum or a boolean. */
export function whole(least: number, most: number): ValueForm {
  return { kind: WHOLE, least, most };
}

/** A telephone number in E.164 form. It is read as a number as well, without its plus. */
export const e164: ValueForm = { kind: NUMBER };

/** How the messages of one type are read. Arrays are by tag. */
interface Plan {
  readonly kinds: Uint8Array;
  readonly slots: Uint8Array;
  readonly least: Float64Array;
  readonly most: Float64Array;
  readonly inner: (Plan | undefined)[];
}

/** Tags of one or two bytes, up to field number 31. */
const MAX_TAGS = 256;
/** google.protobuf.FeatureSet.FieldPresence.IMPLICIT */
const IMPLICIT_PRESENCE = 2;
const ABSENT = -1;

/**
 * Tells whether encoded messages are of an ordinary form, and where their fields are. It makes no
 * object for a message. Ordinary is what an encoder writes: each field once, in order, in its
 * shortest form, nothing that may be left out; only fields that are listed, with values in their
 * bounds, and texts in ASCII. Everything else, right or wrong, is for others to read.
 *
 * Fields are found by their slots: `numbers` has values, `starts` and `ends` have where texts and
 * messages are. All are -1 where a field is absent.
 */
export class OrdinaryForm {
  readonly numbers: Float64Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly #plan: Plan;
  readonly #slots = new Map<string, number>();
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(schema: DescMessage, form: MessageForm) {
    this.#plan = this.#compile(schema, form, "");
    this.numbers = new Float64Array(this.#slots.size);
    this.starts = new Int32Array(this.#slots.size);
    this.ends = new Int32Array(this.#slots.size);
  }

  /** The slot of a field, by its path of names. */
  slot(path: string): number {
    const slot = this.#slots.get(path);
    if (slot === undefined) throw new Error(`${path} is in no ordinary record`);
    return slot;
  }

  /** Whether bytes `[start, end)` are an ordinary record. If so, its fields can be looked up. */
  matches(bytes: Buffer, start: number, end: number): boolean {
    this.numbers.fill(ABSENT);
    this.starts.fill(ABSENT);
    this.#bytes = bytes;
    this.#at = start;
    return this.#message(this.#plan, end);
  }

  #message(plan: Plan, end: number): boolean {
    let last = 0;
    while (this.#at < end) {
      const tag = this.#tag(end);
      const kind = plan.kinds[tag] as number;
      if (tag <= last || !this.#field(plan, tag, kind, end)) return false;
      last = tag;
    }
    return this.#at === end;
  }

  #field(plan: Plan, tag: number, kind: number, end: number): boolean {
    const slot = plan.slots[tag] as number;
    const most = plan.most[tag] as number;
    switch (kind) {
      case TEXT:
        return this.#text(slot, most, plan.least[tag] as number, end);
      case WHOLE: {
        const value = this.#varint(end);
        this.numbers[slot] = value;
        return value >= (plan.least[tag] as number) && value <= most;
      }
      case NUMBER:
        return this.#number(slot, end);
      case MESSAGE: {
        const partEnd = this.#part(slot, end);
        return partEnd <= end && this.#message(plan.inner[tag] as Plan, partEnd);
      }
      default:
        return false;
    }
  }

  // 0: none that may be.
  #tag(end: number): number {
    const first = this.#bytes[this.#at++] as number;
    if (first < 0x80) return first;
    if (this.#at >= end) return 0;
    const second = this.#bytes[this.#at++] as number;
    return second === 1 ? first : 0;
  }

  // In its shortest form; -1: it is not, or is over 2^53.
  #varint(end: number): number {
    const bytes = this.#bytes;
    let at = this.#at;
    let byte = at < end ? (bytes[at++] as number) : 0x80;
    let value = byte & 0x7f;
    for (let scale = 128; byte > 0x7f; scale *= 128) {
      if (at >= end || scale > 2 ** 49) return -1;
      byte = bytes[at++] as number;
      if (byte === 0) return -1;
      value += (byte & 0x7f) * scale;
    }
    this.#at = at;
    return value <= Number.MAX_SAFE_INTEGER ? value : -1;
  }

  #text(slot: number, most: number, lowest: number, end: number): boolean {
    const length = this.#varint(end);
    const start = this.#at;
    const textEnd = start + length;
    if (length < 1 || length > most || textEnd > end) return false;
    const bytes = this.#bytes;
    // A space is below what is visible, and DEL above.
    const highest = lowest > 0x20 ? 0x7e : 0x7f;
    for (let at = start; at < textEnd; at++) {
      const byte = bytes[at] as number;
      if (byte < lowest || byte > highest) return false;
    }
    this.#found(slot, start, textEnd);
    return true;
  }

  // + and 2 to 15 digits, the first not 0.
  #number(slot: number, end: number): boolean {
    const length = this.#varint(end);
    const bytes = this.#bytes;
    const start = this.#at;
    const numberEnd = start + length;
    if (length < 3 || length > 16 || numberEnd > end) return false;
    if (bytes[start] !== 0x2b || bytes[start + 1] === 0x30) return false;
    let value = 0;
    for (let at = start + 1; at < numberEnd; at++) {
      const digit = (bytes[at] as number) - 0x30;
      if (digit < 0 || digit > 9) return false;
      value = value * 10 + digit;
    }
    this.numbers[slot] = value;
    this.#found(slot, start, numberEnd);
    return true;
  }

  // Where a message ends. Past `end`: it does not.
  #part(slot: number, end: number): number {
    const length = this.#varint(end);
    const partEnd = length < 0 ? end + 1 : this.#at + length;
    this.starts[slot] = this.#at;
    this.ends[slot] = partEnd;
    return partEnd;
  }

  #found(slot: number, start: number, end: number): void {
    this.starts[slot] = start;
    this.ends[slot] = end;
    this.#at = end;
  }

  #compile(schema: DescMessage, form: MessageForm, path: string): Plan {
    const plan: Plan = {
      kinds: new Uint8Array(MAX_TAGS),
      slots: new Uint8Array(MAX_TAGS),
      least: new Float64Array(MAX_TAGS),
      most: new Float64Array(MAX_TAGS),
      inner: [],
    };
    for (const [name, value] of Object.entries(form)) {
      const field = schema.fields.find((each) => each.name === name);
      if (!field) throw new Error(`${schema.typeName} has no field ${name}`);
      this.#compileField(plan, field, value, path + name);
    }
    return plan;
  }

  #compileField(plan: Plan, field: DescField, value: ValueForm | MessageForm, path: string): void {
    const slot = this.#slots.size;
    this.#slots.set(path, slot);
    const kind = isValue(value) ? value.kind : MESSAGE;
    const tag = (field.number << 3) | WIRE_TYPES[kind];
    plan.kinds[tag] = kind;
    plan.slots[tag] = slot;
    if (!isValue(value)) {
      if (field.message) plan.inner[tag] = this.#compile(field.message, value, `${path}.`);
    } else if (value.kind === TEXT) {
      plan.least[tag] = value.lowest;
      plan.most[tag] = value.most;
    } else if (value.kind !== NUMBER) {
      // A field without presence is not written when it is zero.
      plan.least[tag] = field.presence === IMPLICIT_PRESENCE ? Math.max(1, value.least) : value.least;
      plan.most[tag] = value.most;
    }
  }
}

/** Wire types, by kind. */
const WIRE_TYPES = { [TEXT]: 2, [WHOLE]: 0, [NUMBER]: 2, [MESSAGE]: 2 } as const;

function isValue(value: ValueForm | MessageForm): value is ValueForm {
  return typeof value["kind"] === "number";
}
