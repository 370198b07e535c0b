import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { DisclosureTerms } from "../../../domain/privacy/disclosure.ts";
import { DisclosedBlocks, type DisclosedEntry, type FeedDisclosure } from "../../../feed/disclosed-blocks.ts";
import type { FeedPlace } from "../../../feed/position.ts";
import { DisclosureKind } from "../../../gen/tandem/platform/v1/disclosure_pb.js";
import type { RecordPart } from "../../../gen/tandem/type/v1/agreement_pb.js";
import type { PhoneNumber } from "../../../gen/tandem/type/v1/phone_number_pb.js";
import { carrierTransaction } from "../../../store/database/database.ts";
import type { Tx } from "../../../store/database/run.ts";
import { insertNamedRecords } from "../../../store/privacy/disclosures.ts";
import type { Services } from "../context.ts";
import { committed, disclosureTerms } from "./disclose.ts";
import { disclosedNumbers } from "./disclosed-records.ts";

/** How what a feed sends is written down. */
export interface FeedFlow<Batch> {
  readonly request: Message;
  readonly place: FeedPlace;
  /** The parts that entries include now. */
  readonly recordParts: () => readonly RecordPart[];
  /** The entries of a batch, ascending. */
  readonly entriesOf: (batch: Batch) => readonly DisclosedEntry[];
}

/**
 * Makes, for a stream that opens, what commits before anything is sent that it may be received. A
 * snapshot is named row by row, as a list is.
 */
export function feedDisclosure<Batch>(services: Services, context: HandlerContext, flow: FeedFlow<Batch>) {
  return ({ sessionId, until }: { sessionId: string; until: bigint | undefined }) => {
    const { carrierId, feed } = flow.place;
    const terms = disclosureTerms(services, context, { request: flow.request, masked: false, sessionId });
    const blocks = new DisclosedBlocks({
      feed,
      until,
      recordParts: flow.recordParts,
      write: (changes) => committed(services, services.blockWrites.write(carrierId, terms, changes)),
      // It was logged with its cause.
      onLeftOpen: () => {},
    });
    return {
      beforeBatch: (epoch, batch) => blocks.before(epoch, flow.entriesOf(batch)),
      beforeRows: (rows) =>
        committed(
          services,
          carrierTransaction(services.db, carrierId, (tx) => insertRows(tx, carrierId, terms, rows)),
        ),
      [Symbol.asyncDispose]: () => blocks[Symbol.asyncDispose](),
    } satisfies FeedDisclosure<Batch, PhoneNumber[]>;
  };
}

async function insertRows(tx: Tx, carrierId: string, terms: DisclosureTerms, rows: PhoneNumber[]): Promise<void> {
  for (const named of disclosedNumbers(rows))
    await insertNamedRecords(tx, carrierId, { ...terms, kind: DisclosureKind.LIST }, named);
}
