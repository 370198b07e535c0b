import { type ExpressionBuilder, sql } from "kysely";
import { UNREAD_ISSUES } from "../../domain/calls/verdict.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { boolArray, int2Array, int8Array, textArray } from "../database/binary-array.ts";
import { insertAll, run, type Tx } from "../database/run.ts";
import type { Schema } from "../database/schema.ts";
import type { UploadKey } from "./upload-key.ts";

/** What is kept of a record that was not plainly accepted. */
export interface RejectRow {
  recordOffset: bigint;
  recordId: string;
  verdict: number;
  issue: number;
  fieldPath: string | undefined;
  message: string;
  retryable: boolean;
  recordJson: string;
}

/**
 * How many records of one upload that were not plainly accepted are kept in detail; those that are
 * stored take half at most.
 */
export const MAX_STORED_REJECTS = 10_000;

/** Stores what is kept of records that were not plainly accepted. */
export async function insertRejects(tx: Tx, key: UploadKey, rejects: readonly RejectRow[], now: Micros): Promise<void> {
  if (rejects.length === 0) return;
  const query = sql`
    INSERT INTO upload_reject (carrier_id, kind, upload_id, record_offset, record_id, verdict, issue, field_path, message, retryable, record_json, create_time)
    SELECT c.carrier_id, ${key.kind.upload}, ${key.uploadId}, r.*, ${isoFromMicros(now)}::timestamptz
    FROM carrier c CROSS JOIN unnest(${int8Array(rejects.map((r) => r.recordOffset))}::int8[], ${textArray(rejects.map((r) => r.recordId))}::text[],
                ${int2Array(rejects.map((r) => r.verdict))}::int2[], ${int2Array(rejects.map((r) => r.issue))}::int2[],
                ${textArray(rejects.map((r) => r.fieldPath))}::text[], ${textArray(rejects.map((r) => r.message))}::text[],
                ${boolArray(rejects.map((r) => r.retryable))}::bool[], ${textArray(rejects.map((r) => r.recordJson))}::text[]) AS r
    WHERE c.carrier_id = ${key.carrierId}`;
  await insertAll(tx, query, rejects.length);
}

/** The stored rejects of `[start, end)`, by offset; at most `limit`. */
export async function readRejects(
  tx: Tx,
  key: UploadKey,
  range: { start: bigint; end?: bigint; limit: number },
): Promise<(RejectRow & { createTime: Micros })[]> {
  let query = tx
    .selectFrom("upload_reject")
    .selectAll()
    .where("carrier_id", "=", key.carrierId)
    .where("kind", "=", key.kind.upload)
    .where("upload_id", "=", key.uploadId)
    .where("record_offset", ">=", range.start);
  if (range.end !== undefined) query = query.where("record_offset", "<", range.end);
  const { rows } = await run(tx, query.orderBy("record_offset").limit(range.limit));
  return rows;
}

// What was said in a record that could not be read is not known, and so neither is how long it
// lasted.
export function unreadRejects(eb: ExpressionBuilder<Schema, "upload">, key: UploadKey) {
  return eb
    .selectFrom("upload_reject")
    .select(sql<number>`1`.as("unread"))
    .where("carrier_id", "=", key.carrierId)
    .where("kind", "=", key.kind.upload)
    .where("upload_id", "=", key.uploadId)
    .where("verdict", "=", Verdict.REJECTED)
    .where("issue", "in", UNREAD_ISSUES);
}
