import { create, type DescMessage, fromBinary, type MessageShape, type UnknownField } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Micros, timestampFromMicros } from "../domain/time/instant.ts";
import { WireWriter } from "../domain/wire-writer.ts";
import { ErasureEntrySchema } from "../gen/tandem/type/v1/erasure_pb.js";

/** An entry as a feed stores it: encoded but for its position. */
interface ForwardedEntry {
  readonly sequence: bigint;
  readonly ingestTime: Micros;
}

/** Where a message says its position in the feed: the numbers of its fields. */
interface PositionFields {
  readonly sequence: { readonly number: number };
  readonly time: { readonly number: number };
}

/** How the stored entries of a feed become the entries of its batch message. */
export interface ForwardedFeed<Batch extends DescMessage, Stored> {
  readonly batch: Batch;
  /** The batch's field of entries. */
  readonly entries: { readonly number: number };
  /** The field of an entry that holds a record, and where a record says its position. */
  readonly record: PositionFields & { readonly field: { readonly number: number } };
  /** The field of an entry that holds an erasure. */
  readonly erasure: { readonly number: number };
  readonly isErasure: (stored: Stored) => boolean;
  /** What is stored, in parts that merge when they are joined. */
  readonly encodedParts: (stored: Stored) => Uint8Array[];
}

/**
 * Makes batches of stored bytes, which are forwarded and not decoded. For binary responses the
 * encoded entries go into the batch as a field that Protobuf-ES does not know and writes as it is;
 * JSON needs the decoded messages.
 */
export function forwardEntries<Batch extends DescMessage, Stored extends ForwardedEntry>(
  feed: ForwardedFeed<Batch, Stored>,
) {
  const { sequence, ingestTime: time } = ErasureEntrySchema.field;
  const erasure = { field: feed.erasure, sequence, time };
  const kindOf = (stored: Stored) => (feed.isErasure(stored) ? erasure : feed.record);
  // In parts that are to be joined: behind what is stored, the position.
  const partsOf = (stored: Stored): Uint8Array[] => {
    const parts = feed.encodedParts(stored);
    parts.push(encodePosition(kindOf(stored), stored));
    return parts;
  };
  const encode = (entries: readonly Stored[]): Uint8Array => {
    writer.reset();
    for (const entry of entries) {
      const kind = kindOf(entry);
      const mark = openPart(feed.entries.number);
      const inner = openPart(kind.field.number);
      for (const part of feed.encodedParts(entry)) writer.raw(part);
      writePosition(kind, entry);
      writer.close(inner);
      writer.close(mark);
    }
    return writer.copyFrom(0);
  };
  // Streams of one carrier share the newest pages, and so their encoding.
  const encodedBatches = new WeakMap<readonly Stored[], MessageShape<Batch>>();
  const batchOf = (entries: readonly Stored[], format: "binary" | "json"): MessageShape<Batch> => {
    if (format === "json") return fromBinary(feed.batch, encode(entries));
    const known = encodedBatches.get(entries);
    if (known) return known;
    const batch = create(feed.batch);
    if (entries.length > 0) batch.$unknown = [unknownField(feed.entries.number, encode(entries))];
    encodedBatches.set(entries, batch);
    return batch;
  };
  return { batchOf, partsOf };
}

// Shared: a batch is written in one go.
const writer = new WireWriter();

function encodePosition(fields: PositionFields, entry: ForwardedEntry): Uint8Array {
  writer.reset();
  writePosition(fields, entry);
  return writer.copyFrom(0);
}

function writePosition(fields: PositionFields, { sequence, ingestTime }: ForwardedEntry): void {
  const { seconds, nanos } = timestampFromMicros(ingestTime);
  writer.uint32((fields.sequence.number << 3) | WireType.Varint);
  writer.int64(sequence);
  const time = openPart(fields.time.number);
  writer.uint32((SECONDS << 3) | WireType.Varint);
  writer.int64(seconds);
  writer.uint32((NANOS << 3) | WireType.Varint);
  writer.int32(nanos);
  writer.close(time);
}

/** The fields of google.protobuf.Timestamp. */
const SECONDS = 1;
const NANOS = 2;

function openPart(fieldNumber: number): number {
  writer.uint32((fieldNumber << 3) | WireType.LengthDelimited);
  return writer.open();
}

/**
 * Encoded items of a repeated field, each in parts that are to be joined, as a field that is
 * written as it is.
 */
export function forwardedField(fieldNumber: number, items: readonly (readonly Uint8Array[])[]): UnknownField {
  const chunks: Uint8Array[] = [];
  for (const parts of items) {
    const partBytes = parts.reduce((sum, part) => sum + part.length, 0);
    chunks.push(tagAndLength(fieldNumber, partBytes), ...parts);
  }
  return unknownField(fieldNumber, Buffer.concat(chunks));
}

// Protobuf-ES writes an unknown field as its tag and then its data as it stands, so the first
// entry's tag is left to it.
function unknownField(fieldNumber: number, encoded: Uint8Array): UnknownField {
  return { no: fieldNumber, wireType: WireType.LengthDelimited, data: encoded.subarray(1) };
}

function tagAndLength(fieldNumber: number, length: number): Uint8Array {
  return new BinaryWriter().tag(fieldNumber, WireType.LengthDelimited).uint32(length).finish();
}
