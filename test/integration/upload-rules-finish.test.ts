import { createClient } from "@connectrpc/connect";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arraySource, tandemReason, uploadDurations } from "../../src/client/index.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { UploadClosingReason, UploadState, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { ageUploads } from "../../src/store/records/age-uploads.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { BOTH_UPLOADS, connectedMsOf, durationOf, durationUpload, someRecords } from "../support/upload-kinds.ts";
import { awaitBlocked, expectSound, holdFeed, newCarrier, query, storedIds } from "../support/upload-store.ts";
import { endingOf, UploadStream } from "../support/upload-stream.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

const MIXED = [
  ...someRecords(0, 2),
  ...someRecords(1, 2),
  { id: "r0", connectedMs: 7 },
  { id: "bad", isBroken: true, connectedMs: 3_000 },
  { id: "strange", calling: "+441632960777" },
];
const MIXED_COUNTS = { accepted: 2n, duplicate: 1n, conflict: 1n, superseded: 0n, rejected: 1n, quarantined: 1n };

describe.each(BOTH_UPLOADS)("$method", ({ upload }) => {
  const open = (carrierId: string, options: { validateOnly?: boolean; acknowledgedOffset?: bigint } = {}) =>
    UploadStream.open(exchange, upload, carrierId, { uploadId: "u", ...options });

  test("rule 7: Finish holds the totals over every record sent, whatever its verdict, seals, and returns the receipt", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, MIXED);
    stream.finish(MIXED);
    await stream.committed(6);
    expect(await stream.receipt()).toMatchObject({
      uploadId: "u",
      finalOffset: 6n,
      totals: { recordCount: 6n, connectedDurationMs: connectedMsOf(MIXED) },
      counts: MIXED_COUNTS,
    });
    expect(await stream.ended).toMatchObject({ error: undefined });
    await expectSound(exchange, carrierId);
  });

  test("an end without Finish is told as such: what was read is acknowledged, the upload stays open", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, someRecords(0, 3));
    stream.halfClose();
    await stream.committed(3);
    expect(await stream.next("closing")).toMatchObject({ reason: UploadClosingReason.NOT_FINISHED });
    expect(await stream.ended).toMatchObject({
      reason: "UPLOAD_NOT_FINISHED",
      metadata: { committed_offset: "3" },
    });
    await using again = await open(carrierId);
    expect(await again.next("opened")).toMatchObject({ committedOffset: 3n });
  });

  test("rule 7: Finish right behind batches that are not yet acknowledged waits for them", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    await using hold = await holdFeed(exchange, upload, carrierId);
    const records = someRecords(0, 1_000);
    for (let first = 0; first < 1_000; first += 100) stream.batch(first, records.slice(first, first + 100));
    stream.finish(records);
    await awaitBlocked(exchange);
    expect(stream.frames).toHaveLength(1);
    await hold.release();
    await stream.committed(1_000);
    expect(await stream.receipt()).toMatchObject({ finalOffset: 1_000n, counts: { accepted: 1_000n } });
    await expectSound(exchange, carrierId);
  });

  test("rule 7: Finish after a gap is discarded with it, and does not seal", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(5, someRecords(5, 6));
    stream.finish(someRecords(0, 6));
    await stream.next("rewind");
    stream.batch(0, someRecords(0, 6));
    stream.finish(someRecords(0, 6));
    await stream.committed(6);
    expect(await stream.receipt()).toMatchObject({ finalOffset: 6n });
  });

  test.each([
    ["final_offset", { finalOffset: 2n }],
    ["totals.record_count", { recordCount: 4n }],
    ["totals.connected_duration_ms", { connectedDurationMs: 1n }],
  ])("rule 7: a wrong %s is CONTROL_TOTAL_MISMATCH, which leaves the upload open", async (field, wrong) => {
    const carrierId = await newCarrier(exchange);
    const records = someRecords(0, 3);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, records);
    await stream.committed(3);
    const totals = { finalOffset: 3n, recordCount: 3n, connectedDurationMs: connectedMsOf(records), ...wrong };
    stream.send({ case: "finish", ...totals });
    expect(await stream.failure()).toMatchObject({
      code: "FailedPrecondition",
      reason: "CONTROL_TOTAL_MISMATCH",
      metadata: { field },
    });
    await using again = await open(carrierId);
    expect(await again.next("opened")).toMatchObject({ committedOffset: 3n });
    again.batch(3, someRecords(3, 4));
    await again.committed(4);
    again.finish(someRecords(0, 4));
    expect(await again.receipt()).toMatchObject({ finalOffset: 4n });
  });

  test("rule 7: an empty upload can be finished", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.finish([]);
    expect(await stream.receipt()).toMatchObject({ finalOffset: 0n, totals: { connectedDurationMs: 0n } });
  });

  test("rule 7: Open on a sealed upload returns its receipt, again and again; with more acknowledged it is UPLOAD_HISTORY_LOST", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, MIXED);
    stream.finish(MIXED);
    await stream.committed(6);
    const receipt = await stream.receipt();
    for (let time = 0; time < 2; time++) {
      await using again = await open(carrierId, { acknowledgedOffset: 6n });
      expect(await again.receipt()).toEqual(receipt);
      expect(await again.ended).toMatchObject({ error: undefined });
    }
    await using ahead = await open(carrierId, { acknowledgedOffset: 7n });
    expect(await ahead.failure()).toMatchObject({ reason: "UPLOAD_HISTORY_LOST" });
  });

  test("rule 7: an upload that was sealed beneath an open stream takes no more records", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, someRecords(0, 1));
    await stream.committed(1);
    await query(exchange, "UPDATE upload SET sealed = true, seal_time = now() WHERE carrier_id = $1", [carrierId]);
    stream.batch(1, someRecords(1, 2));
    expect(await stream.failure()).toMatchObject({
      code: "FailedPrecondition",
      reason: "UPLOAD_SEALED",
      metadata: { upload_id: "u", final_offset: "1" },
    });
  });

  test("rule 8: validate_only gives every verdict and stores nothing", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId, { validateOnly: true });
    expect(await stream.next("opened")).toMatchObject({ committedOffset: 0n });
    stream.batch(0, MIXED);
    expect(await stream.next("ack")).toMatchObject({ committedOffset: 6n, counts: MIXED_COUNTS });
    stream.finish(MIXED);
    expect(await stream.receipt()).toMatchObject({ finalOffset: 6n, counts: MIXED_COUNTS });
    for (const table of [
      "upload",
      "upload_batch",
      "upload_reject",
      "quarantine",
      upload.recordTable,
      upload.keyTable,
    ]) {
      expect(await query(exchange, `SELECT 1 FROM ${table} WHERE carrier_id = $1`, [carrierId])).toEqual([]);
    }
    await using real = await open(carrierId);
    expect(await real.next("opened")).toMatchObject({ committedOffset: 0n, writerEpoch: 1n });
  });

  test("rule 8: validate_only sees what is stored, fences nobody, and checks the control totals", async () => {
    const carrierId = await newCarrier(exchange);
    await using writer = await open(carrierId);
    await writer.next("opened");
    writer.batch(0, someRecords(0, 3));
    await writer.committed(3);
    await using dry = await open(carrierId, { validateOnly: true });
    await dry.next("opened");
    dry.batch(0, someRecords(0, 4));
    expect(await dry.next("ack")).toMatchObject({ counts: { accepted: 1n, duplicate: 3n } });
    dry.finish(someRecords(0, 3));
    expect(await dry.failure()).toMatchObject({ reason: "CONTROL_TOTAL_MISMATCH" });
    writer.batch(3, someRecords(3, 4));
    await writer.committed(4);
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(4);
  });
});

test("rule 7: a client that comes back to an upload that was sealed without it is not given to believe that all is uploaded", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const records = someRecords(0, 10).map(durationOf);
  await client.appendDurations({ uploadId: "u", records: records.slice(0, 6) });
  await query(exchange, "UPDATE upload SET update_time = now() - interval '31 days' WHERE carrier_id = $1", [
    carrierId,
  ]);
  const { sealed } = await systemTransaction(exchange.services.db, (tx) => ageUploads(tx, 100));
  expect(sealed).toBe(1);
  const upload = (source: typeof records, uploadId: string) =>
    uploadDurations(client, { uploadId, source: arraySource(source) });
  expect(await upload(records, "u").catch(tandemReason)).toMatchObject({
    reason: "UPLOAD_SEALED",
    metadata: { final_offset: "6" },
  });
  expect(await upload(records.slice(0, 8), "u-2")).toMatchObject({
    receipt: { counts: { accepted: 2n, duplicate: 6n } },
  });
  expect(await upload(records, "u-2").catch(tandemReason)).toMatchObject({
    reason: "UPLOAD_SEALED",
    metadata: { final_offset: "8" },
  });
  expect(await upload(records, "u-3")).toMatchObject({ receipt: { counts: { accepted: 2n, duplicate: 8n } } });
});

test("rule 7: AppendDurations appends and finishes in one call, and a repeat of it returns the same", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const request = {
    uploadId: "u",
    records: MIXED.map(durationOf),
    finish: { finalOffset: 6n, totals: { recordCount: 6n, connectedDurationMs: connectedMsOf(MIXED) } },
  };
  const first = await client.appendDurations(request);
  expect(first).toMatchObject({
    committedOffset: 6n,
    counts: MIXED_COUNTS,
    receipt: { finalOffset: 6n, counts: MIXED_COUNTS },
  });
  expect(await client.appendDurations(request)).toEqual(first);
  const more = client.appendDurations({ uploadId: "u", firstOffset: 6n, records: someRecords(8, 9).map(durationOf) });
  expect(await more.then(() => undefined, endingOf)).toMatchObject({ reason: "UPLOAD_SEALED" });
  await expectSound(exchange, carrierId);
});

test("rule 7: AppendDurations with wrong totals appends and leaves the upload open", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const append = (connectedDurationMs: bigint) =>
    client.appendDurations({
      uploadId: "u",
      records: someRecords(0, 2).map(durationOf),
      finish: { finalOffset: 2n, totals: { recordCount: 2n, connectedDurationMs } },
    });
  expect(await append(1n).then(() => undefined, endingOf)).toMatchObject({ reason: "CONTROL_TOTAL_MISMATCH" });
  expect(await client.getUpload({ uploadId: "u" })).toMatchObject({
    upload: { state: UploadState.OPEN, committedOffset: 2n },
  });
  expect((await append(3_000n)).receipt).toMatchObject({ finalOffset: 2n });
  expect((await client.getUpload({ uploadId: "u" })).upload).toMatchObject({
    state: UploadState.SEALED,
    receipt: { finalOffset: 2n },
  });
});

test("rule 8: AppendDurations with validate_only gives every verdict and stores nothing", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const records = MIXED.map(durationOf);
  const dry = await client.appendDurations({ uploadId: "u", records, validateOnly: true });
  expect(dry).toMatchObject({ committedOffset: 6n, counts: MIXED_COUNTS });
  expect(dry.outcomes.map(({ verdict }) => verdict)).toEqual([
    Verdict.DUPLICATE,
    Verdict.CONFLICT,
    Verdict.REJECTED,
    Verdict.QUARANTINED,
  ]);
  expect(await storedIds(exchange, durationUpload, carrierId)).toEqual([]);
  expect(await client.getUpload({ uploadId: "u" }).then(() => undefined, endingOf)).toMatchObject({
    code: "NotFound",
    reason: "UPLOAD_NOT_FOUND",
  });
});

test("rule 8: a validation in many small batches takes one connection to the database, and leaves the others to everybody else", async () => {
  const carrierId = await newCarrier(exchange);
  await using locking = new AsyncDisposableStack();
  const client = new pg.Client({ connectionString: exchange.databaseUrl });
  await client.connect();
  locking.defer(() => client.end());
  await client.query("BEGIN; LOCK TABLE duration_key IN ACCESS EXCLUSIVE MODE");
  const transport = await exchange.carrierTransport(carrierId);
  const options = { uploadId: "u", validateOnly: true, transport };
  await using dry = await UploadStream.open(exchange, durationUpload, carrierId, options);
  await dry.next("opened");
  const records = someRecords(0, 40);
  for (const [offset, record] of records.entries()) dry.batch(offset, [record]);
  await awaitBlocked(exchange, 1);
  // Each of these is answered after what was sent before it over the same connection was read.
  const beside = createClient(DurationService, transport);
  for (let call = 0; call < 10; call++) await beside.getUpload({ uploadId: "none" }).catch(() => {});
  await awaitBlocked(exchange, 1);
  expect(exchange.services.db.pool.waitingCount).toBe(0);
  await client.query("ROLLBACK");
  await dry.committed(40);
  dry.finish(records);
  expect(await dry.receipt()).toMatchObject({ finalOffset: 40n, counts: { accepted: 40n } });
});
