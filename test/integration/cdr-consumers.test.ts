import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeCursor } from "../../src/feed/cursor.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  atCursor,
  call,
  calls,
  EARLIEST,
  HEAD,
  ingest,
  NUMBER,
  readAll,
  readFeed,
  refusal,
  refusedFeed,
  until,
} from "../support/feed.ts";

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100 });
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function newCarrier(carrierId: string, entries: number) {
  await exchange.addCarrier(carrierId);
  await exchange.assignNumbers(carrierId, [NUMBER]);
  await ingest(exchange, carrierId, calls("r", entries));
  const client = await exchange.carrierClient(CdrService, carrierId);
  /** The cursor after so many entries. */
  const cursorAt = async (sequence: number) => {
    using feed = readFeed(client, { start: EARLIEST });
    await feed.until((messages) => messages.length > 0);
    const first = feed.messages[0]?.cursor ?? "";
    if (sequence === 0) return first;
    const times = (await readAll(client, { start: EARLIEST, end: HEAD })).records;
    const at = times[sequence - 1]?.ingestTime;
    const ingestTime = (at?.seconds ?? 0n) * 1_000_000n + BigInt((at?.nanos ?? 0) / 1_000);
    const scope = { carrierId, feed: 2, filter: 0n };
    return encodeCursor(exchange.services.seals, scope, {
      epoch: 1n,
      sequence: BigInt(sequence),
      ingestTime,
    });
  };
  return { client, cursorAt };
}

const start = (consumer: string) => ({ position: { case: "consumer" as const, value: consumer } });

describe("named consumers", () => {
  test("a commit moves a consumer on only from the cursor that it committed before, and its retry succeeds", async () => {
    const { client, cursorAt } = await newCarrier("commits", 10);
    const [three, five, nine] = [await cursorAt(3), await cursorAt(5), await cursorAt(9)];
    const conflict = { code: Code.Aborted, reason: "CONSUMER_CURSOR_CONFLICT" };
    const commit = (cursor: string, previousCursor?: string) =>
      client.commitCdrCursor({ consumer: "dw", cursor, ...(previousCursor === undefined ? {} : { previousCursor }) });

    expect(await refusal(commit(five, three))).toMatchObject({ ...conflict, committed_sequence: "0" });
    expect((await commit(three)).consumer).toMatchObject({ cursor: three, committedSequence: 3n, lagEntries: 7n });
    expect((await commit(three)).consumer).toMatchObject({ committedSequence: 3n });
    expect(await refusal(commit(five))).toMatchObject({ ...conflict, committed_sequence: "3" });
    expect((await commit(five, three)).consumer).toMatchObject({ committedSequence: 5n });
    // Its answer was lost: the same commit again.
    expect((await commit(five, three)).consumer).toMatchObject({ committedSequence: 5n });
    expect(await refusal(commit(nine, three))).toMatchObject({ ...conflict, committed_sequence: "5" });
  });

  test("a position counts, and not its text: the same position has another each time", async () => {
    const { client, cursorAt } = await newCarrier("texts", 5);
    expect(await cursorAt(3)).not.toBe(await cursorAt(3));
    const commit = async (sequence: number, previous?: number) => {
      const previousCursor = previous === undefined ? undefined : await cursorAt(previous);
      const request = { consumer: "dw", cursor: await cursorAt(sequence) };
      return client.commitCdrCursor(previousCursor === undefined ? request : { ...request, previousCursor });
    };
    await commit(3);
    expect((await commit(3)).consumer).toMatchObject({ committedSequence: 3n });
    expect((await commit(5, 3)).consumer).toMatchObject({ committedSequence: 5n });
    expect((await commit(5, 3)).consumer).toMatchObject({ committedSequence: 5n });
    expect(await refusal(commit(4, 3))).toMatchObject({ reason: "CONSUMER_CURSOR_CONFLICT" });
  });

  test("of two instances that commit from the same cursor exactly one wins", async () => {
    const { client, cursorAt } = await newCarrier("rivals", 20);
    const first = await cursorAt(1);
    await client.commitCdrCursor({ consumer: "dw", cursor: first });
    const cursors: string[] = [];
    for (let sequence = 2; sequence <= 11; sequence++) cursors.push(await cursorAt(sequence));
    const outcomes = await Promise.allSettled(
      cursors.map((cursor) => client.commitCdrCursor({ consumer: "dw", cursor, previousCursor: first })),
    );
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("a stream starts after what its consumer committed; one that never committed is CONSUMER_NOT_FOUND", async () => {
    const { client, cursorAt } = await newCarrier("starts", 5);
    await client.commitCdrCursor({ consumer: "dw", cursor: await cursorAt(3) });
    expect((await readAll(client, { start: start("dw"), end: HEAD })).ids).toEqual(["r-3", "r-4"]);
    const notFound = { code: Code.NotFound, reason: "CONSUMER_NOT_FOUND", consumer: "nobody" };
    expect(await refusedFeed(client, { start: start("nobody") })).toMatchObject(notFound);
    const invalid = { reason: "INVALID_ARGUMENT", field: "consumer" };
    for (const name of ["", "a b", "x".repeat(65), "\0"]) {
      expect(await refusedFeed(client, { start: start(name) })).toMatchObject(invalid);
      expect(await refusal(client.commitCdrCursor({ consumer: name, cursor: await cursorAt(1) }))).toMatchObject(
        invalid,
      );
    }
  });

  test("a consumer of a filtered stream goes on with its filter, and only with it", async () => {
    const { client } = await newCarrier("filtered", 3);
    const filter = { direction: 1 };
    const { messages } = await readAll(client, { start: EARLIEST, end: HEAD, filter });
    await client.commitCdrCursor({ consumer: "out", cursor: messages.at(-1)?.cursor ?? "" });
    await ingest(exchange, "filtered", [call("next")]);
    expect((await readAll(client, { start: start("out"), end: HEAD, filter })).ids).toEqual(["next"]);
    expect(await refusedFeed(client, { start: start("out") })).toMatchObject({ reason: "CURSOR_FILTER_MISMATCH" });
  });

  test("consumers are listed by name in pages, with their lag in entries and in time", async () => {
    const { client, cursorAt } = await newCarrier("lags", 10);
    const cursors = { c: await cursorAt(10), a: await cursorAt(0), b: await cursorAt(4) };
    for (const [consumer, cursor] of Object.entries(cursors)) await client.commitCdrCursor({ consumer, cursor });
    const first = await client.listCdrConsumers({ pageSize: 2 });
    expect(first.consumers.map(({ consumer, lagEntries }) => [consumer, lagEntries])).toEqual([
      ["a", 10n],
      ["b", 6n],
    ]);
    const second = await client.listCdrConsumers({ pageSize: 2, pageToken: first.nextPageToken });
    expect(second.consumers).toMatchObject([{ consumer: "c", lagEntries: 0n, lagMs: 0n }]);
    expect(second.nextPageToken).toBe("");
    const lagOf = async () => (await client.listCdrConsumers({})).consumers.map(({ lagMs }) => lagMs);
    await until(async () => (await lagOf()).map((ms) => ms > 50n), [true, true, false]);
    const forged = await refusal(client.listCdrConsumers({ pageToken: `${first.nextPageToken}A` }));
    expect(forged).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
  });

  test("a carrier has at most 100 consumers", async () => {
    const { client, cursorAt } = await newCarrier("many", 1);
    const cursor = await cursorAt(1);
    for (let index = 0; index < 100; index++) await client.commitCdrCursor({ consumer: `c${index}`, cursor });
    const refused = await refusal(client.commitCdrCursor({ consumer: "c100", cursor }));
    expect(refused).toMatchObject({ reason: "CONSUMER_CURSOR_CONFLICT" });
    expect((await client.commitCdrCursor({ consumer: "c7", cursor })).consumer).toMatchObject({ consumer: "c7" });
  });

  test("what is no cursor is refused as such, as the position and as the previous one", async () => {
    const { client, cursorAt } = await newCarrier("hostile", 2);
    const cursor = await cursorAt(1);
    for (const text of ["x", "\0", "\ud800".toWellFormed(), "y".repeat(100_000)]) {
      const malformed = { code: Code.InvalidArgument, reason: "CURSOR_MALFORMED" };
      expect(await refusal(client.commitCdrCursor({ consumer: "h", cursor: text }))).toMatchObject(malformed);
      const previous = client.commitCdrCursor({ consumer: "h", cursor, previousCursor: text });
      expect(await refusal(previous)).toMatchObject(malformed);
    }
    expect(await refusal(client.commitCdrCursor({ consumer: "h" }))).toMatchObject({ field: "cursor" });
  });
});

describe("positions by time", () => {
  test("ResolveCdrCursor gives the cursor before the first entry of an instant, also with a filter", async () => {
    const { client } = await newCarrier("resolve", 2);
    await ingest(exchange, "resolve", [call("later")]);
    const { records } = await readAll(client, { start: EARLIEST, end: HEAD });
    const later = records[2]?.ingestTime;
    if (!later) throw new Error("no ingest time");
    const resolved = await client.resolveCdrCursor({ ingestTime: later });
    expect(resolved.afterSequence).toBe(2n);
    expect((await readAll(client, { start: atCursor(resolved.cursor), end: HEAD })).ids).toEqual(["later"]);
    const filter = { direction: 1 };
    const filtered = await client.resolveCdrCursor({ ingestTime: later, filter });
    expect((await readAll(client, { start: atCursor(filtered.cursor), end: HEAD, filter })).ids).toEqual(["later"]);
  });

  test("an instant in the future is INGEST_TIME_IN_FUTURE with the server's time; none is INVALID_ARGUMENT", async () => {
    const { client } = await newCarrier("future", 1);
    const seconds = BigInt(Math.floor(Date.now() / 1_000) + 3_600);
    expect(await refusal(client.resolveCdrCursor({ ingestTime: { seconds, nanos: 0 } }))).toMatchObject({
      code: Code.InvalidArgument,
      reason: "INGEST_TIME_IN_FUTURE",
      server_time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    expect(await refusal(client.resolveCdrCursor({}))).toMatchObject({
      reason: "INVALID_ARGUMENT",
      field: "ingest_time",
    });
  });

  test("GetCdrFeed tells epoch and ends, and no time of a feed without entries", async () => {
    const { client } = await newCarrier("ends", 4);
    expect(await client.getCdrFeed({})).toMatchObject({
      feedEpoch: 1n,
      earliestSequence: 1n,
      headSequence: 4n,
      headIngestTime: { seconds: expect.any(BigInt) },
    });
    const empty = await newCarrier("empty", 0);
    const feed = await empty.client.getCdrFeed({});
    expect(feed).toMatchObject({ earliestSequence: 1n, headSequence: 0n });
    expect(feed.headIngestTime).toBeUndefined();
  });
});
