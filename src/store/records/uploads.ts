import { type Selectable, sql } from "kysely";
import { ofEachVerdict, type VerdictCounts } from "../../domain/calls/verdict.ts";
import { TandemError } from "../../domain/errors.ts";
import { CDR, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { Tally, takePlace } from "../carriers/carrier-tally.ts";
import { clockFrom } from "../database/clock-from.ts";
import { type Found, readValue, run, type Tx } from "../database/run.ts";
import type { Schema } from "../database/schema.ts";
import { unreadRejects } from "./rejects.ts";
import { isUpload, type UploadKey } from "./upload-key.ts";

/** An upload as it stands. */
export interface UploadRow {
  uploadId: string;
  nextOffset: bigint;
  writerEpoch: bigint;
  sealed: boolean;
  /** Sealed by its client's Finish, not for idleness. */
  finished: boolean;
  sealTime: Micros | undefined;
  counts: VerdictCounts;
  connectedDurationMs: bigint;
  createTime: Micros;
  updateTime: Micros;
}

/** A committed batch, for the check of a replay. */
export interface StoredBatch {
  firstOffset: bigint;
  verdicts: Buffer;
  /** Eight bytes a record. */
  hashes: Buffer;
}

/**
 * Opens an upload: makes it, or takes it over by raising its writer epoch, which fences the
 * connection that had it (its row lock is waited for). It also counts as use: an upload that was
 * just opened is not sealed out as idle. One that is sealed, or that has fewer records than the
 * client was told, is returned as it stands and not touched; one that the client was told of and
 * that does not exist is not made.
 * @throws TandemError LIMIT_REACHED when the carrier has as many open as it may.
 */
export async function openUpload(
  tx: Tx,
  key: UploadKey,
  { acknowledgedOffset, mostOpen }: { acknowledgedOffset: bigint; mostOpen: number },
): Promise<UploadRow | undefined> {
  const opened = await takeUpload(tx, key, acknowledgedOffset);
  if (opened || acknowledgedOffset > 0n) return opened;
  await createUpload(tx, key, mostOpen);
  return takeUpload(tx, key, acknowledgedOffset);
}

async function takeUpload(tx: Tx, key: UploadKey, acknowledgedOffset: bigint): Promise<UploadRow | undefined> {
  const update = tx
    .updateTable("upload")
    .set({ writer_epoch: sql`writer_epoch + 1`, update_time: clockFrom("update_time") })
    .where(isUpload(key))
    .where("sealed", "=", false)
    .where("next_offset", ">=", acknowledgedOffset)
    .returningAll();
  const [row] = (await run(tx, update)).rows;
  return row ? uploadRow(row) : readUpload(tx, key);
}

async function createUpload(tx: Tx, key: UploadKey, mostOpen: number): Promise<void> {
  const what = key.kind === CDR ? Tally.OPEN_CDR_UPLOADS : Tally.OPEN_DURATION_UPLOADS;
  const place = { what, most: mostOpen, count: () => countOpenUploads(tx, key) };
  if (!(await takePlace(tx, key.carrierId, place))) throw tooManyOpen(mostOpen);
  await run(tx)`
    INSERT INTO upload (carrier_id, kind, upload_id, next_offset, writer_epoch, sealed, finished, accepted, duplicate, conflict,
      superseded, rejected, quarantined, stored_rejects, connected_duration_ms, create_time, update_time)
    VALUES (${key.carrierId}, ${key.kind.upload}, ${key.uploadId}, 0, 0, false, false, 0, 0, 0,
      0, 0, 0, 0, 0, clock_timestamp(), clock_timestamp()) ON CONFLICT DO NOTHING`;
}

function countOpenUploads(tx: Tx, { carrierId, kind }: UploadKey): Promise<number> {
  return readValue(tx)<number>`
    SELECT count(*)::int4 AS open FROM upload WHERE carrier_id = ${carrierId} AND kind = ${kind.upload} AND NOT sealed`;
}

function tooManyOpen(most: number): TandemError {
  const message = `${most} uploads are open, as many as may be: finish some; what is idle for 30 days is sealed`;
  return new TandemError("LIMIT_REACHED", message, { what: "open_uploads", limit: String(most) });
}

/** Reads an upload. */
export async function readUpload(tx: Tx, key: UploadKey): Promise<UploadRow | undefined> {
  const query = tx.selectFrom("upload").selectAll().where(isUpload(key));
  const [row] = (await run(tx, query)).rows;
  return row && uploadRow(row);
}

/**
 * Lists uploads, newest first, after the one that a page ended with. In a transaction as
 * `LIST_PAGE`.
 */
export async function listUploads(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  options: { sealed?: boolean; after?: { createTime: Micros; uploadId: string }; limit: number },
): Promise<UploadRow[]> {
  let query = tx.selectFrom("upload").selectAll().where("carrier_id", "=", carrierId).where("kind", "=", kind.upload);
  if (options.sealed !== undefined) query = query.where("sealed", "=", options.sealed);
  if (options.after) {
    const { createTime, uploadId } = options.after;
    query = query.where(
      sql<boolean>`(create_time, upload_id) < (${isoFromMicros(createTime)}::timestamptz, ${uploadId})`,
    );
  }
  const { rows } = await run(
    tx,
    query.orderBy("create_time", "desc").orderBy("upload_id", "desc").limit(options.limit),
  );
  return rows.map(uploadRow);
}

/**
 * Moves an upload past a run of batches, if it is still at the run's beginning and the writer is
 * not fenced. Returns the number of its rejects, if so.
 */
export async function advanceUpload(
  tx: Tx,
  batch: UploadKey & { writerEpoch: bigint; firstOffset: bigint; count: number },
): Promise<{ storedRejects: number } | undefined> {
  const query = tx
    .updateTable("upload")
    .set({ next_offset: batch.firstOffset + BigInt(batch.count) })
    .where(isUpload(batch))
    .where("next_offset", "=", batch.firstOffset)
    .where("writer_epoch", "=", batch.writerEpoch)
    .where("sealed", "=", false)
    .returning("stored_rejects");
  const { rows } = await run(tx, query);
  return rows[0] && { storedRejects: Number(rows[0].storedRejects) };
}

/** Adds a batch's verdicts to its upload's counts. */
export async function countUpload(
  tx: Tx,
  key: UploadKey,
  added: { counts: VerdictCounts; connectedMs: bigint; storedRejects: number },
  now: Micros,
): Promise<void> {
  const { counts } = added;
  await run(tx)`
    UPDATE upload SET accepted = accepted + ${counts.accepted}, duplicate = duplicate + ${counts.duplicate},
      conflict = conflict + ${counts.conflict}, superseded = superseded + ${counts.superseded}, rejected = rejected + ${counts.rejected},
      quarantined = quarantined + ${counts.quarantined}, stored_rejects = stored_rejects + ${added.storedRejects},
      connected_duration_ms = connected_duration_ms + ${String(added.connectedMs)}::numeric, update_time = ${isoFromMicros(now)}::timestamptz
    WHERE ${isUpload(key)}`;
}

/** Stores the verdicts and content hashes of batches, of one upload or more. */
export async function insertUploadBatches(
  tx: Tx,
  { carrierId, kind }: Pick<UploadKey, "carrierId" | "kind">,
  batches: readonly (StoredBatch & { uploadId: string })[],
  now: Micros,
): Promise<void> {
  const rows = batches.map(({ uploadId, firstOffset, verdicts, hashes }) => ({
    carrier_id: carrierId,
    kind: kind.upload,
    upload_id: uploadId,
    first_offset: firstOffset,
    record_count: verdicts.length,
    verdicts,
    hashes,
    create_time: isoFromMicros(now),
  }));
  await run(tx, tx.insertInto("upload_batch").values(rows));
}

/** The stored batches that overlap `[start, end)`, by offset; at most `limit`. */
export async function readUploadBatches(
  tx: Tx,
  key: UploadKey,
  start: bigint,
  end: bigint,
  limit = 4_000,
): Promise<StoredBatch[]> {
  const query = tx
    .selectFrom("upload_batch")
    .select(["first_offset", "verdicts", "hashes"])
    .where(isUpload(key))
    .where("first_offset", "<", end)
    .where(sql<boolean>`first_offset + record_count > ${start}`)
    .orderBy("first_offset")
    .limit(limit);
  const { rows } = await run(tx, query);
  return rows;
}

/**
 * Seals an upload for its client, if it is at this offset with these totals and the writer is not
 * fenced. The connected time is not compared when a record could not be read.
 */
export async function finishUpload(
  tx: Tx,
  key: UploadKey,
  expected: { writerEpoch: bigint; finalOffset: bigint; connectedDurationMs: bigint },
): Promise<UploadRow | undefined> {
  const update = tx
    .updateTable("upload")
    .set({
      sealed: true,
      finished: true,
      seal_time: clockFrom("seal_time"),
      update_time: clockFrom("update_time"),
    })
    .where(isUpload(key))
    .where("writer_epoch", "=", expected.writerEpoch)
    .where("next_offset", "=", expected.finalOffset)
    .where((eb) =>
      eb.or([
        eb("connected_duration_ms", "=", sql<bigint>`${String(expected.connectedDurationMs)}::numeric`),
        eb.exists(unreadRejects(eb, key)),
      ]),
    )
    .where("sealed", "=", false)
    .returningAll();
  const [row] = (await run(tx, update)).rows;
  return row && uploadRow(row);
}

function uploadRow(row: Found<Selectable<Schema["upload"]>>): UploadRow {
  return {
    uploadId: row.uploadId,
    nextOffset: row.nextOffset,
    writerEpoch: row.writerEpoch,
    sealed: row.sealed,
    finished: row.finished,
    sealTime: row.sealTime,
    counts: ofEachVerdict((name) => Number(row[name])),
    connectedDurationMs: row.connectedDurationMs,
    createTime: row.createTime,
    updateTime: row.updateTime,
  };
}
