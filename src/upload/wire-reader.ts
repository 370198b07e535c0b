const NOTHING = Buffer.alloc(0);
/** Behind every end. */
const FAILED = 0x3fff_ffff;

/**
 * Reads protobuf wire format (protobuf.dev/programming-guides/encoding) where it has its ordinary form. At anything else it fails: it gives a zero or an
 * empty text, and its position is behind every end from then on.
 */
export class WireReader {
  position = 0;
  #bytes: Buffer = NOTHING;
  #text = "";
  #textStart = 0;

  /** Begins to read bytes `[start, end)`. */
  open(bytes: Buffer, start: number, end: number): void {
    this.position = start;
    this.#bytes = bytes;
    // All texts of a record from one call into the runtime: a part of a text costs next to nothing.
    this.#text = bytes.toString("latin1", start, end);
    this.#textStart = start;
  }

  fail(): void {
    this.position = FAILED;
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
        this.position = at;
        return value;
      }
      if (byte > 0xff || byte <= 0x7f) break;
    }
    return this.#failed();
  }

  /** The length of a part: returns where it ends. One that comes a second time would have to be merged, and fails. */
  part(earlier: unknown, end: number): number {
    const partEnd = this.uint31() + this.position;
    if (earlier === undefined && partEnd <= end) return partEnd;
    this.fail();
    return 0;
  }

  /** A text with its length, which ends by `end` and is ASCII. */
  ascii(end: number): string {
    const length = this.uint31();
    const start = this.position;
    const textEnd = start + length;
    const bytes = this.#bytes;
    let bits = textEnd > end ? 0x80 : 0;
    for (let at = start; at < textEnd && bits <= 0x7f; at++) bits |= bytes[at] ?? 0x80;
    if (bits > 0x7f) {
      this.fail();
      return "";
    }
    this.position = textEnd;
    return this.#text.slice(start - this.#textStart, textEnd - this.#textStart);
  }

  #failed(): 0 {
    this.fail();
    return 0;
  }
}
