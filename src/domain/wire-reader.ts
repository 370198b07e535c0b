const NOTHING = Buffer.alloc(0);
/** A position past every end. */
const FAILED = 0x3fff_ffff;

/**
 * Reads protobuf wire format (protobuf.dev/programming-guides/encoding) in its ordinary form. At
 * anything else it fails: it returns zero or an empty text, and its position is past every end from
 * then on.
 */
export class WireReader {
  position = 0;
  /**
   * Whether every part so far was written as an encoder writes it: numbers in their shortest form,
   * nothing that may be left out.
   */
  isCanonical = true;
  #bytes: Buffer = NOTHING;
  #text = "";
  #textStart = 0;

  /** Begins to read bytes `[start, end)`. */
  open(bytes: Buffer, start: number, end: number): void {
    this.position = start;
    this.isCanonical = true;
    this.#bytes = bytes;
    // One call into the runtime for all texts of a record: substrings cost next to nothing.
    this.#text = bytes.toString("latin1", start, end);
    this.#textStart = start;
  }

  fail(): void {
    this.position = FAILED;
  }

  /** The next field's tag. An encoder writes fields in the order of their tags. */
  tagAfter(last: number): number {
    const tag = this.uint31();
    if (tag <= last) this.isCanonical = false;
    return tag;
  }

  /** A varint from 0 to 2^31 - 1. */
  uint31(): number {
    const bytes = this.#bytes;
    let at = this.position;
    let byte = bytes[at++] ?? FAILED;
    let value = byte & 0x7f;
    for (let shift = 7; byte > 0x7f; shift += 7) {
      byte = bytes[at++] ?? FAILED;
      if (byte > 0xff || shift > 28 || (shift === 28 && byte > 7)) return this.#failed();
      value |= (byte & 0x7f) << shift;
      if (byte === 0) this.isCanonical = false;
    }
    this.position = at;
    return value;
  }

  /** A varint from 0 to 2^53 - 1. */
  uint53(): number {
    const bytes = this.#bytes;
    let at = this.position;
    let value = 0;
    for (let scale = 1; scale < 2 ** 56; scale *= 128) {
      const byte = bytes[at++] ?? FAILED;
      value += (byte & 0x7f) * scale;
      if (byte <= 0x7f && value <= Number.MAX_SAFE_INTEGER) {
        if (byte === 0 && scale > 1) this.isCanonical = false;
        this.position = at;
        return value;
      }
      if (byte > 0xff || byte <= 0x7f) break;
    }
    return this.#failed();
  }

  /** A boolean: 0 or 1. */
  bool(): boolean {
    const value = this.uint31();
    if (value > 1) this.fail();
    return value === 1;
  }

  /** A double. */
  double(end: number): number {
    const at = this.position;
    this.position = at + 8;
    if (at + 8 <= end) return this.#bytes.readDoubleLE(at);
    return this.#failed();
  }

  /**
   * Reads the length of a part and returns where it ends. A second part for one field would have to
   * be merged, and fails.
   */
  part(earlier: unknown, end: number): number {
    const partEnd = this.uint31() + this.position;
    if (earlier === undefined && partEnd <= end) return partEnd;
    this.fail();
    return 0;
  }

  /** A text with its length, which ends by `end` and is ASCII. */
  ascii(end: number): string {
    const start = this.#skipAscii(end);
    return start < 0 ? "" : this.#text.slice(start - this.#textStart, this.position - this.#textStart);
  }

  /**
   * As `ascii`, for a text that outlives the record: a copy, since a substring would keep the whole
   * record's text alive.
   */
  asciiCopy(end: number): string {
    const start = this.#skipAscii(end);
    return start < 0 ? "" : this.#bytes.toString("latin1", start, this.position);
  }

  // Moves past a text; its start, or -1 if it fails.
  #skipAscii(end: number): number {
    const length = this.uint31();
    const start = this.position;
    const textEnd = start + length;
    const bytes = this.#bytes;
    let bits = textEnd > end ? 0x80 : 0;
    for (let at = start; at < textEnd && bits <= 0x7f; at++) bits |= bytes[at] ?? 0x80;
    if (bits > 0x7f) {
      this.fail();
      return -1;
    }
    this.position = textEnd;
    return start;
  }

  /** Passes over a field of any type that encoders still write. */
  skip(tag: number, end: number): void {
    const bytes = this.#bytes;
    const type = tag & 7;
    if (type === 0) {
      while ((bytes[this.position++] ?? 0) > 0x7f);
    } else if (type === 2) {
      const length = this.uint31();
      this.position += length;
    } else if (type === 1 || type === 5) this.position += type === 1 ? 8 : 4;
    else this.fail();
    if (this.position > end) this.fail();
  }

  #failed(): 0 {
    this.fail();
    return 0;
  }
}
