import { toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FeedId } from "../../src/domain/feed-id.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import {
  ReconciliationService,
  WatchDiscrepanciesResponseSchema,
} from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { appendDiscrepancies, appendErasure, type PartialResult } from "../support/call-results.ts";
import { curlStream, readEnvelopes } from "../support/curl.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  atCursor,
  atTime,
  checkRanges,
  closingReason,
  discrepanciesOf,
  EARLIEST,
  framesOf,
  HEAD,
  LATEST,
  raiseFloor,
  readAllDiscrepancies,
  readDiscrepancies,
  refusal,
  runSql,
  untilNoStreams,
} from "../support/feed.ts";

const METHOD = "tandem.carrier.v1.ReconciliationService/WatchDiscrepancies";

type WatchRequest = Parameters<typeof readDiscrepancies>[1];

let exchange: Exchange;
let carrierCount = 0;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100, maxFeedStreams: 2 });
});
afterAll(() => exchange[Symbol.asyncDispose]());

/** A carrier of a test's own, with these entries in its feed. */
async function newCarrier(rows: readonly PartialResult[] = []) {
  const carrierId = `carrier-${++carrierCount}`;
  await exchange.addCarrier(carrierId);
  const append = (more: readonly PartialResult[]) => appendDiscrepancies(exchange.services.db, carrierId, more);
  await append(rows);
  return { carrierId, append, client: await exchange.carrierClient(ReconciliationService, carrierId) };
}

const named = (count: number): PartialResult[] =>
  Array.from({ length: count }, (_, index) => ({ discrepancy_id: `d-${index}` }));
const idsOf = (discrepancies: readonly { discrepancyId: string }[]) => discrepancies.map((each) => each.discrepancyId);

async function refused(client: Awaited<ReturnType<typeof newCarrier>>["client"], request: WatchRequest) {
  using feed = readDiscrepancies(client, request);
  const outcome = await refusal(feed.ended);
  expect(feed.messages).toEqual([]);
  return outcome;
}

describe("rule 1: dense sequences, ranges and cursors", () => {
  test("every message carries a range that joins on and a cursor from which the stream resumes exactly there", async () => {
    const { client, append } = await newCarrier(named(1_200));
    using feed = readDiscrepancies(client, { start: EARLIEST });
    await feed.until((messages) => framesOf(messages).filter((frame) => frame === "heartbeat").length >= 2);
    await append([{ discrepancy_id: "late" }]);
    await feed.until((messages) => discrepanciesOf(messages).some(({ discrepancyId }) => discrepancyId === "late"));
    checkRanges(feed.messages);
    expect(feed.messages.at(-1)?.throughSequence).toBe(1_201n);
    expect(new Set(framesOf(feed.messages))).toEqual(new Set(["opened", "batch", "caughtUp", "heartbeat"]));

    const all = idsOf(discrepanciesOf(feed.messages));
    const cursors = new Map(feed.messages.map(({ cursor, throughSequence }) => [cursor, Number(throughSequence)]));
    for (const [cursor, through] of cursors) {
      const rest = await readAllDiscrepancies(client, { start: atCursor(cursor), end: HEAD });
      expect(rest.messages[0]?.afterSequence).toBe(BigInt(through));
      expect(idsOf(rest.discrepancies)).toEqual(all.slice(through));
    }
  });

  test("an entry is the discrepancy whole, with its sequence and the time at which it was committed", async () => {
    const { client, carrierId } = await newCarrier([
      { discrepancy_id: "d", status: 4, causes: 1 << 6, customer_id: "c", trunk_id: "t", carrier_ms: 66_000n },
    ]);
    const { discrepancies } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD });
    const [entry] = await runSql<{ time: bigint }>(
      exchange,
      sql`SELECT ingest_time AS time FROM discrepancy_entry WHERE carrier_id = ${carrierId}`,
    );
    const { seconds = 0n, nanos = 0 } = discrepancies[0]?.updateTime ?? {};
    expect(seconds * 1_000_000n + BigInt(nanos / 1_000)).toBe(entry?.time);
    expect(discrepancies).toMatchObject([
      {
        discrepancyId: "d",
        carrierId,
        revision: 1,
        status: 4,
        findings: [{ cause: 6 }],
        customerId: "c",
        trunkId: "t",
        deltas: { connectedDurationDeltaMs: 6_000n },
        sequence: 1n,
      },
    ]);
  });
});

describe("what a message is made of", () => {
  test("in JSON, over Connect, a batch says what it says in binary", async () => {
    const { client, carrierId } = await newCarrier([...named(2), { discrepancy_id: "d-0", status: 1 }]);
    await appendErasure(exchange.services.db, carrierId, ["d-1"]);
    const token = await exchange.carrierToken(carrierId);
    const request = { start: { earliest: {} }, end: { head: {} } };
    const { exitCode, body } = await curlStream(exchange.url, token, METHOD, request);
    expect(exitCode).toBe(0);
    const { messages, end } = readEnvelopes(WatchDiscrepanciesResponseSchema, body);
    expect(end).toEqual({});
    const batches = (all: typeof messages) => all.flatMap(({ frame }) => (frame.case === "batch" ? [frame.value] : []));
    const binary = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD });
    expect(batches(messages)).toEqual(batches(binary.messages));
    expect(batches(messages)[0]?.entries).toHaveLength(4);
  });

  test("a message stays below 4 MiB, however large the discrepancies are", async () => {
    const { client } = await newCarrier(named(1_000).map((row) => ({ ...row, call_id: "x".repeat(6_000) })));
    const { messages, discrepancies } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD });
    expect(discrepancies).toHaveLength(1_000);
    const sizes = messages.map((message) => toBinary(WatchDiscrepanciesResponseSchema, message).length);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(4_194_304);
    expect(Math.max(...sizes)).toBeLessThan(4_194_304);
  });
});

describe("rule 2: where a stream starts and ends", () => {
  test("a start is required, and a consumer is refused", async () => {
    const { client } = await newCarrier(named(1));
    const invalid = { code: Code.InvalidArgument, reason: "INVALID_ARGUMENT" };
    expect(await refused(client, {})).toMatchObject({ ...invalid, field: "start" });
    const consumer = { position: { case: "consumer" as const, value: "warehouse" } };
    expect(await refused(client, { start: consumer })).toMatchObject({ ...invalid, field: "start.consumer" });
    expect(await refused(client, { start: EARLIEST, end: {} })).toMatchObject({ ...invalid, field: "end.position" });
  });

  test("earliest, latest, a cursor and an ingest time start where they say, and a time ends there", async () => {
    const { client, carrierId, append } = await newCarrier([]);
    for (const id of ["a", "b", "c"]) await append([{ discrepancy_id: id }]);
    const [second] = await runSql<{ time: bigint }>(
      exchange,
      sql`SELECT ingest_time AS time FROM discrepancy_entry WHERE carrier_id = ${carrierId} AND sequence = 2`,
    );
    const read = async (start: WatchRequest["start"] & {}, end: WatchRequest["end"] & {} = HEAD) =>
      idsOf((await readAllDiscrepancies(client, { start, end })).discrepancies);
    const time = atTime(second?.time ?? 0n);
    expect(await read(EARLIEST)).toEqual(["a", "b", "c"]);
    expect(await read(LATEST)).toEqual([]);
    expect(await read(time)).toEqual(["b", "c"]);
    expect(await read(EARLIEST, time)).toEqual(["a"]);
    const { messages } = await readAllDiscrepancies(client, { start: EARLIEST, end: time });
    expect(await read(atCursor(messages.at(-1)?.cursor ?? ""))).toEqual(["b", "c"]);
    expect(await refused(client, { start: atTime(BigInt(Date.now() + 3_600_000) * 1_000n) })).toMatchObject({
      reason: "INGEST_TIME_IN_FUTURE",
    });
  });
});

describe("rule 3: the frames of a stream", () => {
  test("Opened comes at once with the feed's ends, CaughtUp once after everything there was, END_REACHED last", async () => {
    const { client } = await newCarrier(named(3));
    const { messages } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD });
    expect(framesOf(messages)).toEqual(["opened", "batch", "closing"]);
    expect(messages[0]?.frame).toMatchObject({
      value: { feedEpoch: 1n, earliestSequence: 1n, headSequence: 3n, heartbeatInterval: { nanos: 100_000_000 } },
    });
    using live = readDiscrepancies(client, { start: LATEST });
    await live.until((all) => framesOf(all).includes("heartbeat"));
    expect(framesOf(live.messages).slice(0, 2)).toEqual(["opened", "caughtUp"]);
  });

  test("DRAINING closes live streams in band, and the call ends with UNAVAILABLE", async () => {
    await using own = await startExchange();
    await own.addCarrier("alpha");
    using live = readDiscrepancies(await own.carrierClient(ReconciliationService, "alpha"), { start: LATEST });
    await live.until((messages) => framesOf(messages).includes("caughtUp"));
    const drained = own.drain();
    expect(await refusal(live.ended)).toMatchObject({ code: Code.Unavailable, reason: "DRAINING" });
    await drained;
    expect(closingReason(live.messages)).toBe("DRAINING");
    await untilNoStreams(own);
  });

  test("SUSPENDED ends live streams", async () => {
    const { client, carrierId } = await newCarrier();
    using live = readDiscrepancies(client, { start: LATEST });
    await live.until((messages) => framesOf(messages).includes("caughtUp"));
    await runSql(exchange, sql`UPDATE carrier SET suspended = true WHERE carrier_id = ${carrierId}`);
    expect(await refusal(live.ended)).toMatchObject({ reason: "CARRIER_SUSPENDED" });
    expect(closingReason(live.messages)).toBe("SUSPENDED");
  });

  test("one stream too many is refused with TOO_MANY_STREAMS", async () => {
    const { client } = await newCarrier();
    using one = readDiscrepancies(client, { start: LATEST });
    using two = readDiscrepancies(client, { start: LATEST });
    await Promise.all([one, two].map((feed) => feed.until((messages) => messages.length > 0)));
    expect(await refused(client, { start: LATEST })).toMatchObject({ reason: "TOO_MANY_STREAMS", limit: "2" });
  });
});

describe("rule 4: the epoch, and cursors", () => {
  test("a rotated epoch refuses every older cursor with FEED_EPOCH_CHANGED", async () => {
    const { client, carrierId } = await newCarrier(named(2));
    const { messages } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD });
    await runSql(exchange, sql`UPDATE feed_head SET epoch = 2 WHERE carrier_id = ${carrierId} AND feed = 3`);
    const start = atCursor(messages.at(-1)?.cursor ?? "");
    expect(await refused(client, { start })).toMatchObject({ reason: "FEED_EPOCH_CHANGED", feed_epoch: "2" });
  });

  test("a restore that puts another entry at the cursor's place is noticed", async () => {
    const { client, carrierId } = await newCarrier(named(2));
    const { messages } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD });
    await runSql(
      exchange,
      sql`UPDATE discrepancy_entry SET ingest_time = ingest_time + interval '1 second' WHERE carrier_id = ${carrierId}`,
    );
    const start = atCursor(messages.at(-1)?.cursor ?? "");
    expect(await refused(client, { start })).toMatchObject({ reason: "FEED_EPOCH_CHANGED" });
  });

  test("a cursor below the floor is CURSOR_EXPIRED with the earliest sequence", async () => {
    const { client, carrierId, append } = await newCarrier(named(1));
    const { messages } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD });
    await append(named(5).slice(1));
    await raiseFloor(exchange, carrierId, 4n, FeedId.DISCREPANCIES);
    const start = atCursor(messages.at(-1)?.cursor ?? "");
    expect(await refused(client, { start })).toMatchObject({ reason: "CURSOR_EXPIRED", earliest_sequence: "4" });
    expect(idsOf((await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD })).discrepancies)).toEqual([
      "d-3",
      "d-4",
    ]);
  });

  test("a cursor of another feed, or of another carrier's, is CURSOR_MALFORMED; of another filter, CURSOR_FILTER_MISMATCH", async () => {
    const { client, carrierId } = await newCarrier(named(2));
    const other = await newCarrier(named(2));
    const { messages } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD });
    const cursor = messages.at(-1)?.cursor ?? "";
    expect(await refused(other.client, { start: atCursor(cursor) })).toMatchObject({ reason: "CURSOR_MALFORMED" });
    const cdrs = await exchange.carrierClient(CdrService, carrierId);
    const resolved = await cdrs.resolveCdrCursor({ ingestTime: { seconds: 0n, nanos: 0 } });
    expect(await refused(client, { start: atCursor(resolved.cursor) })).toMatchObject({ reason: "CURSOR_MALFORMED" });
    expect(await refused(client, { start: atCursor(cursor), filter: { statuses: [4] } })).toMatchObject({
      reason: "CURSOR_FILTER_MISMATCH",
    });
  });

  test("a cursor stays good when the same filter is written in another order", async () => {
    const { client } = await newCarrier(named(2));
    const filter = { statuses: [4, 6], customerIds: ["b", "a"] };
    const { messages } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD, filter });
    const start = atCursor(messages.at(-1)?.cursor ?? "");
    const again = { statuses: [6, 4], customerIds: ["a", "b", "a"] };
    expect((await readAllDiscrepancies(client, { start, end: HEAD, filter: again })).discrepancies).toEqual([]);
  });
});

describe("filters", () => {
  test("every condition, alone and together", async () => {
    const { client } = await newCarrier([
      { discrepancy_id: "mismatch", status: 4, causes: 1 << 6, customer_id: "c1", trunk_id: "t1", carrier_ms: 66_000n },
      { discrepancy_id: "missing", status: 6, customer_id: "c2", trunk_id: "t2" },
      {
        discrepancy_id: "extra",
        status: 7,
        causes: (1 << 1) | (1 << 7),
        direction: 2,
        trunk_id: "t1",
        carrier_ms: 5_000n,
      },
      { discrepancy_id: "resolved", status: 2, customer_id: "c1", carrier_ms: 61_000n },
    ]);
    const expected: [NonNullable<WatchRequest["filter"]>, string[]][] = [
      [{}, ["mismatch", "missing", "extra", "resolved"]],
      [{ statuses: [4, 7] }, ["mismatch", "extra"]],
      [{ causes: [7] }, ["extra"]],
      [{ causes: [6, 1] }, ["mismatch", "extra"]],
      [{ customerIds: ["c1"] }, ["mismatch", "resolved"]],
      [{ trunkIds: ["t1", "t2"] }, ["mismatch", "missing", "extra"]],
      [{ direction: 2 }, ["extra"]],
      [{ unresolved: true }, ["mismatch", "missing", "extra"]],
      [{ unresolved: false }, ["resolved"]],
      [{ minAbsoluteDeltaMs: 5_000n }, ["mismatch", "missing", "extra"]],
      [{ minAbsoluteDeltaMs: 60_000n }, ["missing"]],
      [{ customerIds: ["c1"], unresolved: true, trunkIds: ["t1"] }, ["mismatch"]],
      [{ customerIds: ["nobody"] }, []],
    ];
    for (const [filter, ids] of expected) {
      const { discrepancies, messages } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD, filter });
      expect(
        idsOf(discrepancies),
        JSON.stringify(filter, (_, value) => (typeof value === "bigint" ? String(value) : value)),
      ).toEqual(ids);
      expect(messages.at(-1)?.throughSequence).toBe(4n);
    }
  });

  test("a change that leaves the filter is sent as well, and one that enters it", async () => {
    const { client } = await newCarrier([
      { discrepancy_id: "d", status: 6, customer_id: "c1", trunk_id: "t1", causes: 1 << 7 },
      { discrepancy_id: "d", status: 4, customer_id: "c2", trunk_id: "t2", causes: 1 << 6, carrier_ms: 90_000n },
      { discrepancy_id: "d", status: 1, customer_id: "c2", trunk_id: "t2" },
      { discrepancy_id: "d", status: 3, customer_id: "c3", trunk_id: "t2" },
    ]);
    const revisions = async (filter: NonNullable<WatchRequest["filter"]>) => {
      const { discrepancies } = await readAllDiscrepancies(client, { start: EARLIEST, end: HEAD, filter });
      return discrepancies.map(({ revision }) => revision);
    };
    expect(await revisions({ statuses: [6] })).toEqual([1, 2]);
    expect(await revisions({ statuses: [4] })).toEqual([2, 3]);
    expect(await revisions({ customerIds: ["c2"] })).toEqual([2, 3, 4]);
    expect(await revisions({ trunkIds: ["t1"] })).toEqual([1, 2]);
    expect(await revisions({ causes: [6] })).toEqual([2, 3]);
    expect(await revisions({ unresolved: true })).toEqual([1, 2, 3]);
    expect(await revisions({ minAbsoluteDeltaMs: 60_000n })).toEqual([1, 2]);
    // Before the change as a whole, or after it as a whole: never one condition here and another
    // there.
    expect(await revisions({ statuses: [6], customerIds: ["c2"] })).toEqual([]);
  });

  test("an erasure is an entry of every stream, whatever its filter", async () => {
    const { client, carrierId } = await newCarrier(named(1));
    expect(await appendErasure(exchange.services.db, carrierId, ["d-0"])).toBe(2n);
    const request = { start: EARLIEST, end: HEAD, filter: { customerIds: ["nobody"] } };
    const { messages } = await readAllDiscrepancies(client, request);
    const entries = messages.flatMap(({ frame }) => (frame.case === "batch" ? frame.value.entries : []));
    expect(entries).toMatchObject([
      { entry: { case: "erasure", value: { sequence: 2n, records: [{ recordId: "d-0" }], ingestTime: {} } } },
    ]);
  });

  test("a filter that is wrong names its field", async () => {
    const { client } = await newCarrier();
    const wrong: [object, string][] = [
      [{ statuses: [0] }, "filter.statuses"],
      [{ statuses: [15] }, "filter.statuses"],
      [{ statuses: Array.from({ length: 15 }, () => 1) }, "filter.statuses"],
      [{ causes: [10] }, "filter.causes"],
      [{ causes: Array.from({ length: 10 }, () => 1) }, "filter.causes"],
      [{ customerIds: Array.from({ length: 101 }, (_, index) => `c${index}`) }, "filter.customer_ids"],
      [{ customerIds: ["\0"] }, "filter.customer_ids"],
      [{ trunkIds: [""] }, "filter.trunk_ids"],
      [{ direction: 9 }, "filter.direction"],
      [{ minAbsoluteDeltaMs: -1n }, "filter.min_absolute_delta_ms"],
    ];
    for (const [filter, field] of wrong) {
      const invalid = { code: Code.InvalidArgument, reason: "INVALID_ARGUMENT", field };
      expect(await refused(client, { start: EARLIEST, filter })).toMatchObject(invalid);
    }
  });
});
