import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { FeedId } from "../domain/feed-id.ts";
import type { NumberFilter } from "../domain/numbers/number-filter.ts";
import { timestampFromMicros, utcDay } from "../domain/time/instant.ts";
import { NumberChangeSchema, type WatchNumbersResponseSchema } from "../gen/tandem/carrier/v1/number_service_pb.js";
import { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import { ErasureEntrySchema } from "../gen/tandem/type/v1/erasure_pb.js";
import { type PhoneNumber, PhoneNumberSchema } from "../gen/tandem/type/v1/phone_number_pb.js";
import { type NumberEntry, readNumberPage, readNumberSnapshotPage } from "../store/numbers/number-feed.ts";
import { NumberEntryKind } from "../store/numbers/number-rows.ts";
import { PAGE_ENTRIES, type StreamedFeed } from "./feed.ts";

type NumberFrame = NonNullable<MessageInitShape<typeof WatchNumbersResponseSchema>["frame"]>;

/** The feed of a carrier's numbers, which can start with their current rows. */
export function numberFeed(
  carrierId: string,
  filter: NumberFilter | undefined,
): StreamedFeed<NumberEntry, PhoneNumber, NumberFrame> {
  return {
    id: FeedId.NUMBERS,
    readPage: (tx, after, until) => readNumberPage(tx, { carrierId, after, until, limit: PAGE_ENTRIES }, filter),
    snapshot: {
      async read(tx, afterNumber) {
        const page = { carrierId, afterNumber, limit: PAGE_ENTRIES, filter };
        const { found, scannedTo } = await readNumberSnapshotPage(tx, page);
        return {
          rows: found.map((row) => fromBinary(PhoneNumberSchema, row.payload)),
          lastKey: scannedTo?.phoneNumber ?? found.at(-1)?.phoneNumber ?? afterNumber,
          isLast: found.length < PAGE_ENTRIES && scannedTo === undefined,
        };
      },
      show: (frame) =>
        frame.frame === "snapshot"
          ? { case: "snapshot", value: { numbers: frame.rows } }
          : { case: "synced", value: { numberCount: BigInt(frame.rowCount) } },
    },
    recordParts: () => [RecordPart.NUMBER_HISTORY],
    disclosed: (entries) => entries.map(({ sequence, ingestTime }) => ({ sequence, recordDate: utcDay(ingestTime) })),
    showBatch: (entries) => ({ case: "batch", value: { changes: entries.map(changeMessage) } }),
  };
}

function changeMessage({ kind, payload, leftFilter, sequence, ingestTime }: NumberEntry) {
  if (kind !== NumberEntryKind.ERASURE) {
    const value = fromBinary(PhoneNumberSchema, payload);
    return create(NumberChangeSchema, { change: { case: "phoneNumber", value }, leftFilter });
  }
  const erasure = fromBinary(ErasureEntrySchema, payload);
  erasure.sequence = sequence;
  erasure.ingestTime = create(TimestampSchema, timestampFromMicros(ingestTime));
  return create(NumberChangeSchema, { change: { case: "erasure", value: erasure } });
}
