import { create, fromBinary, type UnknownField } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { timestampFromMicros } from "../domain/instant.ts";
import { type CdrBatch, CdrBatchSchema, CdrFeedEntrySchema } from "../gen/tandem/carrier/v1/cdr_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { ErasureEntrySchema } from "../gen/tandem/type/v1/erasure_pb.js";
import type { StoredCdr } from "../store/cdrs.ts";
import { EntryKind } from "../store/record-rows.ts";

/**
 * A batch of the feed made of stored bytes, which are forwarded and not decoded. Encodings of one message merge when they are joined, so a record is its
 * parts one after the other, and then its sequence and ingest time. For binary responses the encoded entries go into the batch as a field that
 * Protobuf-ES does not know and writes as it is; JSON needs the decoded messages.
 */
export function cdrBatch(entries: readonly StoredCdr[], format: "binary" | "json"): CdrBatch {
  if (format === "json") return fromBinary(CdrBatchSchema, encodeEntries(entries));
  // Streams of one carrier share the newest pages, and so their encoding.
  const known = encodedBatches.get(entries);
  if (known) return known;
  const batch = create(CdrBatchSchema);
  if (entries.length > 0) batch.$unknown = [unknownField(encodeEntries(entries))];
  encodedBatches.set(entries, batch);
  return batch;
}

const encodedBatches = new WeakMap<readonly StoredCdr[], CdrBatch>();

/** One stored record as a message. */
export function cdrMessage(stored: StoredCdr): CallDetailRecord {
  return fromBinary(CallDetailRecordSchema, Buffer.concat(recordParts(stored)));
}

const ENTRIES = CdrBatchSchema.field.entries.number;
const RECORD = CdrFeedEntrySchema.field.record.number;
const ERASURE = CdrFeedEntrySchema.field.erasure.number;

// Protobuf-ES writes an unknown field as its tag and then its data as it stands, so the first entry's tag is left to it.
function unknownField(encoded: Uint8Array): UnknownField {
  return { no: ENTRIES, wireType: WireType.LengthDelimited, data: encoded.subarray(1) };
}

function encodeEntries(entries: readonly StoredCdr[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  for (const entry of entries) {
    const parts = recordParts(entry);
    const recordBytes = parts.reduce((sum, part) => sum + part.length, 0);
    const head = tagAndLength(entry.entryKind === EntryKind.ERASURE ? ERASURE : RECORD, recordBytes);
    chunks.push(tagAndLength(ENTRIES, head.length + recordBytes), head, ...parts);
  }
  return Buffer.concat(chunks);
}

function recordParts(stored: StoredCdr): Uint8Array[] {
  const parts: Uint8Array[] = [stored.payload];
  if (stored.quality) parts.push(stored.quality);
  if (stored.network) parts.push(stored.network);
  parts.push(encodePosition(stored));
  return parts;
}

function encodePosition({ sequence, ingestTime, entryKind }: StoredCdr): Uint8Array {
  const fields = entryKind === EntryKind.ERASURE ? ErasureEntrySchema.field : CallDetailRecordSchema.field;
  const { seconds, nanos } = timestampFromMicros(ingestTime);
  return new BinaryWriter()
    .tag(fields.sequence.number, WireType.Varint)
    .int64(sequence)
    .tag(fields.ingestTime.number, WireType.LengthDelimited)
    .fork()
    .tag(1, WireType.Varint)
    .int64(seconds)
    .tag(2, WireType.Varint)
    .int32(nanos)
    .join()
    .finish();
}

function tagAndLength(fieldNumber: number, length: number): Uint8Array {
  return new BinaryWriter().tag(fieldNumber, WireType.LengthDelimited).uint32(length).finish();
}
