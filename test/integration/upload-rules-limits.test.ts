import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  DurationBatchSchema,
  DurationService,
  UploadDurationsRequestSchema,
} from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { ErrorReason } from "../../src/gen/tandem/type/v1/error_reason_pb.js";
import { UploadClosingReason, UploadState, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { eventually } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { BOTH_UPLOADS, durationOf, durationUpload, NOON_MS, someRecords } from "../support/upload-kinds.ts";
import { awaitBlocked, expectSound, holdFeed, newCarrier, query, storedIds } from "../support/upload-store.ts";
import { endingOf, UploadStream } from "../support/upload-stream.ts";

const MESSAGE_LIMIT = 4_194_304;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

describe.each(BOTH_UPLOADS)("$method", ({ upload }) => {
  const open = (carrierId: string) => UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });

  test.each([0, 2_001])("limits: a batch of %i records is BATCH_TOO_LARGE; what came before is safe", async (count) => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, someRecords(0, 2));
    await stream.committed(2);
    stream.batch(2, someRecords(2, 2 + count));
    expect(await stream.failure()).toMatchObject({
      code: "InvalidArgument",
      reason: "BATCH_TOO_LARGE",
      metadata: { records: String(count), limit: "2000" },
    });
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(2);
  });

  test("limits: a batch of 2,000 records is taken", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, someRecords(0, 2_000));
    expect(await stream.next("ack")).toMatchObject({ counts: { accepted: 2_000n } });
  });

  test.each([
    ["nothing", undefined],
    ["a batch", { case: "batch", firstOffset: 0n, records: someRecords(0, 1) } as const],
    ["an empty frame", { case: undefined } as const],
    ["a KeepAlive", { case: "keepAlive" } as const],
  ])("protocol: %s where Open is due is UPLOAD_PROTOCOL_VIOLATION", async (_, frame) => {
    const carrierId = await newCarrier(exchange);
    await using stream = await UploadStream.connect(exchange, upload, carrierId);
    if (frame) stream.send(frame);
    else stream.halfClose();
    expect(await stream.failure()).toMatchObject({ code: "InvalidArgument", reason: "UPLOAD_PROTOCOL_VIOLATION" });
  });

  test.each([
    ["a second Open", { case: "open", uploadId: "u" } as const],
    ["an empty frame", { case: undefined } as const],
  ])("protocol: %s after Open is UPLOAD_PROTOCOL_VIOLATION", async (_, frame) => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.send(frame);
    expect(await stream.failure()).toMatchObject({ code: "InvalidArgument", reason: "UPLOAD_PROTOCOL_VIOLATION" });
  });

  test.each(["", "a/b", "ø", "x".repeat(129)])("protocol: the upload id %j is refused", async (uploadId) => {
    const carrierId = await newCarrier(exchange);
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId });
    expect(await stream.failure()).toMatchObject({ code: "InvalidArgument", metadata: { field: "upload_id" } });
  });

  test("a drain commits and acknowledges what was read, then says Closing DRAINING and ends with UNAVAILABLE", async () => {
    await using draining = await startExchange();
    const carrierId = await newCarrier(draining);
    await using stream = await UploadStream.open(draining, upload, carrierId, { uploadId: "u" });
    await stream.next("opened");
    await using hold = await holdFeed(draining, upload, carrierId);
    for (let first = 0; first < 1_000; first += 100) stream.batch(first, someRecords(first, first + 100));
    await awaitBlocked(draining);
    const drained = draining.drain();
    await hold.release();
    expect(await stream.failure()).toMatchObject({ code: "Unavailable", reason: "DRAINING" });
    await drained;
    const closing = stream.frames.at(-1);
    expect(closing).toMatchObject({ case: "closing", value: { reason: UploadClosingReason.DRAINING } });
    const acked = stream.frames.flatMap((frame) => (frame.case === "ack" ? [Number(frame.value.committedOffset)] : []));
    await using next = await draining.openSecondApp();
    const [stored] = await next.services.db.pool.query("SELECT next_offset FROM upload").then(({ rows }) => rows);
    expect(Number(stored.next_offset)).toBe(acked.at(-1));
  });

  test("a client that is silent for three heartbeat intervals gets Closing IDLE; one that says KeepAlive does not", async () => {
    await using quick = await startExchange({ heartbeatIntervalMs: 500 });
    const carrierId = await newCarrier(quick);
    await using silent = await UploadStream.open(quick, upload, carrierId, { uploadId: "silent" });
    await using alive = await UploadStream.open(quick, upload, carrierId, { uploadId: "alive" });
    const alarm = setInterval(() => alive.send({ case: "keepAlive" }), 20);
    try {
      expect(await silent.failure()).toMatchObject({ code: "Unavailable", reason: "STREAM_IDLE" });
      expect(silent.frames.at(-1)).toMatchObject({ case: "closing", value: { reason: UploadClosingReason.IDLE } });
      await eventually(() => expect(alive.frames.length).toBeGreaterThan(5));
      expect(new Set(alive.frames.map((frame) => frame.case))).toEqual(new Set(["opened", "heartbeat"]));
    } finally {
      clearInterval(alarm);
    }
  });
});

test("a client that opens a call and says nothing at all is idle as well", async () => {
  await using quick = await startExchange({ heartbeatIntervalMs: 60 });
  const carrierId = await newCarrier(quick);
  await using stream = await UploadStream.connect(quick, durationUpload, carrierId);
  expect(await stream.failure()).toMatchObject({ code: "Unavailable", reason: "STREAM_IDLE" });
});

test("a client whose KeepAlives are not read, because its replay waits for the store, is not taken to be silent", async () => {
  await using quick = await startExchange({ heartbeatIntervalMs: 250 });
  const carrierId = await newCarrier(quick);
  await using stream = await UploadStream.open(quick, durationUpload, carrierId, { uploadId: "u" });
  await stream.next("opened");
  await using hold = await holdFeed(quick, durationUpload, carrierId);
  stream.batch(0, someRecords(0, 10));
  stream.batch(5, someRecords(5, 15));
  const alarm = setInterval(() => stream.send({ case: "keepAlive" }), 20);
  try {
    await eventually(() => expect(stream.frames.length).toBeGreaterThan(8));
    await hold.release();
    await stream.committed(15);
  } finally {
    clearInterval(alarm);
  }
});

test.each([
  ["of 4 MiB is taken", 0, undefined],
  ["one byte larger is MESSAGE_TOO_LARGE", 1, { code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" }],
])("limits: a message %s", async (_, excess, refusal) => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const frame = batchOfBytes(MESSAGE_LIMIT + excess);
  expect(toBinary(UploadDurationsRequestSchema, frame)).toHaveLength(MESSAGE_LIMIT + excess);
  const answers: string[] = [];
  const call = async () => {
    const frames = (async function* () {
      yield create(UploadDurationsRequestSchema, { frame: { case: "open", value: { uploadId: "u" } } });
      yield frame;
    })();
    for await (const answer of client.uploadDurations(frames)) answers.push(String(answer.frame.case));
  };
  const ending = await call().then(() => undefined, endingOf);
  if (refusal) expect(ending).toMatchObject(refusal);
  else expect(answers).toEqual(["opened", "ack", "closing"]);
});

test("limits: at most 10,000 rejects of an upload are kept in detail, each of at most 1 KiB, with numbers masked", async () => {
  const carrierId = await newCarrier(exchange);
  const calling = "+441632960456";
  await using stream = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "u" });
  await stream.next("opened");
  const bad = (from: number, to: number) =>
    someRecords(from, to, { isBroken: true, calling, note: "ø".repeat(2_000), connectedMs: 1 });
  for (let first = 0; first < 12_000; first += 1_000) {
    stream.batch(first, bad(first, first + 1_000));
    await stream.committed(first + 1_000);
  }
  const [row] = await query(
    exchange,
    `SELECT count(*) AS kept, max(octet_length(record_json)) AS bytes, count(*) FILTER (WHERE record_json LIKE '%' || $2 || '%') AS unmasked
     FROM upload_reject WHERE carrier_id = $1`,
    [carrierId, calling],
  );
  expect(row).toEqual({ kept: 10_000n, bytes: 1_024, unmasked: 0n });
  stream.batch(11_000, bad(11_000, 12_000));
  const replayed = await stream.next("ack");
  expect(replayed).toMatchObject({ counts: { rejected: 1_000n } });
  expect(replayed.outcomes).toHaveLength(1_000);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const page = await client.listRejects({ uploadId: "u", pageSize: 1_000 });
  expect(page.totalCount).toBe(12_000n);
  stream.cut();
  await expectSound(exchange, carrierId);
});

test("lists: ListRejects pages in the order of the offsets, and says why each was refused", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const records = [
    ...someRecords(0, 1),
    ...someRecords(1, 3, { isBroken: true }),
    { id: "strange", calling: "+441632960777" },
    ...someRecords(4, 7, { isBroken: true }),
  ];
  await client.appendDurations({ uploadId: "u", records: records.map(durationOf) });
  const seen: unknown[] = [];
  let pageToken = "";
  do {
    const page = await client.listRejects({ uploadId: "u", pageSize: 2, pageToken });
    expect(page.rejects.length).toBeLessThanOrEqual(2);
    expect(page.totalCount).toBe(6n);
    seen.push(...page.rejects.map(({ outcome, reason }) => [outcome?.recordOffset, outcome?.verdict, reason]));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  const refused = (offset: bigint) => [offset, Verdict.REJECTED, ErrorReason.RECORD_REFUSED];
  expect(seen).toEqual([
    refused(1n),
    refused(2n),
    [3n, Verdict.QUARANTINED, ErrorReason.RECORD_QUARANTINED],
    refused(4n),
    refused(5n),
    refused(6n),
  ]);
  expect(await client.listRejects({ uploadId: "none" }).then(() => undefined, endingOf)).toMatchObject({
    reason: "UPLOAD_NOT_FOUND",
  });
});

test("lists: ListUploads pages newest first and can be asked for the open or the sealed ones", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  for (let number = 0; number < 5; number++) {
    const finish = number % 2 ? {} : { finish: { finalOffset: 0n, totals: {} } };
    await client.appendDurations({ uploadId: `u${number}`, ...finish });
  }
  const list = async (state: UploadState) => {
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await client.listUploads({ state, pageSize: 2, pageToken });
      ids.push(...page.uploads.map(({ uploadId }) => uploadId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return ids;
  };
  expect(await list(UploadState.UNSPECIFIED)).toEqual(["u4", "u3", "u2", "u1", "u0"]);
  expect(await list(UploadState.OPEN)).toEqual(["u3", "u1"]);
  expect(await list(UploadState.SEALED)).toEqual(["u4", "u2", "u0"]);
});

test("lists: ListDurations pages by time and id, over the highest revisions, and finds one id", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const records = [
    ...someRecords(0, 6).map((record, index) => ({ ...record, startMs: NOON_MS + (index % 3) * 1_000 })),
    { id: "r0", revision: 2, connectedMs: 5 },
    { id: "later", startMs: NOON_MS + 3_600_000 },
  ];
  await client.appendDurations({ uploadId: "u", records: records.map(durationOf) });
  const seconds = BigInt(NOON_MS / 1_000);
  const period = { startTime: { seconds }, endTime: { seconds: seconds + 3_600n } };
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await client.listDurations({ ...period, pageSize: 2, pageToken });
    seen.push(...page.durations.map(({ recordId, revision }) => `${recordId}#${revision}`));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(seen.toSorted()).toEqual(["r0#2", "r1#1", "r2#1", "r3#1", "r4#1", "r5#1"]);
  expect((await client.listDurations({ ...period, recordId: "r4" })).durations).toMatchObject([
    { recordId: "r4", connectedDurationMs: 5_000n },
  ]);
});

/**
 * A frame of exactly so many bytes: good records, and one that is padded, which may be refused for
 * it.
 */
function batchOfBytes(bytes: number) {
  const frameOf = (notes: number[]) =>
    create(UploadDurationsRequestSchema, {
      frame: {
        case: "batch",
        value: create(DurationBatchSchema, {
          records: notes.map((length, index) => durationOf({ id: `r${index}`, note: "x".repeat(length) })),
        }),
      },
    });
  const notes = Array.from({ length: 60 }, () => 60_000);
  let missing = bytes - toBinary(UploadDurationsRequestSchema, frameOf([...notes, 200_000])).length;
  for (let round = 0; round < 3 && missing !== 0; round++) {
    const last = 200_000 + missing;
    missing += bytes - toBinary(UploadDurationsRequestSchema, frameOf([...notes, last])).length;
  }
  return frameOf([...notes, 200_000 + missing]);
}
