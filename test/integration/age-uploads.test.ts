import { afterAll, beforeAll, expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { UploadState } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { runAgeUploads } from "../../src/jobs/age-uploads.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { reasonOf } from "../support/refusal.ts";
import { connectedMsOf, durationOf, durationUpload, type RecordSpec, someRecords } from "../support/upload-kinds.ts";
import { expectSound, newCarrier, query } from "../support/upload-store.ts";
import { UploadStream } from "../support/upload-stream.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

/**
 * A carrier's uploads, the one named `open` left open and the one named `done` finished, of some
 * records each, one of them refused.
 */
async function uploadSome(uploads: { open?: string; done?: string }) {
  const carrierId = await newCarrier(exchange);
  const client = await exchange.carrierClient(DurationService, carrierId);
  for (const [kind, uploadId] of Object.entries(uploads)) {
    const records: RecordSpec[] = [
      ...someRecords(0, 3).map(named(uploadId)),
      { id: `${uploadId}-bad`, isBroken: true },
    ];
    const totals = { recordCount: 4n, connectedDurationMs: connectedMsOf(records) };
    await client.appendDurations({
      uploadId,
      records: records.map(durationOf),
      ...(kind === "done" ? { finish: { finalOffset: 4n, totals } } : {}),
    });
  }
  return { carrierId, client };
}

const named = (prefix: string) => (spec: RecordSpec) => ({ ...spec, id: `${prefix}-${spec.id}` });

/** Makes an upload older, as days that have passed do. */
async function age(carrierId: string, uploadId: string, days: number): Promise<void> {
  const old = "clock_timestamp() - make_interval(days => $3)";
  await query(
    exchange,
    `UPDATE upload SET update_time = ${old}, seal_time = CASE WHEN sealed THEN ${old} END WHERE carrier_id = $1 AND upload_id = $2`,
    [carrierId, uploadId, days],
  );
}

/** Runs the job until a condition holds. */
async function runUntil(condition: () => Promise<unknown>, expected: unknown, batchSize = 2): Promise<void> {
  const stop = new AbortController();
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const running = runAgeUploads({ db: exchange.services.db, intervalMs: 10, batchSize, onError }, stop.signal);
  await expect.poll(condition).toEqual(expected);
  stop.abort();
  await running;
  expect(errors).toEqual([]);
}

async function keptRows(carrierId: string, uploadId: string): Promise<number[]> {
  const count = async (table: string) => {
    const [row] = await query<{ count: bigint }>(
      exchange,
      `SELECT count(*) FROM ${table} WHERE carrier_id = $1 AND upload_id = $2`,
      [carrierId, uploadId],
    );
    return Number(row?.count);
  };
  return [await count("upload_batch"), await count("upload_reject")];
}

test("an upload that was idle for 30 days is sealed, without a receipt; one that was not goes on", async () => {
  const { carrierId, client } = await uploadSome({ open: "idle" });
  await client.appendDurations({ uploadId: "busy", records: [durationOf({ id: "busy-1" })] });
  await age(carrierId, "idle", 31);
  await age(carrierId, "busy", 29);
  const stateOf = async (uploadId: string) => (await client.getUpload({ uploadId })).upload?.state;
  await runUntil(() => stateOf("idle"), UploadState.SEALED);
  expect(await stateOf("busy")).toBe(UploadState.OPEN);

  const { upload } = await client.getUpload({ uploadId: "idle" });
  expect(upload).toMatchObject({ committedOffset: 4n, counts: { accepted: 3n, rejected: 1n } });
  expect(upload?.receipt).toBeUndefined();
  const more = client.appendDurations({ uploadId: "idle", firstOffset: 4n, records: [durationOf({ id: "late" })] });
  expect(await reasonOf(more)).toBe("UPLOAD_SEALED");
  await client.appendDurations({ uploadId: "busy", firstOffset: 1n, records: [durationOf({ id: "busy-2" })] });
  expect((await client.listRejects({ uploadId: "idle" })).rejects).toHaveLength(1);
  await expectSound(exchange, carrierId);
});

test("an upload that was sealed for idleness is not taken for a finished one: whoever opens it is told, and gets no receipt", async () => {
  const { carrierId, client } = await uploadSome({ open: "idle" });
  await age(carrierId, "idle", 31);
  await runUntil(async () => (await client.getUpload({ uploadId: "idle" })).upload?.state, UploadState.SEALED);
  await using stream = await UploadStream.open(exchange, durationUpload, carrierId, {
    uploadId: "idle",
    acknowledgedOffset: 4n,
  });
  expect(await stream.failure()).toMatchObject({
    code: "FailedPrecondition",
    reason: "UPLOAD_SEALED",
    metadata: { upload_id: "idle", final_offset: "4" },
  });
  expect(await reasonOf(client.appendDurations({ uploadId: "idle", acknowledgedOffset: 4n }))).toBe("UPLOAD_SEALED");
});

test("an upload that was idle and is open again is not sealed beneath its writer", async () => {
  const { carrierId, client } = await uploadSome({ open: "back" });
  await client.appendDurations({ uploadId: "idle", records: [durationOf({ id: "idle-1" })] });
  for (const uploadId of ["back", "idle"]) await age(carrierId, uploadId, 31);
  await using stream = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "back" });
  await stream.next("opened");
  await runUntil(async () => (await client.getUpload({ uploadId: "idle" })).upload?.state, UploadState.SEALED);
  stream.batch(4, someRecords(4, 5));
  await stream.committed(5);
  stream.cut();
  await expectSound(exchange, carrierId);
});

test("verdicts are forgotten 30 days after sealing, and not before; the upload and its receipt stay", async () => {
  const { carrierId, client } = await uploadSome({ done: "old" });
  await uploadMore(client, "new");
  await age(carrierId, "old", 31);
  await age(carrierId, "new", 29);
  await runUntil(() => keptRows(carrierId, "old"), [0, 0]);
  expect(await keptRows(carrierId, "new")).toEqual([1, 0]);

  const { upload } = await client.getUpload({ uploadId: "old" });
  expect(upload).toMatchObject({ state: UploadState.SEALED, receipt: { finalOffset: 4n, counts: { accepted: 3n } } });
  await using stream = await UploadStream.open(exchange, durationUpload, carrierId, {
    uploadId: "old",
    acknowledgedOffset: 4n,
  });
  expect(await stream.receipt()).toMatchObject({ uploadId: "old", finalOffset: 4n });
  expect((await client.listRejects({ uploadId: "old" })).rejects).toEqual([]);
  await expectSound(exchange, carrierId);
});

test("many uploads are aged in batches, by several processes at once", async () => {
  const carrierId = await newCarrier(exchange);
  const client = await exchange.carrierClient(DurationService, carrierId);
  const uploadIds = Array.from({ length: 25 }, (_, index) => `u${index}`);
  for (const uploadId of uploadIds) await uploadMore(client, uploadId);
  for (const uploadId of uploadIds) await age(carrierId, uploadId, 31);
  const left = async () => {
    const rows = await Promise.all(uploadIds.map((uploadId) => keptRows(carrierId, uploadId)));
    return rows.filter(([batches]) => batches !== 0).length;
  };
  await Promise.all([runUntil(left, 0, 2), runUntil(left, 0, 3)]);
  await expectSound(exchange, carrierId);
});

/** A finished upload of one good record. */
async function uploadMore(client: Awaited<ReturnType<typeof uploadSome>>["client"], uploadId: string): Promise<void> {
  const record: RecordSpec = { id: `${uploadId}-1` };
  const totals = { recordCount: 1n, connectedDurationMs: connectedMsOf([record]) };
  await client.appendDurations({ uploadId, records: [durationOf(record)], finish: { finalOffset: 1n, totals } });
}
