import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FeedId } from "../../src/domain/feed-id.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { CallDetailRecordSchema, Completeness } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { ErasureEntrySchema } from "../../src/gen/tandem/type/v1/erasure_pb.js";
import { carrierTransaction } from "../../src/store/database/database.ts";
import { advanceFeed, lockFeed } from "../../src/store/feeds/feed-head.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  atCursor,
  call,
  calls,
  checkRanges,
  EARLIEST,
  HEAD,
  idsOf,
  ingest,
  LATEST,
  NUMBER,
  readAll,
  readFeed,
  recordsOf,
  refusedFeed,
  runSql,
} from "../support/feed.ts";

const OTHER_NUMBER = "+441632960002";
const POOR = { streamQualities: [{ direction: 1, edge: 1, jitterAvgMs: 45 }] };
const GOOD = { streamQualities: [{ direction: 1, edge: 1, jitterAvgMs: 4 }] };

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100 });
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function newCarrier(carrierId: string, settings: Parameters<Exchange["addCarrier"]>[1] = {}) {
  await exchange.addCarrier(carrierId, settings);
  await exchange.assignNumbers(carrierId, [NUMBER], "customer-1");
  await exchange.assignNumbers(carrierId, [OTHER_NUMBER], "customer-2");
  return exchange.carrierClient(CdrService, carrierId);
}

/** Adds the entry that the erasure of a record would add. */
async function appendErasure(carrierId: string, recordId: string, recordDate: string): Promise<void> {
  const entry = create(ErasureEntrySchema, { erasureId: "erasure-1", records: [{ recordId, recordDate }] });
  await carrierTransaction(exchange.services.db, carrierId, async (tx) => {
    const { nextSequence, ingestTime } = await lockFeed(tx, carrierId, FeedId.CDRS);
    await sql`
      INSERT INTO cdr_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, partial, direction, quality_verdict, payload)
      VALUES (${carrierId}, ${nextSequence}, to_timestamp(${String(ingestTime)}::numeric / 1000000), 'erasure-1', ${recordDate}, 1, 3, false, 0, 0,
        ${Buffer.from(toBinary(ErasureEntrySchema, entry))})`.execute(tx);
    await advanceFeed(tx, carrierId, FeedId.CDRS, nextSequence + 1n);
  });
}

describe("rule 1, filtered: every matching record of a range, and no other", () => {
  test("direction, customers, numbers, trunk and verdict, alone and together", async () => {
    const client = await newCarrier("filters");
    const inbound = {
      direction: 2,
      parties: { calling: { kind: 1, value: "+12025550123" }, called: { kind: 1, value: NUMBER } },
    };
    const byOther = {
      parties: { calling: { kind: 1, value: OTHER_NUMBER }, called: { kind: 1, value: "+12025550123" } },
    };
    await ingest(exchange, "filters", [
      call("out-good", { ...GOOD, route: { trunkId: "t1" } }),
      call("in-poor", { ...inbound, ...POOR, route: { trunkId: "t2" } }),
      call("other-poor", { ...byOther, ...POOR, route: { trunkId: "t1" } }),
      call("unmeasured"),
    ]);
    const expected: [object, string[]][] = [
      [{ direction: 1 }, ["out-good", "other-poor", "unmeasured"]],
      [{ direction: 2 }, ["in-poor"]],
      [{ customerIds: ["customer-2"] }, ["other-poor"]],
      [{ customerIds: ["customer-1", "customer-2"] }, ["out-good", "in-poor", "other-poor", "unmeasured"]],
      [{ phoneNumbers: [NUMBER] }, ["out-good", "in-poor", "unmeasured"]],
      [{ trunkId: "t1" }, ["out-good", "other-poor"]],
      [{ qualityVerdicts: [2] }, ["in-poor", "other-poor"]],
      [{ qualityVerdicts: [1, 3] }, ["out-good", "unmeasured"]],
      [{ direction: 1, trunkId: "t1", qualityVerdicts: [2] }, ["other-poor"]],
      [{ customerIds: ["nobody"] }, []],
    ];
    for (const [filter, ids] of expected) {
      const found = await readAll(client, { start: EARLIEST, end: HEAD, filter });
      expect(found.ids).toEqual(ids);
      expect(found.messages.at(-1)?.throughSequence).toBe(4n);
    }
  });

  test("a filter that is wrong names its field", async () => {
    const client = await newCarrier("wrong-filters");
    const wrong: [object, string][] = [
      [{ direction: 9 }, "filter.direction"],
      [{ customerIds: Array.from({ length: 101 }, (_, index) => `c${index}`) }, "filter.customer_ids"],
      [{ customerIds: ["\0"] }, "filter.customer_ids"],
      [{ phoneNumbers: ["12"] }, "filter.phone_numbers"],
      [{ trunkId: "" }, "filter.trunk_id"],
      [{ qualityVerdicts: [0] }, "filter.quality_verdicts"],
      [{ qualityVerdicts: [1, 2, 3, 1] }, "filter.quality_verdicts"],
    ];
    for (const [filter, field] of wrong) {
      const refused = { code: Code.InvalidArgument, reason: "INVALID_ARGUMENT", field };
      expect(await refusedFeed(client, { start: EARLIEST, filter })).toMatchObject(refused);
    }
  });

  test("a run of more than 20,000 entries without a match moves the position on, and the match behind it comes", async () => {
    const client = await newCarrier("long-run");
    await ingest(exchange, "long-run", [
      call("first", { route: { trunkId: "rare" } }),
      ...calls("r", 21_000),
      call("last", { route: { trunkId: "rare" } }),
    ]);
    const filter = { trunkId: "rare" };
    const { messages, ids } = await readAll(client, { start: EARLIEST, end: HEAD, filter });
    expect(ids).toEqual(["first", "last"]);
    expect(messages.filter(({ frame }) => frame.case === "batch").length).toBeGreaterThan(1);
    expect(messages.at(-1)?.throughSequence).toBe(21_002n);
    // From a cursor in the middle of the run, whose entry the stream never showed.
    const middle = messages.find(({ throughSequence }) => throughSequence > 1n && throughSequence < 21_002n);
    const rest = await readAll(client, { start: atCursor(middle?.cursor ?? ""), end: HEAD, filter });
    expect(rest.ids).toEqual(["last"]);
  });

  test("a live filtered stream covers what it leaves out, and its heartbeat proves it", async () => {
    const client = await newCarrier("live-filter");
    using feed = readFeed(client, { start: LATEST, filter: { trunkId: "rare" } });
    await feed.until((messages) => messages.length > 0);
    await ingest(exchange, "live-filter", calls("r", 5));
    await ingest(exchange, "live-filter", [call("match", { route: { trunkId: "rare" } })]);
    await ingest(exchange, "live-filter", calls("s", 5));
    await feed.until(
      (messages) => messages.at(-1)?.frame.case === "heartbeat" && messages.at(-1)?.throughSequence === 11n,
    );
    checkRanges(feed.messages, true);
    expect(idsOf(feed.messages)).toEqual(["match"]);
  });
});

describe("rule 7: corrections and erasures are entries", () => {
  test("a correction and a VOID come as later entries with a higher revision, and the earlier ones stay", async () => {
    const client = await newCarrier("corrections");
    await ingest(exchange, "corrections", [call("a", { completeness: Completeness.PARTIAL }), call("b")]);
    await ingest(exchange, "corrections", [call("a", { revision: 2, ...POOR })]);
    const { recordDate } = call("b");
    await ingest(exchange, "corrections", [call("b", { revision: 2, kind: 2 })]);
    const { records } = await readAll(client, { start: EARLIEST, end: HEAD });
    const seen = records.map(({ recordId, revision, kind, sequence }) => [recordId, revision, kind, Number(sequence)]);
    expect(seen).toEqual([
      ["a", 1, 1, 1],
      ["b", 1, 1, 2],
      ["a", 2, 1, 3],
      ["b", 2, 2, 4],
    ]);
    expect(records.every((record) => record.recordDate === recordDate)).toBe(true);
  });

  test("a VOID reaches every filtered stream that saw what it takes back, whether it names an identity only or more", async () => {
    const client = await newCarrier("voids");
    const { recordDate, callId, direction, parties, times } = call("bare");
    const rest = { ...POOR, route: { trunkId: "t1" } };
    await ingest(exchange, "voids", [call("bare", rest), call("full", rest)]);
    const taken = { recordDate, revision: 2, kind: 2 };
    const full = { ...taken, recordId: "full", callId, direction, ...(parties && times ? { parties, times } : {}) };
    await ingest(exchange, "voids", [
      create(CallDetailRecordSchema, { ...taken, recordId: "bare" }),
      create(CallDetailRecordSchema, full),
    ]);
    const filters = [
      { direction: 1 },
      { customerIds: ["customer-1"] },
      { phoneNumbers: [NUMBER] },
      { trunkId: "t1" },
      { qualityVerdicts: [2] },
    ];
    for (const filter of filters) {
      const { records } = await readAll(client, { start: EARLIEST, end: HEAD, filter });
      const seen = records.map((record) => `${record.recordId}#${record.revision}`);
      expect(seen, JSON.stringify(filter)).toEqual(["bare#1", "full#1", "bare#2", "full#2"]);
    }
  });

  test("an erasure is an entry of every stream, whatever its filter, and names the records", async () => {
    const client = await newCarrier("erasures");
    const erased = call("gone");
    await ingest(exchange, "erasures", [erased, call("kept")]);
    using live = readFeed(client, { start: LATEST, filter: { trunkId: "none" } });
    await live.until((messages) => messages.length > 0);
    await appendErasure("erasures", erased.recordId, erased.recordDate);
    await live.until((messages) => messages.some(({ frame }) => frame.case === "batch"));
    for (const filter of [undefined, { trunkId: "none" }, { direction: 2, qualityVerdicts: [1] }]) {
      const { entries } = await readAll(client, { start: EARLIEST, end: HEAD, ...(filter ? { filter } : {}) });
      expect(entries.at(-1)?.entry).toMatchObject({
        case: "erasure",
        value: {
          erasureId: "erasure-1",
          records: [{ recordId: "gone", recordDate: erased.recordDate }],
          sequence: 3n,
          ingestTime: { seconds: expect.any(BigInt) },
        },
      });
      expect(entries).toHaveLength(filter ? 1 : 3);
    }
  });
});

describe("what a carrier may see", () => {
  const network = { platformMediaAddress: "192.0.2.1", userAgent: "SBC/1.0" };

  test("network identifiers come only where the agreement allows them, in the feed, in lists and by id", async () => {
    for (const allowed of [true, false]) {
      const carrierId = allowed ? "with-network" : "without-network";
      const client = await newCarrier(carrierId, { networkIdentifiersAllowed: allowed });
      const sent = call("n", { networkIdentifiers: network, ...POOR });
      await ingest(exchange, carrierId, [sent]);
      const invite = sent.times?.inviteTime;
      const period = { startTime: invite, endTime: { seconds: (invite?.seconds ?? 0n) + 1n, nanos: 0 } };
      const found = [
        ...(await readAll(client, { start: EARLIEST, end: HEAD })).records,
        ...(await readAll(client, { start: EARLIEST, end: HEAD, filter: { direction: 1 } })).records,
        ...(await client.getCdr({ name: { case: "recordId", value: "n" } })).records,
        ...(await client.listCdrs({ ...period } as Parameters<typeof client.listCdrs>[0])).records,
      ];
      expect(found).toHaveLength(4);
      for (const record of found) {
        expect(record.networkIdentifiers?.userAgent).toBe(allowed ? "SBC/1.0" : undefined);
        expect(record.streamQualities).toHaveLength(1);
        expect(record.qualityReasons).toEqual([4]);
      }
    }
  });

  test("network identifiers stop in a live stream too once the agreement no longer allows them", async () => {
    const client = await newCarrier("revoked", { networkIdentifiersAllowed: true });
    using live = readFeed(client, { start: LATEST });
    await live.until((messages) => messages.length > 0);
    await ingest(exchange, "revoked", [call("before", { networkIdentifiers: network })]);
    await live.until((messages) => idsOf(messages).length === 1);
    const revoke = sql`UPDATE carrier SET settings = settings || '{"networkIdentifiersAllowed": false}' WHERE carrier_id = 'revoked'`;
    await runSql(exchange, revoke);
    exchange.services.carriers.forget("revoked");
    const heard = live.messages.length;
    await live.until((messages) => messages.length >= heard + 2);
    await ingest(exchange, "revoked", [call("after", { networkIdentifiers: network })]);
    await live.until((messages) => idsOf(messages).length === 2);
    expect(recordsOf(live.messages).map((record) => record.networkIdentifiers?.userAgent)).toEqual([
      "SBC/1.0",
      undefined,
    ]);
  });
});
