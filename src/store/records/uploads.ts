import { sql } from "kysely";
import type { VerdictCounts } from "../../domain/calls/verdict.ts";
import { TandemError } from "../../domain/errors.ts";
import { CDR, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { Tally, takePlace } from "../carriers/carrier-tally.ts";
import { clockFrom } from "../database/clock-from.ts";
import { instant, readRow, readRows, readValue, run, type Tx } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";
import { hasUnreadRejects } from "./rejects.ts";
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
  const row = await readRow(tx)<UploadRow>`
    UPDATE upload SET writer_epoch = writer_epoch + 1, update_time = ${clockFrom("update_time")}
    WHERE ${isUpload(key)} AND NOT sealed AND next_offset >= ${acknowledgedOffset} RETURNING ${UPLOAD}`;
  return row ?? readUpload(tx, key);
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
export function readUpload(tx: Tx, key: UploadKey): Promise<UploadRow | undefined> {
  return readRow(tx)<UploadRow>`SELECT ${UPLOAD} FROM upload WHERE ${isUpload(key)}`;
}

/**
 * Lists uploads, newest first, after the one that a page ended with. In a transaction as
 * `LIST_PAGE`.
 */
export function listUploads(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  { sealed, after, limit }: { sealed?: boolean; after?: { createTime: Micros; uploadId: string }; limit: number },
): Promise<UploadRow[]> {
  const wheres = [sql`carrier_id = ${carrierId} AND kind = ${kind.upload}`];
  if (sealed !== undefined) wheres.push(sql`sealed = ${sealed}`);
  if (after) wheres.push(sql`(create_time, upload_id) < (${instant(after.createTime)}, ${after.uploadId})`);
  return readRows(tx)<UploadRow>`
    SELECT ${UPLOAD} FROM upload WHERE ${sql.join(wheres, sql` AND `)} ORDER BY create_time DESC, upload_id DESC LIMIT ${limit}`;
}

/**
 * Moves an upload past a run of batches, if it is still at the run's beginning and the writer is
 * not fenced. Returns the number of its rejects, if so.
 */
export function advanceUpload(
  tx: Tx,
  batch: UploadKey & { writerEpoch: bigint; firstOffset: bigint; count: number },
): Promise<{ storedRejects: number } | undefined> {
  return readRow(tx)<{ storedRejects: number }>`
    UPDATE upload SET next_offset = ${batch.firstOffset + BigInt(batch.count)}
    WHERE ${isUpload(batch)} AND next_offset = ${batch.firstOffset} AND writer_epoch = ${batch.writerEpoch} AND NOT sealed
    RETURNING stored_rejects::int4`;
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
export function insertUploadBatches(
  tx: Tx,
  { carrierId, kind }: Pick<UploadKey, "carrierId" | "kind">,
  batches: readonly (StoredBatch & { uploadId: string })[],
  now: Micros,
): Promise<void> {
  const rows = batches.map((batch) => ({
    ...batch,
    kind: kind.upload,
    recordCount: batch.verdicts.length,
    createTime: now,
  }));
  return writeRows(tx, { table: "upload_batch", carrierId, columns: BATCH }, rows);
}

const BATCH = {
  ...({ kind: "int2", uploadId: "text", firstOffset: "int8", recordCount: "int4" } as const),
  ...({ verdicts: "bytea", hashes: "bytea", createTime: "timestamptz" } as const),
};

/** The stored batches that overlap `[start, end)`, by offset; at most `limit`. */
export function readUploadBatches(
  tx: Tx,
  key: UploadKey,
  start: bigint,
  end: bigint,
  limit = 4_000,
): Promise<StoredBatch[]> {
  return readRows(tx)<StoredBatch>`
    SELECT first_offset, verdicts, hashes FROM upload_batch
    WHERE ${isUpload(key)} AND first_offset < ${end} AND first_offset + record_count > ${start} ORDER BY first_offset LIMIT ${limit}`;
}

/**
 * Seals an upload for its client, if it is at this offset with these totals and the writer is not
 * fenced. The connected time is not compared when a record could not be read.
 */
export function finishUpload(
  tx: Tx,
  key: UploadKey,
  expected: { writerEpoch: bigint; finalOffset: bigint; connectedDurationMs: bigint },
): Promise<UploadRow | undefined> {
  return readRow(tx)<UploadRow>`
    UPDATE upload SET sealed = true, finished = true, seal_time = ${clockFrom("seal_time")}, update_time = ${clockFrom("update_time")}
    WHERE ${isUpload(key)} AND writer_epoch = ${expected.writerEpoch} AND next_offset = ${expected.finalOffset} AND NOT sealed
      AND (connected_duration_ms = ${expected.connectedDurationMs}::numeric OR ${hasUnreadRejects(key)})
    RETURNING ${UPLOAD}`;
}

/** The columns of an UploadRow. */
const UPLOAD = sql`
  upload_id, next_offset, writer_epoch, sealed, finished, seal_time, connected_duration_ms, create_time, update_time,
  json_build_object('accepted', accepted, 'duplicate', duplicate, 'conflict', conflict, 'superseded', superseded, 'rejected', rejected,
    'quarantined', quarantined) AS counts`;
