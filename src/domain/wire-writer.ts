const INITIAL_BYTES = 8_192;
/** A buffer that one huge record made larger than this is given back. */
const KEPT_BYTES = 1_048_576;
const TWO_POW_32 = 4_294_967_296;
/** Up to this many characters, copying by hand beats a call into the runtime. */
const SHORT_TEXT = 48;

/**
 * Writes protobuf wire format (protobuf.dev/programming-guides/encoding) into one buffer that is
 * reused for each record: an upload encodes each record once, and a writer that allocates for each
 * message costs more than all the rest of preparing it.
 */
export class WireWriter {
  bytes: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  position = 0;

  /** Starts over. What `take` or `bytes` returned before is overwritten. */
  reset(): void {
    if (this.bytes.length > KEPT_BYTES) this.bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
    this.position = 0;
  }

  /** A copy of what was written from a position on. */
  copyFrom(start: number): Buffer {
    const copy = Buffer.allocUnsafe(this.position - start);
    this.bytes.copy(copy, 0, start, this.position);
    return copy;
  }

  /** What was written; valid until more is written. */
  written(): Buffer {
    return this.bytes.subarray(0, this.position);
  }

  /** Makes room for this many more bytes. */
  ensure(count: number): void {
    const needed = this.position + count;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.position);
    this.bytes = larger;
  }

  /** Bytes as they are. */
  raw(source: Uint8Array): void {
    this.ensure(source.length);
    this.bytes.set(source, this.position);
    this.position += source.length;
  }

  /** Bytes `[start, end)` of a buffer as they are. */
  rawPart(source: Buffer, start: number, end: number): void {
    this.ensure(end - start);
    this.position += source.copy(this.bytes, this.position, start, end);
  }

  /** An unsigned 32-bit varint: tags and lengths. */
  uint32(value: number): void {
    this.ensure(5);
    const { bytes } = this;
    let { position } = this;
    let rest = value;
    while (rest > 0x7f) {
      bytes[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[position++] = rest;
    this.position = position;
  }

  /** An int32 or an enum: a negative one takes ten bytes. */
  int32(value: number): void {
    if (value >= 0) this.uint32(value | 0);
    else this.#varint64(value | 0, 0xffff_ffff);
  }

  /** An int64. */
  int64(value: bigint): void {
    const number = Number(value);
    if (number >= 0 && number <= Number.MAX_SAFE_INTEGER) {
      if (number < 0x8000_0000) this.uint32(number);
      else this.#varint64(number >>> 0, (number / TWO_POW_32) >>> 0);
      return;
    }
    const unsigned = BigInt.asUintN(64, value);
    this.#varint64(Number(unsigned & 0xffff_ffffn), Number(unsigned >> 32n));
  }

  /** A double. */
  double(value: number): void {
    this.ensure(8);
    this.position = this.bytes.writeDoubleLE(value, this.position);
  }

  /** A string with its length; an unpaired surrogate becomes U+FFFD, as TextEncoder does it. */
  string(value: string): void {
    this.ensure(value.length * 3 + 5);
    if (value.length <= SHORT_TEXT && this.#shortAscii(value)) return;
    const mark = this.open();
    this.position += this.bytes.write(value, this.position, "utf8");
    this.close(mark);
  }

  /** Begins a length-delimited part, guessing that its length takes one byte. */
  open(): number {
    this.ensure(1);
    return this.position++;
  }

  /** Ends the part that `open` began. */
  close(mark: number): void {
    const length = this.position - mark - 1;
    if (length < 0x80) {
      this.bytes[mark] = length;
      return;
    }
    const shift = varintBytes(length) - 1;
    this.ensure(shift);
    this.bytes.copyWithin(mark + 1 + shift, mark + 1, this.position);
    this.position = mark;
    this.uint32(length);
    this.position += length;
  }

  #shortAscii(value: string): boolean {
    const { bytes, position } = this;
    for (let at = 0; at < value.length; at++) {
      const unit = value.charCodeAt(at);
      if (unit > 0x7f) return false;
      bytes[position + 1 + at] = unit;
    }
    bytes[position] = value.length;
    this.position = position + 1 + value.length;
    return true;
  }

  #varint64(lowWord: number, highWord: number): void {
    this.ensure(10);
    const { bytes } = this;
    let { position } = this;
    let low = lowWord >>> 0;
    let high = highWord >>> 0;
    while (high > 0 || low > 0x7f) {
      bytes[position++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    bytes[position++] = low;
    this.position = position;
  }
}

/** How many bytes a varint from 0 to 2^31 - 1 takes. */
export function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}
