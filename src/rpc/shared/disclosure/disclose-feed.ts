import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { DisclosureTerms } from "../../../domain/privacy/disclosure.ts";
import { DisclosedBlocks, type FeedDisclosure } from "../../../feed/disclosed-blocks.ts";
import type { StreamedFeed } from "../../../feed/feed.ts";
import { DisclosureKind } from "../../../gen/tandem/platform/v1/disclosure_pb.js";
import type { PhoneNumber } from "../../../gen/tandem/type/v1/phone_number_pb.js";
import { carrierTransaction } from "../../../store/database/database.ts";
import type { Tx } from "../../../store/database/run.ts";
import { insertNamedRecords } from "../../../store/privacy/disclosures.ts";
import type { Services } from "../context.ts";
import { committed, disclosureTerms } from "./disclose.ts";
import { disclosedNumbers } from "./disclosed-records.ts";

/**
 * Makes the disclosure of a stream: commits what may be received before it is sent. A snapshot is
 * named row by row, as a list is.
 */
export function feedDisclosure<Entry, Row>(
  services: Services,
  context: HandlerContext,
  { request, carrierId, feed }: { request: Message; carrierId: string; feed: StreamedFeed<Entry, Row, unknown> },
) {
  return ({ sessionId, until }: { sessionId: string; until: bigint | undefined }): FeedDisclosure<Entry, Row> => {
    const terms = disclosureTerms(services, context, { request, masked: false, sessionId });
    const blocks = new DisclosedBlocks({
      feed: feed.id,
      until,
      recordParts: () => feed.recordParts(),
      write: (changes) => committed(services, services.blockWrites.write(carrierId, terms, changes)),
      // The failure was logged with its cause.
      onLeftOpen: () => {},
    });
    const insert = (rows: readonly Row[]) =>
      carrierTransaction(services.db, carrierId, (tx) => insertRows(tx, carrierId, terms, rows));
    return {
      beforeBatch: (epoch, entries) => blocks.before(epoch, feed.disclosed(entries)),
      beforeRows: (rows) => committed(services, insert(rows)),
      [Symbol.asyncDispose]: () => blocks[Symbol.asyncDispose](),
    };
  };
}

// Only the numbers have rows.
async function insertRows(tx: Tx, carrierId: string, terms: DisclosureTerms, rows: readonly unknown[]): Promise<void> {
  for (const named of disclosedNumbers(rows as readonly PhoneNumber[]))
    await insertNamedRecords(tx, carrierId, { ...terms, kind: DisclosureKind.LIST }, named);
}
