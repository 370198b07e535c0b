import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTandemTransport } from "../../src/client/transport.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { eventually } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { BOTH_UPLOADS, cdrUpload, durationOf, durationUpload, someRecords } from "../support/upload-kinds.ts";
import { awaitBlocked, expectSound, holdFeed, newCarrier, query, storedIds } from "../support/upload-store.ts";
import { endingOf, UploadStream } from "../support/upload-stream.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ maxStallMs: 3_000 });
});
afterAll(() => exchange[Symbol.asyncDispose]());

const SUPERSEDED = { code: "Aborted", reason: "UPLOAD_SUPERSEDED" };

describe.each(BOTH_UPLOADS)("$method", ({ upload }) => {
  const open = (carrierId: string) => UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });

  test("rule 5: opening an upload again ends the older connection at once with UPLOAD_SUPERSEDED, though it sends nothing", async () => {
    const carrierId = await newCarrier(exchange);
    await using older = await open(carrierId);
    await older.next("opened");
    older.batch(0, someRecords(0, 3));
    await older.committed(3);
    await using newer = await open(carrierId);
    expect(await newer.next("opened")).toMatchObject({ committedOffset: 3n, writerEpoch: 2n });
    expect(await older.failure()).toMatchObject(SUPERSEDED);
    newer.batch(3, someRecords(3, 5));
    await newer.committed(5);
    await expectSound(exchange, carrierId);
  });

  test("rule 5: an older connection in mid transaction either commits before the newer is opened, or not at all", async () => {
    const carrierId = await newCarrier(exchange);
    await using older = await open(carrierId);
    await older.next("opened");
    await using hold = await holdFeed(exchange, upload, carrierId);
    older.batch(0, someRecords(0, 3));
    await awaitBlocked(exchange, 1);
    await using newer = await open(carrierId);
    await awaitBlocked(exchange, 2);
    await hold.release();
    expect(await newer.next("opened")).toMatchObject({ committedOffset: 3n, writerEpoch: 2n });
    expect(await older.failure()).toMatchObject(SUPERSEDED);
    newer.batch(0, someRecords(0, 6));
    await eventually(async () => expect(await storedIds(exchange, upload, carrierId)).toHaveLength(6));
    await expectSound(exchange, carrierId);
  });

  test("rule 5: a connection of another process is fenced by its next batch, and what it sent late is not stored", async () => {
    const carrierId = await newCarrier(exchange);
    await using second = await exchange.openSecondApp();
    await using elsewhere = createTandemTransport({
      baseUrl: second.url,
      token: upload === cdrUpload ? await exchange.platformToken() : await exchange.carrierToken(carrierId),
    });
    await using older = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u", transport: elsewhere });
    await older.next("opened");
    older.batch(0, someRecords(0, 3));
    await older.committed(3);
    await using newer = await open(carrierId);
    expect(await newer.next("opened")).toMatchObject({ committedOffset: 3n, writerEpoch: 2n });
    older.batch(3, someRecords(90, 95));
    expect(await older.failure()).toMatchObject(SUPERSEDED);
    newer.batch(3, someRecords(3, 5));
    await newer.committed(5);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(someRecords(0, 5).map(({ id }) => id));
    await expectSound(exchange, carrierId);
  });

  test("rule 5: a fenced connection cannot finish the upload either", async () => {
    const carrierId = await newCarrier(exchange);
    await using second = await exchange.openSecondApp();
    await using elsewhere = createTandemTransport({
      baseUrl: second.url,
      token: upload === cdrUpload ? await exchange.platformToken() : await exchange.carrierToken(carrierId),
    });
    await using older = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u", transport: elsewhere });
    await older.next("opened");
    await using newer = await open(carrierId);
    await newer.next("opened");
    older.finish([]);
    expect(await older.failure()).toMatchObject(SUPERSEDED);
    newer.finish([]);
    expect(await newer.receipt()).toMatchObject({ finalOffset: 0n });
  });

  test("rule 5: two clients that fight for one upload neither lose nor double a record", async () => {
    const carrierId = await newCarrier(exchange);
    const records = someRecords(0, 300);
    const fight = async () => {
      for (let round = 0; round < 6; round++) {
        await using stream = await open(carrierId);
        const { committedOffset } = await stream.next("opened").catch(() => ({ committedOffset: undefined }));
        if (committedOffset === undefined || committedOffset === 300n) continue;
        for (let first = Number(committedOffset); first < 300; first += 25) {
          stream.batch(first, records.slice(first, first + 25));
        }
        await Promise.race([stream.ended, stream.committed(300).catch(() => {})]);
      }
    };
    await Promise.all([fight(), fight()]);
    await using last = await open(carrierId);
    const { committedOffset } = await last.next("opened");
    last.batch(committedOffset, [...records.slice(Number(committedOffset)), ...someRecords(300, 301)]);
    await last.committed(301);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(someRecords(0, 301).map(({ id }) => id));
    await expectSound(exchange, carrierId);
  });

  test("rule 6: a client that reads no acks does not stop the server's reading, nor its own commits", async () => {
    const carrierId = await newCarrier(exchange);
    const token = upload === cdrUpload ? await exchange.platformToken() : await exchange.carrierToken(carrierId);
    // With HTTP/2's default windows, so that what is not read is soon held back.
    const transport = createGrpcTransport({
      baseUrl: exchange.url,
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", `Bearer ${token}`);
          return next(request);
        },
      ],
    });
    await using stream = await UploadStream.open(exchange, upload, carrierId, {
      uploadId: "u",
      transport,
      isDeaf: true,
    });
    // Each answered with an outcome of its own: more than the connection takes unread.
    const records = someRecords(0, 4_000).map((record, index) => (index % 2 ? record : { ...record, isBroken: true }));
    for (let first = 0; first < 4_000; first += 250) stream.batch(first, records.slice(first, first + 250));
    await eventually(async () =>
      expect(
        await query(exchange, "SELECT next_offset, accepted FROM upload WHERE carrier_id = $1", [carrierId]),
      ).toEqual([{ next_offset: 4_000n, accepted: 2_000n }]),
    );
    stream.cut();
    await expectSound(exchange, carrierId);
  });

  test("rule 6: the credit is an absolute offset that starts at 4,000 past the committed one and never falls", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    const limits = [(await stream.next("opened")).sendLimitOffset];
    for (let first = 0; first < 4_000; first += 400) stream.batch(first, someRecords(first, first + 400));
    const acks = await stream.committed(4_000);
    for (const ack of acks) {
      limits.push(ack.sendLimitOffset);
      // The window grows by what is committed, to three times what it began with.
      expect(ack.sendLimitOffset).toBe(ack.committedOffset + 4_000n + ack.committedOffset);
    }
    expect(limits).toEqual(limits.toSorted((a, b) => Number(a - b)));
    stream.batch(0, someRecords(0, 400));
    expect((await stream.next("ack")).sendLimitOffset).toBe(12_000n);
    for (let first = 4_000; first < 12_000; first += 2_000) stream.batch(first, someRecords(first, first + 2_000));
    expect((await stream.committed(12_000)).at(-1)?.sendLimitOffset).toBe(24_000n);
  });

  test("rule 6: a client that passes its credit gets FLOW_CONTROL_VIOLATION; what came before is committed", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    await using hold = await holdFeed(exchange, upload, carrierId);
    stream.batch(0, someRecords(0, 2_000));
    stream.batch(2_000, someRecords(2_000, 4_000));
    stream.batch(4_000, someRecords(4_000, 4_001));
    expect(await stream.failure()).toMatchObject({
      code: "ResourceExhausted",
      reason: "FLOW_CONTROL_VIOLATION",
      metadata: { send_limit_offset: "4000" },
    });
    await hold.release();
    await eventually(async () => expect(await storedIds(exchange, upload, carrierId)).toHaveLength(4_000));
    await using again = await open(carrierId);
    expect(await again.next("opened")).toMatchObject({ committedOffset: 4_000n, sendLimitOffset: 8_000n });
  });
});

test("rule 6: over the byte budget no new credit is given, and it comes when there is room again", async () => {
  await using small = await startExchange({ uploadBudgetBytes: 1_048_576 });
  const carrierId = await newCarrier(small);
  const idle = await newCarrier(small);
  await using stream = await UploadStream.open(small, cdrUpload, carrierId, { uploadId: "u" });
  await stream.next("opened");
  await using other = await UploadStream.open(small, cdrUpload, idle, { uploadId: "u" });
  await other.next("opened");
  await using hold = await holdFeed(small, cdrUpload, carrierId);
  const note = "n".repeat(120);
  for (let first = 0; first < 4_000; first += 1_000) stream.batch(first, someRecords(first, first + 1_000, { note }));
  await awaitBlocked(small);
  other.batch(0, someRecords(0, 10));
  const [ack] = await other.committed(10);
  expect(ack?.sendLimitOffset).toBe(4_000n);
  await hold.release();
  expect((await other.next("ack")).sendLimitOffset).toBe(4_020n);
  await stream.committed(4_000);
});

test("rule 5: AppendDurations fences a stream, and a stream an AppendDurations under way", async () => {
  const carrierId = await newCarrier(exchange);
  const client: Client<typeof DurationService> = createClient(
    DurationService,
    await exchange.carrierTransport(carrierId),
  );
  await using stream = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "u" });
  await stream.next("opened");
  const first = await client.appendDurations({ uploadId: "u", records: someRecords(0, 2).map(durationOf) });
  expect(first).toMatchObject({ committedOffset: 2n, counts: { accepted: 2n } });
  expect(await stream.failure()).toMatchObject(SUPERSEDED);

  await using hold = await holdFeed(exchange, durationUpload, carrierId);
  const late = client.appendDurations({ uploadId: "u", firstOffset: 2n, records: someRecords(2, 4).map(durationOf) });
  await awaitBlocked(exchange, 1);
  await using newer = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "u" });
  await awaitBlocked(exchange, 2);
  await hold.release();
  expect(await late).toMatchObject({ committedOffset: 4n });
  expect(await newer.next("opened")).toMatchObject({ committedOffset: 4n });
  await expectSound(exchange, carrierId);
});

test("rule 3: AppendDurations past the committed offset is OFFSET_GAP; an overlap is skipped; other content is refused", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const append = (first: number, end: number, changes = {}) =>
    client.appendDurations({
      uploadId: "u",
      firstOffset: BigInt(first),
      records: someRecords(first, end, changes).map(durationOf),
    });
  const refusal = (call: Promise<unknown>) => call.then(() => undefined, endingOf);
  await append(0, 3);
  expect(await refusal(append(4, 5))).toMatchObject({
    code: "OutOfRange",
    reason: "OFFSET_GAP",
    metadata: { committed_offset: "3" },
  });
  expect(await append(1, 6)).toMatchObject({ committedOffset: 6n, counts: { accepted: 5n } });
  expect(await refusal(append(2, 8, { called: "+12025550199" }))).toMatchObject({
    reason: "OFFSET_CONTENT_MISMATCH",
    metadata: { offset: "2" },
  });
  expect(
    await refusal(client.appendDurations({ uploadId: "u", acknowledgedOffset: 7n, firstOffset: 7n, records: [] })),
  ).toMatchObject({ reason: "UPLOAD_HISTORY_LOST", metadata: { committed_offset: "6" } });
  expect(await storedIds(exchange, durationUpload, carrierId)).toHaveLength(6);
  await expectSound(exchange, carrierId);
});
