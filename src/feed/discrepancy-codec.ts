import { fromBinary } from "@bufbuild/protobuf";
import { utcDay } from "../domain/time/instant.ts";
import {
  DiscrepancyBatchSchema,
  DiscrepancyFeedEntrySchema,
} from "../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { type Discrepancy, DiscrepancySchema } from "../gen/tandem/type/v1/discrepancy_pb.js";
import { ErasureEntrySchema } from "../gen/tandem/type/v1/erasure_pb.js";
import { DiscrepancyEntryKind, type StoredDiscrepancy } from "../store/reconciliation/discrepancies.ts";
import type { DisclosedEntry } from "./disclosed-blocks.ts";
import { encodePosition, forwardBatches } from "./forwarded-batch.ts";

const DISCREPANCY = DiscrepancyFeedEntrySchema.field.discrepancy.number;
const ERASURE = DiscrepancyFeedEntrySchema.field.erasure.number;
const DISCREPANCY_POSITION = {
  sequence: DiscrepancySchema.field.sequence.number,
  time: DiscrepancySchema.field.updateTime.number,
};
const ERASURE_POSITION = {
  sequence: ErasureEntrySchema.field.sequence.number,
  time: ErasureEntrySchema.field.ingestTime.number,
};

/**
 * A batch of the feed made of stored bytes: a discrepancy as it was encoded, and then its sequence
 * and update time.
 */
export const discrepancyBatch = forwardBatches({
  batch: DiscrepancyBatchSchema,
  entries: DiscrepancyBatchSchema.field.entries.number,
  fieldOf: (stored: StoredDiscrepancy) => (stored.entryKind === DiscrepancyEntryKind.ERASURE ? ERASURE : DISCREPANCY),
  partsOf: entryParts,
});

/** One stored discrepancy as a message. */
export function discrepancyMessage(stored: StoredDiscrepancy): Discrepancy {
  return fromBinary(DiscrepancySchema, Buffer.concat(entryParts(stored)));
}

function entryParts(stored: StoredDiscrepancy): Uint8Array[] {
  const fields = stored.entryKind === DiscrepancyEntryKind.ERASURE ? ERASURE_POSITION : DISCREPANCY_POSITION;
  return [stored.payload, encodePosition(fields, stored.sequence, stored.ingestTime)];
}

/** The entries of a batch as the log of disclosures counts them: by the days of their calls. */
export function disclosedEntries(batch: readonly StoredDiscrepancy[]): DisclosedEntry[] {
  return batch.map((stored) => ({ sequence: stored.sequence, recordDate: dayOfEntry(stored) }));
}

function dayOfEntry(stored: StoredDiscrepancy): string {
  if (stored.entryKind === DiscrepancyEntryKind.ERASURE) return utcDay(stored.ingestTime);
  const { callDate } = fromBinary(DiscrepancySchema, stored.payload);
  return callDate || utcDay(stored.ingestTime);
}
