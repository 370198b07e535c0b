import { type ExpressionBuilder, sql } from "kysely";
import { UNREAD_ISSUES } from "../../domain/calls/verdict.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { run, type Tx } from "../database/run.ts";
import type { Schema } from "../database/schema.ts";
import { type ColumnOf, columnsOf, insertColumns } from "./insert-columns.ts";
import { isUpload, type UploadKey } from "./upload-key.ts";

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
 * How many records of one upload that were not plainly accepted are kept in detail. Those that are
 * stored anyway take half at most.
 */
export const MAX_STORED_REJECTS = 10_000;

/** Stores what is kept of records that were not plainly accepted. */
export async function insertRejects(tx: Tx, key: UploadKey, rejects: readonly RejectRow[], now: Micros): Promise<void> {
  if (rejects.length === 0) return;
  const columns = [
    { name: "kind", value: sql`${key.kind.upload}::int2` },
    { name: "upload_id", value: sql`${key.uploadId}::text` },
    { name: "create_time", value: sql`${isoFromMicros(now)}::timestamptz` },
    ...columnsOf(rejects, COLUMNS),
  ];
  await insertColumns(tx, "upload_reject", key.carrierId, columns, rejects.length);
}

const COLUMNS: readonly ColumnOf<RejectRow>[] = [
  ["record_offset", "int8", (reject) => reject.recordOffset],
  ["record_id", "text", (reject) => reject.recordId],
  ["verdict", "int2", (reject) => reject.verdict],
  ["issue", "int2", (reject) => reject.issue],
  ["field_path", "text", (reject) => reject.fieldPath],
  ["message", "text", (reject) => reject.message],
  ["retryable", "bool", (reject) => reject.retryable],
  ["record_json", "text", (reject) => reject.recordJson],
];

/** The stored rejects of `[start, end)`, by offset; at most `limit`. */
export async function readRejects(
  tx: Tx,
  key: UploadKey,
  range: { start: bigint; end?: bigint; limit: number },
): Promise<(RejectRow & { createTime: Micros })[]> {
  let query = tx.selectFrom("upload_reject").selectAll().where(isUpload(key)).where("record_offset", ">=", range.start);
  if (range.end !== undefined) query = query.where("record_offset", "<", range.end);
  const { rows } = await run(tx, query.orderBy("record_offset").limit(range.limit));
  return rows;
}

// The content of a record that could not be read is not known, and so neither is its duration.
export function unreadRejects(eb: ExpressionBuilder<Schema, "upload">, key: UploadKey) {
  return eb
    .selectFrom("upload_reject")
    .select(sql<number>`1`.as("unread"))
    .where(isUpload(key))
    .where("verdict", "=", Verdict.REJECTED)
    .where("issue", "in", UNREAD_ISSUES);
}
