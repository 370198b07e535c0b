import { fromBinary } from "@bufbuild/protobuf";
import { FeedId } from "../domain/feed-id.ts";
import { CdrBatchSchema, CdrFeedEntrySchema } from "../gen/tandem/carrier/v1/cdr_service_pb.js";
import { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { type CdrConditions, type FeedCdr, readCdrPage, type StoredCdr } from "../store/records/cdrs.ts";
import { EntryKind } from "../store/records/record-rows.ts";
import { PAGE_ENTRIES, type StreamedFeed } from "./feed.ts";
import { forwardEntries } from "./forwarded-batch.ts";

/** A record with its parts, or with all of them joined. */
type ForwardedCdr = Omit<FeedCdr, "recordDate"> & Partial<Pick<StoredCdr, "quality" | "network">>;

// A batch is made of stored bytes: a record is its parts, one after the other.
const { batchOf, partsOf } = forwardEntries({
  batch: CdrBatchSchema,
  entries: CdrBatchSchema.field.entries,
  record: {
    field: CdrFeedEntrySchema.field.record,
    sequence: CallDetailRecordSchema.field.sequence,
    time: CallDetailRecordSchema.field.ingestTime,
  },
  erasure: CdrFeedEntrySchema.field.erasure,
  isErasure: ({ entryKind }: ForwardedCdr) => entryKind === EntryKind.ERASURE,
  encodedParts: ({ payload, quality, network }) => {
    const parts: Uint8Array[] = [payload];
    if (quality) parts.push(quality);
    if (network) parts.push(network);
    return parts;
  },
});

/** The encoding of one stored record, in parts that are to be joined. */
export const cdrParts = partsOf;

/** One stored record as a message. */
export function cdrMessage(stored: StoredCdr): CallDetailRecord {
  return fromBinary(CallDetailRecordSchema, Buffer.concat(partsOf(stored)));
}

/** What entries include unless the agreement has network identifiers too. */
const PLAIN_PARTS = [RecordPart.CALL, RecordPart.QUALITY];

/**
 * The feed of a carrier's call detail records.
 * @param allowsNetwork whether the agreement has network identifiers now.
 */
export function cdrFeed(
  carrierId: string,
  conditions: CdrConditions | undefined,
  allowsNetwork: () => Promise<boolean>,
) {
  let withNetwork = false;
  return {
    id: FeedId.CDRS,
    refresh: async () => {
      withNetwork = await allowsNetwork();
    },
    readPage: (tx, after, until) =>
      readCdrPage(tx, { carrierId, after, until, limit: PAGE_ENTRIES }, { conditions, withNetwork }),
    variant: conditions ? undefined : () => (withNetwork ? "network" : "plain"),
    recordParts: () => (withNetwork ? [...PLAIN_PARTS, RecordPart.NETWORK] : PLAIN_PARTS),
    disclosed: (entries) => entries,
    showBatch: (entries, format) => ({ case: "batch" as const, value: batchOf(entries, format) }),
  } satisfies StreamedFeed<FeedCdr, never, unknown>;
}
