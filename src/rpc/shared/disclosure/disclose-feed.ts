import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { DisclosedBlocks, type FeedDisclosure } from "../../../feed/disclosed-blocks.ts";
import type { StreamedFeed } from "../../../feed/feed.ts";
import { DisclosureKind } from "../../../gen/tandem/platform/v1/disclosure_pb.js";
import type { PhoneNumber } from "../../../gen/tandem/type/v1/phone_number_pb.js";
import { carrierTransaction } from "../../../store/database/database.ts";
import type { Services } from "../context.ts";
import { committed, disclosureTerms, insertDisclosed } from "./disclose.ts";
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
    const listed = { ...terms, kind: DisclosureKind.LIST };
    const blocks = new DisclosedBlocks({
      feed: feed.id,
      until,
      recordParts: () => feed.recordParts(),
      write: (changes) => committed(services, services.blockWrites.write(carrierId, terms, changes)),
      // The failure was logged with its cause.
      onLeftOpen: () => {},
    });
    // Only the numbers have rows.
    const insert = (rows: readonly unknown[]) =>
      carrierTransaction(services.db, carrierId, (tx) =>
        insertDisclosed(tx, carrierId, listed, disclosedNumbers(rows as readonly PhoneNumber[])),
      );
    return {
      beforeBatch: (epoch, entries) => blocks.before(epoch, feed.disclosed(entries)),
      beforeRows: (rows) => committed(services, insert(rows)),
      [Symbol.asyncDispose]: () => blocks[Symbol.asyncDispose](),
    };
  };
}
