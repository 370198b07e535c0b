import { fromBinary } from "@bufbuild/protobuf";
import { FeedId } from "../domain/feed-id.ts";
import { utcDay } from "../domain/time/instant.ts";
import {
  DiscrepancyBatchSchema,
  DiscrepancyFeedEntrySchema,
} from "../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import { type Discrepancy, DiscrepancySchema } from "../gen/tandem/type/v1/discrepancy_pb.js";
import {
  type DiscrepancyConditions,
  DiscrepancyEntryKind,
  readDiscrepancyPage,
  type StoredDiscrepancy,
} from "../store/reconciliation/discrepancies.ts";
import { PAGE_ENTRIES, type StreamedFeed } from "./feed.ts";
import { forwardEntries } from "./forwarded-batch.ts";

// A batch is made of stored bytes: a discrepancy as it was encoded.
const { batchOf, partsOf } = forwardEntries({
  batch: DiscrepancyBatchSchema,
  entries: DiscrepancyBatchSchema.field.entries,
  record: {
    field: DiscrepancyFeedEntrySchema.field.discrepancy,
    sequence: DiscrepancySchema.field.sequence,
    time: DiscrepancySchema.field.updateTime,
  },
  erasure: DiscrepancyFeedEntrySchema.field.erasure,
  isErasure,
  encodedParts: ({ payload }) => [payload],
});

/** One stored discrepancy as a message. */
export function discrepancyMessage(stored: StoredDiscrepancy): Discrepancy {
  return fromBinary(DiscrepancySchema, Buffer.concat(partsOf(stored)));
}

/** The feed of a carrier's discrepancies. The log counts its entries by the days of their calls. */
export function discrepancyFeed(carrierId: string, conditions: DiscrepancyConditions | undefined) {
  return {
    id: FeedId.DISCREPANCIES,
    readPage: (tx, after, until) =>
      readDiscrepancyPage(tx, { carrierId, after, until, limit: PAGE_ENTRIES }, conditions),
    recordParts: () => [RecordPart.CALL, RecordPart.DURATION],
    disclosed: (entries) => entries.map((stored) => ({ sequence: stored.sequence, recordDate: dayOfEntry(stored) })),
    showBatch: (entries, format) => ({ case: "batch" as const, value: batchOf(entries, format) }),
  } satisfies StreamedFeed<StoredDiscrepancy, never, unknown>;
}

function isErasure({ entryKind }: StoredDiscrepancy): boolean {
  return entryKind === DiscrepancyEntryKind.ERASURE;
}

function dayOfEntry(stored: StoredDiscrepancy): string {
  const callDate = isErasure(stored) ? "" : fromBinary(DiscrepancySchema, stored.payload).callDate;
  return callDate || utcDay(stored.ingestTime);
}
