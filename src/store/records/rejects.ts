import { type RawBuilder, sql } from "kysely";
import { UNREAD_ISSUES } from "../../domain/calls/verdict.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { readRows, type Tx } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";
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
export function insertRejects(
  tx: Tx,
  { carrierId, kind, uploadId }: UploadKey,
  rejects: readonly RejectRow[],
  createTime: Micros,
): Promise<void> {
  const rows = rejects.map((reject) => ({ ...reject, kind: kind.upload, uploadId, createTime }));
  return writeRows(tx, { table: "upload_reject", carrierId, columns: COLUMNS }, rows);
}

const COLUMNS = {
  ...({ kind: "int2", uploadId: "text", createTime: "timestamptz", recordOffset: "int8", recordId: "text" } as const),
  ...({
    verdict: "int2",
    issue: "int2",
    fieldPath: "text",
    message: "text",
    retryable: "bool",
    recordJson: "text",
  } as const),
};

/** The stored rejects of `[start, end)`, by offset; at most `limit`. */
export function readRejects(
  tx: Tx,
  key: UploadKey,
  { start, end, limit }: { start: bigint; end?: bigint; limit: number },
): Promise<(RejectRow & { createTime: Micros })[]> {
  const before = end === undefined ? sql`` : sql`AND record_offset < ${end}`;
  return readRows(tx)<RejectRow & { createTime: Micros }>`
    SELECT * FROM upload_reject WHERE ${isUpload(key)} AND record_offset >= ${start} ${before} ORDER BY record_offset LIMIT ${limit}`;
}

// The content of a record that could not be read is not known, and so neither is its duration.
export function hasUnreadRejects(key: UploadKey): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (SELECT FROM upload_reject
    WHERE ${isUpload(key)} AND verdict = ${Verdict.REJECTED} AND issue = ANY(${UNREAD_ISSUES}::int2[]))`;
}
