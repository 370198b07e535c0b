import { create, type DescMessage, fromBinary, type MessageShape, type UnknownField } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Micros, timestampFromMicros } from "../domain/time/instant.ts";

/** How the stored entries of a feed become the entries of its batch message. */
export interface ForwardedBatch<Batch extends DescMessage, Stored> {
  readonly batch: Batch;
  /** The batch's field of entries. */
  readonly entries: number;
  /** The field of an entry, of its oneof, that holds what the stored one is. */
  readonly fieldOf: (stored: Stored) => number;
  /** The encoded parts of what it holds. Encodings of one message merge when they are joined. */
  readonly partsOf: (stored: Stored) => Uint8Array[];
}

/**
 * Makes batches of stored bytes, which are forwarded and not decoded. For binary responses the
 * encoded entries go into the batch as a field that Protobuf-ES does not know and writes as it is;
 * JSON needs the decoded messages.
 */
export function forwardBatches<Batch extends DescMessage, Stored>(
  forwarded: ForwardedBatch<Batch, Stored>,
): (entries: readonly Stored[], format: "binary" | "json") => MessageShape<Batch> {
  // Streams of one carrier share the newest pages, and so their encoding.
  const encodedBatches = new WeakMap<readonly Stored[], MessageShape<Batch>>();
  return (entries, format) => {
    if (format === "json") return fromBinary(forwarded.batch, encodeEntries(forwarded, entries));
    const known = encodedBatches.get(entries);
    if (known) return known;
    const batch = create(forwarded.batch);
    if (entries.length > 0) batch.$unknown = [unknownField(forwarded.entries, encodeEntries(forwarded, entries))];
    encodedBatches.set(entries, batch);
    return batch;
  };
}

/** A sequence and a time as two fields of a message, to be joined to the rest of its encoding. */
export function encodePosition(
  fields: { readonly sequence: number; readonly time: number },
  sequence: bigint,
  time: Micros,
): Uint8Array {
  const { seconds, nanos } = timestampFromMicros(time);
  return new BinaryWriter()
    .tag(fields.sequence, WireType.Varint)
    .int64(sequence)
    .tag(fields.time, WireType.LengthDelimited)
    .fork()
    .tag(1, WireType.Varint)
    .int64(seconds)
    .tag(2, WireType.Varint)
    .int32(nanos)
    .join()
    .finish();
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

function encodeEntries<Batch extends DescMessage, Stored>(
  forwarded: ForwardedBatch<Batch, Stored>,
  entries: readonly Stored[],
): Uint8Array {
  const chunks: Uint8Array[] = [];
  for (const entry of entries) {
    const parts = forwarded.partsOf(entry);
    const partBytes = parts.reduce((sum, part) => sum + part.length, 0);
    const head = tagAndLength(forwarded.fieldOf(entry), partBytes);
    chunks.push(tagAndLength(forwarded.entries, head.length + partBytes), head, ...parts);
  }
  return Buffer.concat(chunks);
}

function tagAndLength(fieldNumber: number, length: number): Uint8Array {
  return new BinaryWriter().tag(fieldNumber, WireType.LengthDelimited).uint32(length).finish();
}
