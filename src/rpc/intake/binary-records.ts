import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { RecordProblem } from "../../domain/calls/field-checks.ts";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { MAX_RECORD_BYTES, recordProblem, tooManyBytes } from "../../upload/records/record-limits.ts";
import { type EncodedRecords, type RecordList, UnreadableRecord } from "../../upload/records/record-list.ts";
import { findBinaryFault, salvageBinary } from "./binary-faults.ts";
import { countBinary, type ElementBounds } from "./count-elements.ts";
import { KEEP_UNKNOWN_FIELDS } from "./unknown-fields.ts";
import { shapeOf } from "./wire-shape.ts";

/**
 * Reads a message of ordinary form from bytes `[start, end)`; undefined for one that must be left
 * to `fromBinary`.
 */
export type FastDecoder<T> = (bytes: Buffer, start: number, end: number) => T | undefined;

/** How records of one type are read. */
export interface RecordReader<T extends DescMessage> {
  readonly schema: T;
  readonly bounds: ElementBounds;
  readonly decodeFast?: FastDecoder<MessageShape<T>>;
}

/**
 * Records that are read from their bytes each time they are asked for, so that none is kept after
 * it was prepared.
 */
export class RecordsAsSent<T extends DescMessage> implements RecordList<MessageShape<T>> {
  readonly #read: ReadRecord<T>;
  readonly #bytes: Buffer;
  readonly #bounds: readonly number[];
  readonly encoded: EncodedRecords | undefined;

  /**
   * @param bounds the start and end of each record, one after the other.
   * @param isBinary whether the records are in binary form.
   */
  constructor(read: ReadRecord<T>, bytes: Buffer, bounds: readonly number[], isBinary: boolean) {
    this.#read = read;
    this.#bytes = bytes;
    this.#bounds = bounds;
    this.encoded = isBinary ? { bytes, bounds } : undefined;
  }

  get length(): number {
    return this.#bounds.length / 2;
  }

  get byteLength(): number {
    return this.#bytes.length;
  }

  at(index: number): MessageShape<T> | UnreadableRecord<MessageShape<T>> | undefined {
    const start = this.#bounds[index * 2];
    const end = this.#bounds[index * 2 + 1];
    return start === undefined || end === undefined ? undefined : this.#read(this.#bytes, start, end);
  }

  slice(start: number, end = this.length): RecordsAsSent<T> {
    const isBinary = this.encoded !== undefined;
    return new RecordsAsSent(this.#read, this.#bytes, this.#bounds.slice(start * 2, end * 2), isBinary);
  }
}

/** Reads the record in bytes `[start, end)`. */
export type ReadRecord<T extends DescMessage> = (
  bytes: Buffer,
  start: number,
  end: number,
) => MessageShape<T> | UnreadableRecord<MessageShape<T>>;

/** Records in binary form. */
export function readBinary<T extends DescMessage>(reader: RecordReader<T>): ReadRecord<T> {
  return (bytes, start, end) =>
    reader.decodeFast?.(bytes, start, end) ?? readRecord(reader, bytes.subarray(start, end));
}

/** The refusal of a record with more fields, items or levels than any needs. */
export function tooMuchInside(message: string): RecordProblem {
  return recordProblem(RecordIssue.TOO_LARGE, message.replace("the message", "the record"));
}

function readRecord<T extends DescMessage>(
  { schema, bounds }: RecordReader<T>,
  bytes: Uint8Array,
): MessageShape<T> | UnreadableRecord<MessageShape<T>> {
  const unreadable = (wrong: RecordProblem) => new UnreadableRecord(wrong, salvageBinary(schema, bytes), bytes);
  if (bytes.length > MAX_RECORD_BYTES) return unreadable(tooManyBytes(bytes.length));
  const fault = countFault(schema, bytes, bounds);
  if (fault) return unreadable(fault);
  try {
    return fromBinary(schema, bytes, KEEP_UNKNOWN_FIELDS.binaryOptions);
  } catch {
    return unreadable(findBinaryFault(schema, bytes) ?? NO_SUCH_RECORD);
  }
}

// protobuf-es reads by a field's type, whatever the wire type says: it is given only bytes that
// fit.
function countFault(schema: DescMessage, bytes: Uint8Array, bounds: ElementBounds): RecordProblem | undefined {
  try {
    countBinary(shapeOf(schema), bytes, bounds);
    return undefined;
  } catch (error) {
    const isTooMuch = error instanceof Error && "reason" in error && error.reason === "MESSAGE_TOO_LARGE";
    return isTooMuch ? tooMuchInside(error.message) : (findBinaryFault(schema, bytes) ?? NO_SUCH_RECORD);
  }
}

const NO_SUCH_RECORD = recordProblem(RecordIssue.UNREADABLE, "the record is no protobuf of its type");
