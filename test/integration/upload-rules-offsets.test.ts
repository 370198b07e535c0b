import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { Durability, UploadRewindReason, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { eventually } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { BOTH_UPLOADS, cdrUpload, someRecords } from "../support/upload-kinds.ts";
import { awaitBlocked, expectSound, holdFeed, newCarrier, query, storedIds } from "../support/upload-store.ts";
import { endingOf, UploadStream } from "../support/upload-stream.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ synchronousCommit: "on" });
});
afterAll(() => exchange[Symbol.asyncDispose]());

describe.each(BOTH_UPLOADS)("$method", ({ upload }) => {
  const open = (carrierId: string, options: { acknowledgedOffset?: bigint; uploadId?: string } = {}) =>
    UploadStream.open(exchange, upload, carrierId, { uploadId: "u", ...options });

  test("rule 0: one upload belongs to one carrier; the same id at another is another upload", async () => {
    const [first, second] = [await newCarrier(exchange), await newCarrier(exchange)];
    await using one = await open(first);
    await one.next("opened");
    one.batch(0, someRecords(0, 3));
    await one.committed(3);
    await using other = await open(second);
    expect(await other.next("opened")).toMatchObject({ committedOffset: 0n });
    other.batch(0, someRecords(7, 8));
    await other.committed(1);
    expect(await storedIds(exchange, upload, first)).toEqual(["r0", "r1", "r2"]);
    expect(await storedIds(exchange, upload, second)).toEqual(["r7"]);
  });

  test("rule 1: Opened tells where to go on, the credit and the durability; a new upload begins at 0", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    expect(await stream.next("opened")).toMatchObject({
      committedOffset: 0n,
      writerEpoch: 1n,
      sendLimitOffset: 4_000n,
      durability: Durability.DISK,
      limits: { maxBatchRecords: 2_000, maxMessageBytes: 4_194_304n, uploadWindowRecords: 4_000 },
    });
  });

  test("rule 1: an upload that was cut is opened at its committed offset and goes on from there", async () => {
    const carrierId = await newCarrier(exchange);
    await using before = await open(carrierId);
    await before.next("opened");
    before.batch(0, someRecords(0, 5));
    await before.committed(5);
    before.cut();
    await using after = await open(carrierId, { acknowledgedOffset: 5n });
    expect(await after.next("opened")).toMatchObject({ committedOffset: 5n, writerEpoch: 2n, sendLimitOffset: 4_005n });
    after.batch(5, someRecords(5, 8));
    await after.committed(8);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(someRecords(0, 8).map(({ id }) => id));
    await expectSound(exchange, carrierId);
  });

  test("rule 1: a client that was told more than the server has gets UPLOAD_HISTORY_LOST with the committed offset", async () => {
    const carrierId = await newCarrier(exchange);
    await using before = await open(carrierId);
    await before.next("opened");
    before.batch(0, someRecords(0, 5));
    await before.committed(5);
    await using ahead = await open(carrierId, { acknowledgedOffset: 6n });
    expect(await ahead.failure()).toMatchObject({
      code: "FailedPrecondition",
      reason: "UPLOAD_HISTORY_LOST",
      metadata: { committed_offset: "5" },
    });
    before.batch(5, someRecords(5, 6));
    await before.committed(6);
  });

  test("rule 1: an upload that the server no longer has is UPLOAD_HISTORY_LOST, and is not made", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId, { acknowledgedOffset: 1n });
    expect(await stream.failure()).toMatchObject({
      reason: "UPLOAD_HISTORY_LOST",
      metadata: { committed_offset: "0" },
    });
    expect(await query(exchange, "SELECT 1 FROM upload WHERE carrier_id = $1", [carrierId])).toEqual([]);
  });

  test("rule 1: Opened comes before anything is sent, however long the client waits", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.halfClose();
    expect(await stream.ended).toMatchObject({ reason: "UPLOAD_NOT_FINISHED" });
  });

  test("rule 2: no Ack while a commit is under way; when it comes, the records are in the database", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    await using hold = await holdFeed(exchange, upload, carrierId);
    stream.batch(0, someRecords(0, 100));
    await awaitBlocked(exchange);
    expect(stream.frames.map((frame) => frame.case)).toEqual(["opened"]);
    expect(await storedIds(exchange, upload, carrierId)).toEqual([]);
    await hold.release();
    expect(await stream.next("ack")).toMatchObject({ committedOffset: 100n, counts: { accepted: 100n } });
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(100);
  });

  test("rule 2: many batches share an Ack, which is cumulative; every record is counted once", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    await using hold = await holdFeed(exchange, upload, carrierId);
    for (let first = 0; first < 2_000; first += 50) stream.batch(first, someRecords(first, first + 50));
    await awaitBlocked(exchange);
    await hold.release();
    const acks = await stream.committed(2_000);
    expect(acks.length).toBeLessThan(40);
    expect(acks.reduce((sum, ack) => sum + Number(ack.counts?.accepted), 0)).toBe(2_000);
    const offsets = acks.map((ack) => Number(ack.committedOffset));
    expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
    await expectSound(exchange, carrierId);
  });

  test("rule 3: the whole upload replayed from 0 is a success with the stored verdicts, and stores nothing", async () => {
    const carrierId = await newCarrier(exchange);
    const records = [
      ...someRecords(0, 3),
      { id: "r0", connectedMs: 1_000 },
      { id: "r0", connectedMs: 2_000 },
      { id: "bad", isBroken: true },
      { id: "far", calling: "+441632960999" },
    ];
    await using before = await open(carrierId);
    await before.next("opened");
    before.batch(0, records);
    const [first] = await before.committed(records.length);
    await using again = await open(carrierId, { acknowledgedOffset: 7n });
    await again.next("opened");
    again.batch(0, records);
    const replayed = await again.next("ack");
    expect(replayed.committedOffset).toBe(7n);
    expect(replayed.counts).toEqual(first?.counts);
    expect(replayed.outcomes).toEqual(first?.outcomes);
    expect(replayed.outcomes.map(({ verdict }) => verdict)).toEqual([
      Verdict.DUPLICATE,
      Verdict.CONFLICT,
      Verdict.REJECTED,
      Verdict.QUARANTINED,
    ]);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(["r0", "r1", "r2"]);
    await expectSound(exchange, carrierId);
  });

  test("rule 3: of an overlapping batch the known prefix is checked and skipped, the rest appended", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, someRecords(0, 4));
    await stream.committed(4);
    stream.batch(2, someRecords(2, 9));
    const acks = await stream.committed(9);
    expect(acks.reduce((sum, ack) => sum + Number(ack.counts?.accepted), 0)).toBe(7);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(someRecords(0, 9).map(({ id }) => id));
    await expectSound(exchange, carrierId);
  });

  test("rule 3: an overlap is right across the boundaries of the batches that were committed", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    for (const first of [0, 3, 6]) stream.batch(first, someRecords(first, first + 3));
    await stream.committed(9);
    for (const first of [1, 4, 8]) stream.batch(first, someRecords(first, 9));
    stream.batch(7, someRecords(7, 11));
    await eventually(() =>
      expect(stream.frames.at(-1)).toMatchObject({ case: "ack", value: { committedOffset: 11n } }),
    );
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(11);
    await expectSound(exchange, carrierId);
  });

  test.each([
    ["in a batch that is known", 0, 4],
    ["in the prefix of an overlap", 2, 8],
  ])("rule 3: other content at a committed offset, %s, is OFFSET_CONTENT_MISMATCH", async (_, first, end) => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, someRecords(0, 4));
    await stream.committed(4);
    stream.batch(
      first,
      someRecords(first, end).map((record) => (record.id === "r3" ? { ...record, connectedMs: 9 } : record)),
    );
    expect(await stream.failure()).toMatchObject({
      code: "FailedPrecondition",
      reason: "OFFSET_CONTENT_MISMATCH",
      metadata: { offset: "3" },
    });
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(4);
    await expectSound(exchange, carrierId);
  });

  test("rule 3: a gap with 20 batches in flight is exactly one Rewind, and all is discarded until a batch begins there", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, someRecords(0, 50));
    for (let first = 100; first < 1_100; first += 50) stream.batch(first, someRecords(first, first + 50));
    // It may overtake the Ack of what came before the gap.
    await eventually(() => expect(rewindsOf(stream)).toEqual([[50n, UploadRewindReason.GAP]]));
    for (let first = 50; first < 1_100; first += 50) stream.batch(first, someRecords(first, first + 50));
    await eventually(() => expect(stream.frames.at(-1)).toMatchObject({ value: { committedOffset: 1_100n } }));
    expect(rewindsOf(stream)).toHaveLength(1);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(someRecords(0, 1_100).map(({ id }) => id));
    await expectSound(exchange, carrierId);
  });

  test("rule 3: a second gap is a second Rewind", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(5, someRecords(5, 6));
    expect(await stream.next("rewind")).toMatchObject({ expectedOffset: 0n });
    stream.batch(0, someRecords(0, 2));
    stream.batch(3, someRecords(3, 4));
    await eventually(() => expect(rewindsOf(stream).map(([offset]) => offset)).toEqual([0n, 2n]));
  });

  test("rule 3: a negative offset is refused", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(-1, someRecords(0, 1));
    expect(await stream.failure()).toMatchObject({ code: "InvalidArgument", reason: "INVALID_ARGUMENT" });
    await using opened = await open(carrierId, { acknowledgedOffset: -1n });
    expect(await opened.failure()).toMatchObject({ code: "InvalidArgument", reason: "INVALID_ARGUMENT" });
  });
});

function rewindsOf({ frames }: UploadStream) {
  return frames.flatMap(({ case: name, value }) =>
    name === "rewind" ? [[value.expectedOffset, value.reason] as const] : [],
  );
}

test("rule 0: IngestCdrs for a carrier that is not there is CARRIER_NOT_FOUND, and one without a carrier too", async () => {
  for (const carrierId of ["nobody-here", ""]) {
    await using stream = await UploadStream.open(exchange, cdrUpload, carrierId, { uploadId: "u" });
    expect(await stream.failure()).toMatchObject({ code: "NotFound", reason: "CARRIER_NOT_FOUND" });
  }
});

test("rule 0: IngestCdrs without an open inside Open is refused", async () => {
  const client = createClient(CdrService, await exchange.platformTransport());
  const answers = client.ingestCdrs(
    (async function* () {
      yield { frame: { case: "open" as const, value: { carrierId: "somebody" } } };
    })(),
  );
  const error = await answers[Symbol.asyncIterator]()
    .next()
    .then(
      () => undefined,
      (failure: unknown) => failure,
    );
  expect(endingOf(error)).toMatchObject({ code: "InvalidArgument", reason: "INVALID_ARGUMENT" });
});
