import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { TandemError } from "../domain/errors.ts";

/** The records of a batch. An array is one. */
export interface RecordList<Message> {
  readonly length: number;
  /** How many bytes are kept for them, as far as that is known. */
  readonly byteLength?: number;
  at(index: number): Message | undefined;
}

/** Reads a message of ordinary form from bytes `[start, end)`; undefined for one that must be left to `fromBinary`. */
export type FastDecoder<T> = (bytes: Buffer, start: number, end: number) => T | undefined;

/** A batch as it came over the wire, its records not read yet. */
export interface EncodedBatch<Message> {
  firstOffset: bigint;
  records: RecordList<Message>;
}

const FIRST_OFFSET_TAG = 0x08;
const RECORD_TAG = 0x12;

/**
 * Reads where the records of a batch begin and end: a message with `int64 first_offset = 1` and repeated records as field 2. Undefined when it holds
 * anything else, or nothing that could be read.
 */
export function splitBatch<T extends DescMessage>(
  schema: T,
  decode: FastDecoder<MessageShape<T>>,
  bytes: Buffer,
): EncodedBatch<MessageShape<T>> | undefined {
  const bounds: number[] = [];
  let firstOffset = 0;
  let position = 0;
  while (position < bytes.length) {
    const tag = bytes[position++];
    if (tag !== FIRST_OFFSET_TAG && tag !== RECORD_TAG) return undefined;
    const varint = readVarint(bytes, position);
    if (varint === undefined) return undefined;
    position = varint.end;
    if (tag === FIRST_OFFSET_TAG) firstOffset = varint.value;
    else {
      bounds.push(position, position + varint.value);
      position += varint.value;
    }
  }
  if (position !== bytes.length) return undefined;
  return { firstOffset: BigInt(firstOffset), records: new EncodedRecords(schema, decode, bytes, bounds) };
}

/** Records that are read each time they are asked for, so that none is kept once it has been prepared. */
class EncodedRecords<T extends DescMessage> implements RecordList<MessageShape<T>> {
  readonly length: number;
  readonly #schema: T;
  readonly #decode: FastDecoder<MessageShape<T>>;
  readonly #bytes: Buffer;
  readonly #bounds: readonly number[];

  get byteLength(): number {
    return this.#bytes.length;
  }

  constructor(schema: T, decode: FastDecoder<MessageShape<T>>, bytes: Buffer, bounds: readonly number[]) {
    this.length = bounds.length / 2;
    this.#schema = schema;
    this.#decode = decode;
    this.#bytes = bytes;
    this.#bounds = bounds;
  }

  at(index: number): MessageShape<T> | undefined {
    const start = this.#bounds[index * 2];
    const end = this.#bounds[index * 2 + 1];
    if (start === undefined || end === undefined) return undefined;
    return this.#decode(this.#bytes, start, end) ?? this.#decodeAny(index, this.#bytes.subarray(start, end));
  }

  #decodeAny(index: number, bytes: Buffer): MessageShape<T> {
    try {
      return fromBinary(this.#schema, bytes);
    } catch (cause) {
      throw malformed(`record ${index} of the batch`, cause);
    }
  }
}

/** The error of a message that is not what the method takes. */
export function malformed(what: string, cause: unknown): TandemError {
  return new TandemError(
    "INVALID_ARGUMENT",
    `${what} is not what the method takes: no protobuf of its type`,
    { field: "" },
    { cause },
  );
}

function readVarint(bytes: Buffer, start: number): { value: number; end: number } | undefined {
  let value = 0;
  let scale = 1;
  for (let position = start; position < start + 8; position++) {
    const byte = bytes[position];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? { value, end: position + 1 } : undefined;
    scale *= 128;
  }
  return undefined;
}
