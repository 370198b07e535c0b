import { fromBinary } from "@bufbuild/protobuf";
import { CdrBatchSchema, CdrFeedEntrySchema } from "../gen/tandem/carrier/v1/cdr_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { ErasureEntrySchema } from "../gen/tandem/type/v1/erasure_pb.js";
import type { StoredCdr } from "../store/records/cdrs.ts";
import { EntryKind } from "../store/records/record-rows.ts";
import { encodePosition, forwardBatches } from "./forwarded-batch.ts";

const RECORD = CdrFeedEntrySchema.field.record.number;
const ERASURE = CdrFeedEntrySchema.field.erasure.number;
const RECORD_POSITION = positionFields(CallDetailRecordSchema.field);
const ERASURE_POSITION = positionFields(ErasureEntrySchema.field);

/**
 * A batch of the feed made of stored bytes: a record is its parts one after the other, and then its
 * sequence and ingest time.
 */
export const cdrBatch = forwardBatches({
  batch: CdrBatchSchema,
  entries: CdrBatchSchema.field.entries.number,
  fieldOf: (stored: StoredCdr) => (stored.entryKind === EntryKind.ERASURE ? ERASURE : RECORD),
  partsOf: cdrParts,
});

/** One stored record as a message. */
export function cdrMessage(stored: StoredCdr): CallDetailRecord {
  return fromBinary(CallDetailRecordSchema, Buffer.concat(cdrParts(stored)));
}

/** The encoding of one stored record, in parts that are to be joined. */
export function cdrParts(stored: StoredCdr): Uint8Array[] {
  const parts: Uint8Array[] = [stored.payload];
  if (stored.quality) parts.push(stored.quality);
  if (stored.network) parts.push(stored.network);
  const fields = stored.entryKind === EntryKind.ERASURE ? ERASURE_POSITION : RECORD_POSITION;
  parts.push(encodePosition(fields, stored.sequence, stored.ingestTime));
  return parts;
}

function positionFields(fields: { sequence: { number: number }; ingestTime: { number: number } }) {
  return { sequence: fields.sequence.number, time: fields.ingestTime.number };
}
