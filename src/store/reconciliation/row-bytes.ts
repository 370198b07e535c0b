import { DAY_MS, msFromMicros } from "../../domain/time/instant.ts";

// Rows as bytes in one value: `SELECT string_agg(record_send(t), '') FROM (...) t`. Thousands of
// rows are read so in a fraction of the time that a text for each of their values takes. Layout
// (record_send in rowtypes.c): the number of columns; then each column's type, its length (-1 for
// null) and its bytes, all big-endian.

const POSTGRES_EPOCH_MS = 946_684_800_000;
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n;
/** Of the upper half of an instant: beyond, microseconds do not fit a number. */
const MOST_SECONDS = 2 ** 20;

/** Reads rows value by value, in the order of their columns. */
export class RowBytes {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #days = new Map<number, string>();
  #at = 0;

  /** @param bytes undefined: no rows. */
  constructor(bytes: Buffer | undefined) {
    this.#bytes = bytes ?? Buffer.alloc(0);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  }

  /** Begins the next row; false: there is none. */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false;
    this.#at += 4;
    return true;
  }

  /** Of a column that is not null. */
  int2(): number {
    this.#length();
    const value = this.#view.getInt16(this.#at);
    this.#at += 2;
    return value;
  }

  /** Of a column that is not null. */
  int4(): number {
    this.#length();
    const value = this.#view.getInt32(this.#at);
    this.#at += 4;
    return value;
  }

  /** Of a column that is not null. */
  text(): string {
    return this.textOrNull() ?? "";
  }

  textOrNull(): string | undefined {
    const length = this.#length();
    if (length < 0) return undefined;
    const start = this.#at;
    this.#at += length;
    return this.#bytes.toString("utf8", start, this.#at);
  }

  /** A date that is not null, `YYYY-MM-DD`. */
  day(): string {
    const number = this.int4();
    const known = this.#days.get(number);
    if (known !== undefined) return known;
    const day = new Date(POSTGRES_EPOCH_MS + number * DAY_MS).toISOString().slice(0, 10);
    this.#days.set(number, day);
    return day;
  }

  /** A timestamptz in milliseconds since 1970, rounded down. */
  msOrNull(): number | undefined {
    if (this.#length() < 0) return undefined;
    const high = this.#view.getInt32(this.#at);
    const low = this.#view.getUint32(this.#at + 4);
    this.#at += 8;
    if (Math.abs(high) < MOST_SECONDS) return POSTGRES_EPOCH_MS + Math.floor((high * 2 ** 32 + low) / 1_000);
    return msFromMicros(this.#view.getBigInt64(this.#at - 8) + POSTGRES_EPOCH_MICROS);
  }

  /** Of a column that is not null: a part of all bytes. */
  bytes(): Buffer {
    const length = this.#length();
    const start = this.#at;
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }

  // Behind the type.
  #length(): number {
    const length = this.#view.getInt32(this.#at + 4);
    this.#at += 8;
    return length;
  }
}
