import type { Micros } from "../domain/instant.ts";

// A column of values as one parameter in PostgreSQL's binary array format (array_recv in arrayfuncs.c): pg sends a Buffer as it is, so that
// neither side builds or parses text. The layout: dimensions, has-null flag, element type, length, lower bound; then each element as its length
// (-1 for null) and its bytes, all big-endian.

const OID = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  float8: 701,
  date: 1082,
  timestamptz: 1184,
} as const;
const HEADER_BYTES = 20;
/** 2000-01-01 in microseconds since 1970, from which PostgreSQL counts. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n;
const POSTGRES_EPOCH_DAYS = 10_957;

/** An int8[] parameter. */
export function int8Array(values: readonly (bigint | null)[]): Buffer {
  return fixedArray(OID.int8, 8, values, (buffer, at, value) => buffer.writeBigInt64BE(value, at));
}

/** An int4[] parameter. */
export function int4Array(values: readonly (number | null)[]): Buffer {
  return fixedArray(OID.int4, 4, values, (buffer, at, value) => buffer.writeInt32BE(value, at));
}

/** An int2[] parameter. */
export function int2Array(values: readonly (number | null)[]): Buffer {
  return fixedArray(OID.int2, 2, values, (buffer, at, value) => buffer.writeInt16BE(value, at));
}

/** A float8[] parameter. */
export function float8Array(values: readonly (number | null)[]): Buffer {
  return fixedArray(OID.float8, 8, values, (buffer, at, value) => buffer.writeDoubleBE(value, at));
}

/** A boolean[] parameter. */
export function boolArray(values: readonly (boolean | null)[]): Buffer {
  return fixedArray(OID.bool, 1, values, (buffer, at, value) => buffer.writeUInt8(value ? 1 : 0, at));
}

/** A timestamptz[] parameter. */
export function timestamptzArray(values: readonly (Micros | null)[]): Buffer {
  return fixedArray(OID.timestamptz, 8, values, (buffer, at, value) =>
    buffer.writeBigInt64BE(value - POSTGRES_EPOCH_MICROS, at),
  );
}

/** A date[] parameter of days `YYYY-MM-DD`. */
export function dateArray(values: readonly string[]): Buffer {
  const days = new Map<string, number>();
  return fixedArray(OID.date, 4, values, (buffer, at, value) => {
    let day = days.get(value);
    if (day === undefined) {
      day = Date.parse(`${value}T00:00:00Z`) / 86_400_000 - POSTGRES_EPOCH_DAYS;
      days.set(value, day);
    }
    buffer.writeInt32BE(day, at);
  });
}

/** A text[] parameter. The values hold no NUL: they were refused at the edge. */
export function textArray(values: readonly (string | null)[]): Buffer {
  const widest = values.reduce((sum, value) => sum + 4 + (value === null ? 0 : value.length * 3), HEADER_BYTES);
  const buffer = Buffer.allocUnsafe(widest);
  let at = writeHeader(buffer, OID.text, values.length);
  for (const value of values) {
    if (value === null) {
      at = buffer.writeInt32BE(-1, at);
      continue;
    }
    const length = buffer.write(value, at + 4, "utf8");
    buffer.writeInt32BE(length, at);
    at += 4 + length;
  }
  return buffer.subarray(0, at);
}

/** A bytea[] parameter. */
export function byteaArray(values: readonly Uint8Array[]): Buffer {
  const bytes = values.reduce((sum, value) => sum + 4 + value.length, HEADER_BYTES);
  const buffer = Buffer.allocUnsafe(bytes);
  let at = writeHeader(buffer, OID.bytea, values.length);
  for (const value of values) {
    at = buffer.writeInt32BE(value.length, at);
    buffer.set(value, at);
    at += value.length;
  }
  return buffer;
}

function fixedArray<T>(
  oid: number,
  width: number,
  values: readonly (T | null)[],
  write: (buffer: Buffer, at: number, value: T) => void,
): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + values.length * (4 + width));
  let at = writeHeader(buffer, oid, values.length);
  for (const value of values) {
    if (value === null) {
      at = buffer.writeInt32BE(-1, at);
      continue;
    }
    at = buffer.writeInt32BE(width, at);
    write(buffer, at, value);
    at += width;
  }
  return buffer.subarray(0, at);
}

// An empty array has no dimension at all.
function writeHeader(buffer: Buffer, oid: number, length: number): number {
  buffer.writeInt32BE(length === 0 ? 0 : 1, 0);
  buffer.writeInt32BE(1, 4);
  buffer.writeInt32BE(oid, 8);
  if (length === 0) return 12;
  buffer.writeInt32BE(length, 12);
  buffer.writeInt32BE(1, 16);
  return HEADER_BYTES;
}
