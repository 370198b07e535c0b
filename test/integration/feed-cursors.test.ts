import { Code } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Seals } from "../../src/domain/seals.ts";
import { encodeCursor } from "../../src/feed/cursor.ts";
import { CdrService, type StreamCdrsResponse } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { readSealSecrets } from "../../src/store/database/seal-keys.ts";
import { rotateEpochs } from "../../src/store/feeds/epochs.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  atCursor,
  atTime,
  calls,
  EARLIEST,
  framesOf,
  HEAD,
  ingest,
  LATEST,
  NUMBER,
  raiseFloor,
  readAll,
  readFeed,
  refusal,
  refusedFeed,
  runSql,
} from "../support/feed.ts";

let exchange: Exchange;
let carrierCount = 0;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100 });
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function newCarrier(entries: number) {
  carrierCount += 1;
  const carrierId = `carrier-${carrierCount}`;
  await exchange.addCarrier(carrierId);
  await exchange.assignNumbers(carrierId, [NUMBER]);
  await ingest(exchange, carrierId, calls("r", entries));
  return { carrierId, client: await exchange.carrierClient(CdrService, carrierId) };
}

type Client = Awaited<ReturnType<typeof newCarrier>>["client"];

async function headCursor(client: Client): Promise<string> {
  return (await readAll(client, { start: EARLIEST, end: HEAD })).messages.at(-1)?.cursor ?? "";
}

describe("rule 4: the epoch", () => {
  const changed = { code: Code.FailedPrecondition, reason: "FEED_EPOCH_CHANGED" };

  test("rotating the epochs ends live streams and refuses every older cursor with FEED_EPOCH_CHANGED", async () => {
    const { client } = await newCarrier(3);
    const cursor = await headCursor(client);
    using live = readFeed(client, { start: LATEST });
    await live.until((messages) => framesOf(messages).includes("caughtUp"));
    await rotateEpochs(exchange.services.db, "test");
    expect(await refusal(live.ended)).toMatchObject({ ...changed, feed_epoch: "2" });
    expect(await refusedFeed(client, { start: atCursor(cursor) })).toMatchObject(changed);
    expect(await refusedFeed(client, { start: EARLIEST, end: atCursor(cursor) })).toMatchObject(changed);
    expect(await refusal(client.commitCdrCursor({ consumer: "c", cursor }))).toMatchObject(changed);
    expect(await client.getCdrFeed({})).toMatchObject({ feedEpoch: 2n, headSequence: 3n });
    expect((await readAll(client, { start: EARLIEST, end: HEAD })).messages[0]?.frame).toMatchObject({
      value: { feedEpoch: 2n },
    });
  });

  test("a restore that puts another entry at the cursor's place is noticed without a rotation", async () => {
    const { carrierId, client } = await newCarrier(3);
    const cursor = await headCursor(client);
    const ahead = sql`UPDATE cdr_record SET ingest_time = ingest_time + interval '1 microsecond' WHERE carrier_id = ${carrierId} AND sequence = 3`;
    await runSql(exchange, ahead);
    expect(await refusedFeed(client, { start: atCursor(cursor) })).toMatchObject(changed);
    expect(await refusedFeed(client, { start: EARLIEST, end: atCursor(cursor) })).toMatchObject(changed);
  });

  test("a restore that lowers the head is noticed without a rotation, by resumed and by live streams", async () => {
    const { carrierId, client } = await newCarrier(3);
    const cursor = await headCursor(client);
    using live = readFeed(client, { start: EARLIEST });
    await live.until((messages) => framesOf(messages).includes("caughtUp"));
    await runSql(exchange, sql`DELETE FROM cdr_record WHERE carrier_id = ${carrierId} AND sequence = 3`);
    await runSql(exchange, sql`UPDATE feed_head SET next_sequence = 3 WHERE carrier_id = ${carrierId} AND feed = 2`);
    expect(await refusal(live.ended)).toMatchObject(changed);
    expect(await refusedFeed(client, { start: atCursor(cursor) })).toMatchObject(changed);
    expect(await refusedFeed(client, { start: EARLIEST, end: atCursor(cursor) })).toMatchObject(changed);
  });

  test("a client recovers from an ingest time before the restore point", async () => {
    const { carrierId, client } = await newCarrier(2);
    await runSql(exchange, sql`UPDATE feed_head SET epoch = epoch + 1 WHERE carrier_id = ${carrierId}`);
    await ingest(exchange, carrierId, calls("after", 2));
    const { ids } = await readAll(client, { start: atTime(0n), end: HEAD });
    expect(ids).toEqual(["r-0", "r-1", "after-0", "after-1"]);
  });
});

describe("cursors", () => {
  test("a cursor below the floor is CURSOR_EXPIRED with the earliest sequence, whatever the filter", async () => {
    const { carrierId, client } = await newCarrier(10);
    const filter = { direction: 1 };
    const cursors = new Map<string, { direction: number } | undefined>();
    for (const used of [undefined, filter]) {
      using feed = readFeed(client, { start: EARLIEST, ...(used ? { filter: used } : {}) });
      await feed.until((messages) => messages.length > 0);
      cursors.set(feed.messages[0]?.cursor ?? "", used);
    }
    expect(cursors.size).toBe(2);
    await raiseFloor(exchange, carrierId, 6n);
    const expired = { code: Code.OutOfRange, reason: "CURSOR_EXPIRED", earliest_sequence: "6" };
    for (const [cursor, used] of cursors) {
      const request = { start: atCursor(cursor), ...(used ? { filter: used } : {}) };
      expect(await refusedFeed(client, request)).toMatchObject(expired);
      expect(await refusal(client.commitCdrCursor({ consumer: "c", cursor }))).toMatchObject(expired);
    }
  });

  test("a cursor that names the entry just below the floor still resumes", async () => {
    const { carrierId, client } = await newCarrier(2);
    const cursor = await headCursor(client);
    await ingest(exchange, carrierId, calls("more", 2));
    await raiseFloor(exchange, carrierId, 3n);
    await runSql(exchange, sql`DELETE FROM cdr_record WHERE carrier_id = ${carrierId} AND sequence < 3`);
    expect((await readAll(client, { start: atCursor(cursor), end: HEAD })).ids).toEqual(["more-0", "more-1"]);
    await raiseFloor(exchange, carrierId, 4n);
    expect(await refusedFeed(client, { start: atCursor(cursor) })).toMatchObject({ reason: "CURSOR_EXPIRED" });
  });

  test("a floor that passes a backfill in the middle ends it with CURSOR_EXPIRED, never with a hole", async () => {
    const { carrierId, client } = await newCarrier(4_000);
    const messages: StreamCdrsResponse[] = [];
    const unread = client.streamCdrs({ start: EARLIEST });
    const outcome = (async () => {
      for await (const message of unread) {
        messages.push(message);
        if (messages.length === 1) await raiseFloor(exchange, carrierId, 4_001n);
      }
    })();
    // What was read before the floor rose may still come; what follows must not be skipped.
    expect(await refusal(outcome)).toMatchObject({ reason: "CURSOR_EXPIRED", earliest_sequence: "4001" });
    expect(messages.at(-1)?.throughSequence).toBeLessThan(4_000n);
  });

  test("a cursor that was tampered with, or is another carrier's, another feed's or another installation's, is CURSOR_MALFORMED", async () => {
    const [own, other] = [await newCarrier(3), await newCarrier(3)];
    const cursor = await headCursor(own.client);
    const { seals, db } = exchange.services;
    const secrets = await systemTransaction(db, readSealSecrets);
    const others = new Seals(
      secrets.map(({ keyId }) => ({ keyId, secret: Buffer.alloc(32) })),
      Buffer.alloc(32),
    );
    const position = { epoch: 1n, sequence: 1n, ingestTime: 0n };
    const bytes = Buffer.from(cursor, "base64url");
    // Another key id is that of a key that is gone: see sealed-tokens.
    const outsideKeyId = [...bytes.keys()].filter((index) => index < 1 || index > 4);
    const flipped = outsideKeyId.map((index) => {
      const copy = Buffer.from(bytes);
      copy.writeUInt8(copy.readUInt8(index) ^ 1, index);
      return copy.toString("base64url");
    });
    const hostile = [
      ...flipped,
      await headCursor(other.client),
      encodeCursor(seals, { carrierId: own.carrierId, feed: 1, filter: 0n }, position),
      encodeCursor(others, { carrierId: own.carrierId, feed: 2, filter: 0n }, position),
      "",
      "A",
      " ",
      `${cursor}A`,
      `${cursor}=`,
      cursor.slice(0, -1),
      "\0",
      "x".repeat(100_000),
    ];
    const malformed = { code: Code.InvalidArgument, reason: "CURSOR_MALFORMED" };
    for (const text of hostile) {
      expect(await refusedFeed(own.client, { start: atCursor(text) })).toMatchObject(malformed);
      expect(await refusedFeed(own.client, { start: EARLIEST, end: atCursor(text) })).toMatchObject(malformed);
    }
  });

  test("a cursor of another filter is CURSOR_FILTER_MISMATCH", async () => {
    const { client } = await newCarrier(3);
    const filter = { direction: 1 };
    const { messages } = await readAll(client, { start: EARLIEST, end: HEAD, filter });
    const cursor = messages.at(-1)?.cursor ?? "";
    const mismatch = { code: Code.InvalidArgument, reason: "CURSOR_FILTER_MISMATCH" };
    expect(await refusedFeed(client, { start: atCursor(cursor) })).toMatchObject(mismatch);
    expect(await refusedFeed(client, { start: atCursor(cursor), filter: { direction: 2 } })).toMatchObject(mismatch);
    expect(await refusedFeed(client, { start: atCursor(await headCursor(client)), filter })).toMatchObject(mismatch);
    expect(await refusedFeed(client, { start: EARLIEST, end: atCursor(cursor) })).toMatchObject(mismatch);
    expect((await readAll(client, { start: atCursor(cursor), end: HEAD, filter })).ids).toEqual([]);
    // An empty filter leaves nothing out, and is none.
    const unfiltered = await headCursor(client);
    expect((await readAll(client, { start: atCursor(unfiltered), end: HEAD, filter: {} })).ids).toEqual([]);
  });
});
