import { sql } from "kysely";
import { ERASED_HASH } from "../../domain/privacy/erasure.ts";
import { CDR, DURATION, kindOfSide, kindOfUpload, type RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { inRange, readInOrder, readRows, run, type Tx } from "../database/run.ts";
import { type HoldColumns, type HoldOn, holdOn, type RecordSearch, withHold } from "./erase-calls.ts";

// Copies of records: in quarantine, as rejects, and under holds. In system transactions.

export interface QuarantinedRecord {
  kind: RecordKind;
  recordId: string;
  recordDate: string;
  revision: number;
  uploadId: string;
  recordOffset: bigint;
  startTime: Micros | undefined;
  payload: Buffer;
  /** The numbers that could attribute it. */
  numbers: readonly string[];
}

/** Quarantined records of any time in which a number may be. */
export async function findQuarantinedOf(
  tx: Tx,
  carrierId: string,
  { forms, pattern }: RecordSearch,
  page: { after: QuarantinedRecord | undefined; limit: number },
): Promise<QuarantinedRecord[]> {
  await readInOrder(tx);
  const after = page.after ?? { kind: undefined, recordId: "", recordDate: "0001-01-01", revision: 0 };
  const rows = await readRows(tx)<Omit<QuarantinedRecord, "kind"> & { kind: number }>`
    SELECT kind, record_id, record_date, revision, upload_id, record_offset, start_time, payload, numbers FROM quarantine
    WHERE carrier_id = ${carrierId}
      AND (kind, record_id, record_date, revision) > (${after.kind?.upload ?? 0}::int2, ${after.recordId}::text, ${after.recordDate}::date, ${after.revision}::int4)
      AND (numbers && ${textArray(forms)}::text[] OR encode(payload, 'escape') ~ ${pattern})
    ORDER BY kind, record_id, record_date, revision LIMIT ${page.limit}`;
  return rows.map((row) => ({ ...row, kind: kindOfUpload(row.kind) }));
}

/** Writes a record in quarantine without the number. */
export async function rewriteQuarantined(tx: Tx, carrierId: string, record: QuarantinedRecord): Promise<void> {
  await run(tx)`
    UPDATE quarantine SET payload = ${record.payload}, numbers = ${textArray(record.numbers)}::text[], content_hash = ${ERASED_HASH}
    WHERE carrier_id = ${carrierId} AND kind = ${record.kind.upload} AND record_id = ${record.recordId} AND record_date = ${record.recordDate}::date
      AND revision = ${record.revision}`;
  await eraseUploadHash(tx, carrierId, record);
}

/** What is kept of a refused or quarantined record. */
export interface StoredReject {
  kind: RecordKind;
  uploadId: string;
  recordOffset: bigint;
  message: string;
  recordJson: string;
  createTime: Micros;
}

/** Rejects in which a number may be, masked or not. */
export async function findRejectsOf(
  tx: Tx,
  carrierId: string,
  maskedPattern: string,
  page: { after: StoredReject | undefined; limit: number },
): Promise<StoredReject[]> {
  await readInOrder(tx);
  const after = page.after ?? { kind: undefined, uploadId: "", recordOffset: -1n };
  const rows = await readRows(tx)<Omit<StoredReject, "kind"> & { kind: number }>`
    SELECT kind, upload_id, record_offset, message, record_json, create_time FROM upload_reject
    WHERE carrier_id = ${carrierId} AND (kind, upload_id, record_offset) > (${after.kind?.upload ?? 0}::int2, ${after.uploadId}::text, ${after.recordOffset}::int8)
      AND (record_json ~ ${maskedPattern} OR message ~ ${maskedPattern})
    ORDER BY kind, upload_id, record_offset LIMIT ${page.limit}`;
  return rows.map((row) => ({ ...row, kind: kindOfUpload(row.kind) }));
}

export async function rewriteReject(tx: Tx, carrierId: string, reject: StoredReject): Promise<void> {
  await run(tx)`
    UPDATE upload_reject SET message = ${reject.message}, record_json = ${reject.recordJson}
    WHERE carrier_id = ${carrierId} AND kind = ${reject.kind.upload} AND upload_id = ${reject.uploadId} AND record_offset = ${reject.recordOffset}`;
  await eraseUploadHash(tx, carrierId, reject);
}

type Place = Pick<StoredReject, "kind" | "uploadId" | "recordOffset">;

async function eraseUploadHash(tx: Tx, carrierId: string, { kind, uploadId, recordOffset }: Place): Promise<void> {
  const at = sql`(${recordOffset}::int8 - first_offset)::int4 * 8`;
  await run(tx)`
    UPDATE upload_batch SET hashes = overlay(hashes PLACING '\\x0000000000000000'::bytea FROM ${at} + 1 FOR 8)
    WHERE carrier_id = ${carrierId} AND kind = ${kind.upload} AND upload_id = ${uploadId} AND first_offset <= ${recordOffset}
      AND first_offset + record_count > ${recordOffset}`;
}

/** A copy of a record under a hold. */
export interface HeldCopy {
  kind: RecordKind;
  sequence: bigint;
  recordId: string;
  recordDate: string;
  ingestTime: Micros;
  startTime: Micros | undefined;
  phoneNumber: string | undefined;
  payload: Buffer;
  network: Buffer | undefined;
  callId: string | undefined;
  dialogCallId: string | undefined;
  correlationId: string | undefined;
  hold: HoldOn | undefined;
}

/** Copies under holds that begin in a range and may have a number. */
export async function findHeldOf(
  tx: Tx,
  carrierId: string,
  { forms, pattern, start, end }: RecordSearch,
  page: { after: HeldCopy | undefined; limit: number; now: Micros },
): Promise<HeldCopy[]> {
  await readInOrder(tx);
  const [side, sequence] = page.after ? [page.after.kind.side, page.after.sequence] : [0, 0n];
  const columns =
    sql.raw(`r.side, r.sequence, r.record_id, r.record_date, r.ingest_time, r.start_time, r.phone_number, r.payload, r.network,
    r.call_id, r.dialog_call_id, r.correlation_id, held.hold_id, held.end_time AS hold_end`);
  const ofKind = (kind: RecordKind) => sql`
    SELECT ${columns} FROM held_record r ${holdOn(carrierId, kind.side, "start_time", page.now)}
    WHERE r.carrier_id = ${carrierId} AND r.side = ${kind.side} AND (r.side, r.sequence) > (${side}::int2, ${sequence}::int8)
      AND ${inRange(sql.ref("r.start_time"), { start, end })}
      AND (r.phone_number = ANY(${textArray(forms)}::text[]) OR encode(r.payload, 'escape') ~ ${pattern} OR encode(r.network, 'escape') ~ ${pattern}
        OR concat_ws(' ', r.call_id, r.dialog_call_id, r.correlation_id) ~ ${pattern})`;
  const rows = await readRows(tx)<Omit<HeldCopy, "hold" | "kind"> & HoldColumns & { side: number }>`
    ${ofKind(CDR)} UNION ALL ${ofKind(DURATION)} ORDER BY side, sequence LIMIT ${page.limit}`;
  return rows.map(({ side, ...row }) => ({ ...withHold(row), kind: kindOfSide(side) }));
}

export async function rewriteHeld(
  tx: Tx,
  carrierId: string,
  copy: HeldCopy & { callingErased: boolean; calledErased: boolean },
): Promise<void> {
  await run(tx)`
    UPDATE held_record SET payload = ${copy.payload}, network = ${copy.network}, phone_number = ${copy.phoneNumber},
      call_id = ${copy.callId}, dialog_call_id = ${copy.dialogCallId}, correlation_id = ${copy.correlationId},
      calling_number = CASE WHEN ${copy.callingErased} THEN NULL ELSE calling_number END,
      called_number = CASE WHEN ${copy.calledErased} THEN NULL ELSE called_number END
    WHERE carrier_id = ${carrierId} AND side = ${copy.kind.side} AND sequence = ${copy.sequence}`;
}

/** Stored answers to repeatable calls of an interval in which a number is. */
export function findAnswersOf(
  tx: Tx,
  carrierId: string,
  { pattern, start, end }: Pick<RecordSearch, "pattern" | "start" | "end">,
): Promise<{ method: string; requestId: string; response: Buffer }[]> {
  return readRows(tx)<{ method: string; requestId: string; response: Buffer }>`
    SELECT method, request_id, response FROM request_log
    WHERE carrier_id = ${carrierId} AND encode(response, 'escape') ~ ${pattern}
      AND ${inRange(sql.ref("create_time"), { start, end })}
    LIMIT 10000`;
}

export async function rewriteAnswer(
  tx: Tx,
  carrierId: string,
  answer: { method: string; requestId: string; response: Buffer },
): Promise<void> {
  await run(tx)`
    UPDATE request_log SET response = ${answer.response}
    WHERE carrier_id = ${carrierId} AND method = ${answer.method} AND request_id = ${answer.requestId}`;
}
