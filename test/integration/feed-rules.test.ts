import { toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CdrService, StreamCdrsResponseSchema } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  atCursor,
  atTime,
  call,
  calls,
  checkRanges,
  closingReason,
  EARLIEST,
  framesOf,
  HEAD,
  idsOf,
  ingest,
  LATEST,
  NUMBER,
  raiseFloor,
  readAll,
  readFeed,
  refusedFeed,
  runSql,
} from "../support/feed.ts";
import { SAMPLE_STREAM } from "../support/record-samples.ts";

let exchange: Exchange;
let carrierCount = 0;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100, maxFeedStreams: 4 });
});
afterAll(() => exchange[Symbol.asyncDispose]());

/** A carrier of a test's own, with so many entries in its feed. */
async function newCarrier(entries = 0) {
  carrierCount += 1;
  const carrierId = `carrier-${carrierCount}`;
  await exchange.addCarrier(carrierId);
  await exchange.assignNumbers(carrierId, [NUMBER]);
  await ingest(exchange, carrierId, calls("r", entries));
  return { carrierId, client: await exchange.carrierClient(CdrService, carrierId) };
}

function ingestTimeOf(carrierId: string, sequence: bigint): Promise<bigint> {
  const query = sql<{
    time: bigint;
  }>`SELECT ingest_time AS time FROM cdr_record WHERE carrier_id = ${carrierId} AND sequence = ${sequence}`;
  return runSql(exchange, query).then((rows) => rows[0]?.time ?? 0n);
}

describe("rule 1: dense sequences, ranges and cursors", () => {
  test("every message, heartbeats too, carries a range that joins on and a cursor from which the stream resumes exactly there", async () => {
    const { carrierId, client } = await newCarrier(2_500);
    using feed = readFeed(client, { start: EARLIEST });
    await feed.until((messages) => framesOf(messages).filter((frame) => frame === "heartbeat").length >= 2);
    await ingest(exchange, carrierId, [call("late")]);
    await feed.until((messages) => idsOf(messages).includes("late"));
    checkRanges(feed.messages);
    expect(feed.messages.at(-1)?.throughSequence).toBe(2_501n);
    expect(new Set(framesOf(feed.messages))).toEqual(new Set(["opened", "batch", "caughtUp", "heartbeat"]));

    const all = idsOf(feed.messages);
    const cursors = new Map(feed.messages.map(({ cursor, throughSequence }) => [cursor, Number(throughSequence)]));
    for (const [cursor, through] of cursors) {
      const rest = await readAll(client, { start: atCursor(cursor), end: HEAD });
      expect(rest.messages[0]?.afterSequence).toBe(BigInt(through));
      expect(rest.ids).toEqual(all.slice(through));
    }
  });

  test("each carrier has a sequence of its own, from 1", async () => {
    const [one, other] = [await newCarrier(3), await newCarrier(2)];
    expect((await readAll(one.client, { start: EARLIEST, end: HEAD })).entries).toHaveLength(3);
    const { records } = await readAll(other.client, { start: EARLIEST, end: HEAD });
    expect(records.map((record) => record.sequence)).toEqual([1n, 2n]);
    expect(records.map((record) => record.carrierId)).toEqual([other.carrierId, other.carrierId]);
  });

  test("entries that a database with a clock far ahead has taken are read like others", async () => {
    const { carrierId, client } = await newCarrier(3);
    const ahead = sql`clock_timestamp() + interval '3 days'`;
    for (const table of ["cdr_record", "cdr_quality"])
      await runSql(
        exchange,
        sql`UPDATE ${sql.table(table)} SET ingest_time = ${ahead} WHERE carrier_id = ${carrierId} AND sequence > 1`,
      );
    await runSql(
      exchange,
      sql`UPDATE feed_head h SET last_ingest_time = ${ahead} WHERE h.carrier_id = ${carrierId} AND h.feed = 2`,
    );
    const { messages, ids } = await readAll(client, { start: EARLIEST, end: HEAD });
    expect(ids).toEqual(["r-0", "r-1", "r-2"]);
    checkRanges(messages);
  });

  test("a message stays below 4 MiB, however large the records are", async () => {
    const { carrierId, client } = await newCarrier();
    const stream = { ...SAMPLE_STREAM, mosAlgorithm: "x".repeat(64), codec: "y".repeat(32) };
    const large = calls("large", 1_200, {
      streamQualities: Array.from({ length: 16 }, () => stream),
      outcome: { finalSipCode: 200, reasonPhrase: "\u{1f4de}".repeat(128), closeReason: "\u{1f4de}".repeat(128) },
    });
    await ingest(exchange, carrierId, large);
    const { messages, ids } = await readAll(client, { start: EARLIEST, end: HEAD });
    expect(ids).toEqual(large.map((record) => record.recordId));
    const sizes = messages.map((message) => toBinary(StreamCdrsResponseSchema, message).length);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(1.5 * 4_194_304);
    expect(Math.max(...sizes)).toBeLessThan(4_194_304);
  });
});

describe("rule 2: where a stream starts and ends", () => {
  test("a start is required, and an end that is set needs a position", async () => {
    const { client } = await newCarrier(1);
    const refusal = { code: Code.InvalidArgument, reason: "INVALID_ARGUMENT" };
    expect(await refusedFeed(client, {})).toMatchObject({ ...refusal, field: "start" });
    expect(await refusedFeed(client, { start: {} })).toMatchObject({ ...refusal, field: "start" });
    expect(await refusedFeed(client, { start: EARLIEST, end: {} })).toMatchObject({
      ...refusal,
      field: "end.position",
    });
  });

  test("earliest, latest, a cursor and an ingest time start where they say", async () => {
    const { carrierId, client } = await newCarrier(3);
    const first = await readAll(client, { start: EARLIEST, end: HEAD });
    expect(first.ids).toEqual(["r-0", "r-1", "r-2"]);
    using live = readFeed(client, { start: LATEST });
    await live.until((messages) => framesOf(messages).includes("caughtUp"));
    await ingest(exchange, carrierId, [call("late")]);
    await live.until((messages) => idsOf(messages).length === 1);
    expect(idsOf(live.messages)).toEqual(["late"]);

    const cursor = first.messages.at(-1)?.cursor ?? "";
    expect((await readAll(client, { start: atCursor(cursor), end: HEAD })).ids).toEqual(["late"]);
    const late = await ingestTimeOf(carrierId, 4n);
    expect((await readAll(client, { start: atTime(late), end: HEAD })).ids).toEqual(["late"]);
    expect((await readAll(client, { start: atTime(late + 1n), end: HEAD })).ids).toEqual([]);
    expect((await readAll(client, { start: atTime(0n), end: HEAD })).ids).toHaveLength(4);
  });

  test("a time before the oldest kept entry starts at that entry, while expired rows are still there", async () => {
    const { carrierId, client } = await newCarrier(5);
    await raiseFloor(exchange, carrierId, 4n);
    expect((await readAll(client, { start: atTime(0n), end: HEAD })).ids).toEqual(["r-3", "r-4"]);
    expect((await readAll(client, { start: EARLIEST, end: HEAD })).ids).toEqual(["r-3", "r-4"]);
    const resolved = await client.resolveCdrCursor({ ingestTime: { seconds: 0n, nanos: 0 } });
    expect(resolved.afterSequence).toBe(3n);
    expect((await readAll(client, { start: atCursor(resolved.cursor), end: HEAD })).ids).toEqual(["r-3", "r-4"]);
  });

  test("a cursor, a time and the head end a stream with END_REACHED and OK", async () => {
    const { carrierId, client } = await newCarrier(3);
    const first = await readAll(client, { start: EARLIEST, end: HEAD });
    const end = first.messages.at(-1)?.cursor ?? "";
    await ingest(exchange, carrierId, calls("more", 2));
    expect((await readAll(client, { start: EARLIEST, end: atCursor(end) })).ids).toHaveLength(3);
    const later = await ingestTimeOf(carrierId, 4n);
    expect((await readAll(client, { start: EARLIEST, end: atTime(later) })).ids).toHaveLength(3);
    expect((await readAll(client, { start: EARLIEST, end: atTime(later + 1n) })).ids).toHaveLength(5);
    expect((await readAll(client, { start: EARLIEST, end: HEAD })).ids).toHaveLength(5);
    expect((await readAll(client, { start: LATEST, end: atCursor(end) })).ids).toEqual([]);
  });

  test("windows back to back neither lose nor repeat an entry", async () => {
    const { carrierId, client } = await newCarrier(2);
    for (const id of ["a", "b", "c"]) await ingest(exchange, carrierId, [call(id)]);
    const instants = await Promise.all([1n, 2n, 3n, 4n, 5n].map((sequence) => ingestTimeOf(carrierId, sequence)));
    const edges = [0n, ...instants, (instants.at(-1) ?? 0n) + 1n];
    const found: string[] = [];
    for (const [index, edge] of edges.entries()) {
      const next = edges[index + 1];
      if (next !== undefined && next > edge)
        found.push(...(await readAll(client, { start: atTime(edge), end: atTime(next) })).ids);
    }
    expect(found).toEqual(["r-0", "r-1", "a", "b", "c"]);
  });

  test("a time that has not come, or is none, is refused", async () => {
    const { client } = await newCarrier(1);
    const future = BigInt(Date.now() + 60_000) * 1_000n;
    const refused = { code: Code.InvalidArgument, reason: "INGEST_TIME_IN_FUTURE" };
    expect(await refusedFeed(client, { start: atTime(future) })).toMatchObject(refused);
    expect(await refusedFeed(client, { start: EARLIEST, end: atTime(future) })).toMatchObject(refused);
    for (const value of [
      { seconds: 2n ** 62n, nanos: 0 },
      { seconds: -(2n ** 62n), nanos: 0 },
      { seconds: 0n, nanos: -1 },
    ]) {
      const position = { case: "ingestTime" as const, value };
      const invalid = { code: Code.InvalidArgument, reason: "INVALID_ARGUMENT" };
      expect(await refusedFeed(client, { start: { position } })).toMatchObject({
        ...invalid,
        field: "start.ingest_time",
      });
      expect(await refusedFeed(client, { start: EARLIEST, end: { position } })).toMatchObject({
        ...invalid,
        field: "end.ingest_time",
      });
    }
  });

  test("an end of an empty feed is reached at once", async () => {
    const { client } = await newCarrier();
    const { messages } = await readAll(client, { start: EARLIEST, end: HEAD });
    expect(framesOf(messages)).toEqual(["opened", "closing"]);
  });

  test("an end by deadline is never OK", async () => {
    const { carrierId } = await newCarrier(1);
    const request = Buffer.from(JSON.stringify({ start: { latest: {} } }));
    const length = Buffer.alloc(5);
    length.writeUInt32BE(request.length, 1);
    const response = await fetch(`${exchange.url}/tandem.carrier.v1.CdrService/StreamCdrs`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${await exchange.carrierToken(carrierId)}`,
        "content-type": "application/connect+json",
        "connect-protocol-version": "1",
        "connect-timeout-ms": "300",
      },
      body: Buffer.concat([length, request]),
    });
    expect(await response.text()).toMatch(/"error":\{"code":"deadline_exceeded"/);
  });
});

describe("rule 3: the frames of a stream", () => {
  test("Opened comes at once, with session, epoch, ends, heartbeat interval and limits", async () => {
    const { carrierId, client } = await newCarrier(7);
    await raiseFloor(exchange, carrierId, 3n);
    using feed = readFeed(client, { start: LATEST });
    await feed.until((messages) => messages.length >= 1);
    const [opened] = feed.messages;
    expect(opened).toMatchObject({ afterSequence: 7n, throughSequence: 7n });
    expect(opened?.frame).toMatchObject({
      case: "opened",
      value: {
        sessionId: expect.stringMatching(/.+/),
        feedEpoch: 1n,
        earliestSequence: 3n,
        headSequence: 7n,
        heartbeatInterval: { seconds: 0n, nanos: 100_000_000 },
        limits: { maxFeedStreams: 4, maxMessageBytes: 4_194_304n },
      },
    });
  });

  test("CaughtUp comes once, after everything there was; Heartbeat after the entries that it covers", async () => {
    const { carrierId, client } = await newCarrier(1_500);
    using feed = readFeed(client, { start: EARLIEST });
    const untilBeatAt = (sequence: bigint) =>
      feed.until((messages) =>
        messages.some(({ frame, throughSequence }) => frame.case === "heartbeat" && throughSequence >= sequence),
      );
    await untilBeatAt(1_500n);
    for (let round = 0; round < 3; round++) {
      await ingest(exchange, carrierId, calls(`round-${round}`, 10));
      await untilBeatAt(1_510n + BigInt(round) * 10n);
    }
    const frames = framesOf(feed.messages);
    expect(frames.filter((frame) => frame === "caughtUp")).toHaveLength(1);
    const caughtUp = feed.messages[frames.indexOf("caughtUp")];
    expect(caughtUp).toMatchObject({ throughSequence: 1_500n, frame: { value: { headSequence: 1_500n } } });
    for (const { frame, throughSequence } of feed.messages) {
      if (frame.case === "heartbeat") expect(frame.value.headSequence).toBeGreaterThanOrEqual(throughSequence);
    }
    const beats = feed.messages.filter(({ frame }) => frame.case === "heartbeat");
    expect(beats.at(-1)).toMatchObject({ throughSequence: 1_530n, frame: { value: { headSequence: 1_530n } } });
  });

  test("a backfill that is asked to end sends no CaughtUp, and its Closing is its last message", async () => {
    const { client } = await newCarrier(10);
    const { messages } = await readAll(client, { start: EARLIEST, end: HEAD });
    // Between two reads a heartbeat may come.
    const frames = framesOf(messages).filter((frame) => frame !== "heartbeat");
    expect(frames).toEqual(["opened", "batch", "closing"]);
    expect(closingReason(messages)).toBe("END_REACHED");
  });

  test("one stream too many is refused with TOO_MANY_STREAMS, and a place that is given back is taken again", async () => {
    const { client } = await newCarrier(1);
    const feeds = [1, 2, 3, 4].map(() => readFeed(client, { start: LATEST }));
    for (const feed of feeds) await feed.until((messages) => messages.length > 0);
    expect(await refusedFeed(client, { start: LATEST })).toMatchObject({
      code: Code.ResourceExhausted,
      reason: "TOO_MANY_STREAMS",
      limit: "4",
    });
    feeds[0]?.[Symbol.dispose]();
    await expect.poll(() => refusedOrOpen(client)).toBe("opened");
    for (const feed of feeds) feed[Symbol.dispose]();
  });
});

async function refusedOrOpen(client: Parameters<typeof readFeed>[0]): Promise<string> {
  using feed = readFeed(client, { start: LATEST, end: HEAD });
  return (await feed.ended) === undefined ? "opened" : "refused";
}
