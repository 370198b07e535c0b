import { ConnectError } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tandemReason } from "../../src/client/errors.ts";
import { FeedId } from "../../src/domain/feed-id.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { ownerTransaction } from "../../src/store/database/database.ts";
import { appendDiscrepancies } from "../support/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, EARLIEST, ingest, NUMBER } from "../support/feed.ts";
import { newRequestId } from "../support/numbers.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100 });
});
afterAll(() => exchange[Symbol.asyncDispose]());

interface Message {
  readonly throughSequence: bigint;
  readonly frame: { readonly case: string | undefined };
}

interface TestedFeed {
  readonly feed: FeedId;
  readonly table: string;
  /** Puts entries into a carrier's feed, named after a word. */
  readonly append: (carrierId: string, word: string, count: number) => Promise<unknown>;
  readonly open: (carrierId: string, signal: AbortSignal) => Promise<AsyncIterable<Message>>;
}

let numbers = 0;

const openCdrs = (filter?: { trunkId: string }) => async (carrierId: string, signal: AbortSignal) =>
  (await exchange.carrierClient(CdrService, carrierId)).streamCdrs(
    { start: EARLIEST, ...(filter ? { filter } : {}) },
    { signal },
  );
const appendCdrs = (carrierId: string, word: string, count: number) => ingest(exchange, carrierId, calls(word, count));

const FEEDS: [string, TestedFeed][] = [
  ["CDRs", { feed: FeedId.CDRS, table: "cdr_record", append: appendCdrs, open: openCdrs() }],
  [
    "CDRs of a filter that no entry matches",
    { feed: FeedId.CDRS, table: "cdr_record", append: appendCdrs, open: openCdrs({ trunkId: "none" }) },
  ],
  [
    "numbers",
    {
      feed: FeedId.NUMBERS,
      table: "number_entry",
      append: async (carrierId, _, count) => {
        const client = await exchange.carrierClient(NumberService, carrierId);
        const items = Array.from({ length: count }, () => ({
          phoneNumber: `+4532000${100 + numbers++}`,
          ...{ numberType: 1, usages: [1], capabilities: [1], countryCode: "DK" },
        }));
        await client.provisionNumbers({ requestId: newRequestId(), items });
      },
      open: async (carrierId, signal) =>
        (await exchange.carrierClient(NumberService, carrierId)).watchNumbers({ start: EARLIEST }, { signal }),
    },
  ],
  [
    "discrepancies",
    {
      feed: FeedId.DISCREPANCIES,
      table: "discrepancy_entry",
      append: (carrierId, word, count) => {
        const rows = Array.from({ length: count }, (_, index) => ({ discrepancy_id: `${word}-${index}` }));
        return appendDiscrepancies(exchange.services.db, carrierId, rows);
      },
      open: async (carrierId, signal) =>
        (await exchange.carrierClient(ReconciliationService, carrierId)).watchDiscrepancies(
          { start: EARLIEST },
          { signal },
        ),
    },
  ],
];

let carriers = 0;

/** A stream that has caught up with the entries of its feed, and how it ends. */
async function followed({ feed, append, open }: TestedFeed) {
  const carrierId = `carrier-${++carriers}`;
  await exchange.addCarrier(carrierId);
  if (feed === FeedId.CDRS) await exchange.assignNumbers(carrierId, [NUMBER]);
  await append(carrierId, "before", 3);
  const stop = new AbortController();
  const messages: Message[] = [];
  const ended = (async () => {
    try {
      for await (const message of await open(carrierId, stop.signal)) messages.push(message);
    } catch (error) {
      return tandemReason(ConnectError.from(error))?.reason;
    }
    return undefined;
  })();
  await expect.poll(() => messages.map(({ frame }) => frame.case)).toContain("caughtUp");
  const position = messages.at(-1)?.throughSequence ?? 0n;
  return { carrierId, position, messages, ended, [Symbol.dispose]: () => stop.abort() };
}

/**
 * As a promoted replica has it that lacked the last commits: another entry at the position, and
 * maybe more behind it, all at once.
 */
async function rewrite({ table, feed }: TestedFeed, carrierId: string, position: bigint): Promise<void> {
  await ownerTransaction(exchange.services.db, async (tx) => {
    await sql`UPDATE ${sql.table(table)} SET ingest_time = ingest_time + interval '1 microsecond'
      WHERE carrier_id = ${carrierId} AND sequence = ${position}`.execute(tx);
    await sql`UPDATE feed_head SET last_ingest_time = last_ingest_time + interval '1 microsecond'
      WHERE carrier_id = ${carrierId} AND feed = ${feed}`.execute(tx);
  });
}

test.each(FEEDS)(
  "%s: a live stream skips nothing when history is rewritten beneath it, and says so",
  async (_, tested) => {
    using stream = await followed(tested);
    const { carrierId, position } = stream;
    await rewrite(tested, carrierId, position);
    await tested.append(carrierId, "after", 2);
    expect(await stream.ended).toBe("FEED_EPOCH_CHANGED");
    expect(stream.messages.every(({ throughSequence }) => throughSequence <= position)).toBe(true);
  },
);

test.each(FEEDS)(
  "%s: a quiet stream is told too, though the rewritten history ends at the same sequence",
  async (_, tested) => {
    using stream = await followed(tested);
    await rewrite(tested, stream.carrierId, stream.position);
    expect(await stream.ended).toBe("FEED_EPOCH_CHANGED");
  },
);

test.each(FEEDS)("%s: a stream goes on when the floor has passed the entry where it stands", async (_, tested) => {
  using stream = await followed(tested);
  const { carrierId, position, messages } = stream;
  await ownerTransaction(exchange.services.db, async (tx) => {
    await sql`UPDATE feed_head SET earliest_sequence = ${position + 1n}
      WHERE carrier_id = ${carrierId} AND feed = ${tested.feed}`.execute(tx);
    await sql`DELETE FROM ${sql.table(tested.table)} WHERE carrier_id = ${carrierId}`.execute(tx);
  });
  await tested.append(carrierId, "after", 2);
  await expect.poll(() => messages.at(-1)?.throughSequence).toBe(position + 2n);
});
