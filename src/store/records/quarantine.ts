import { type RawBuilder, sql } from "kysely";
import { kindOfUpload, type RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { isOfRegion } from "../carriers/carriers.ts";
import { readRows, run, type Tx, unnest } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";

/** A quarantined record: it has a verdict and no sequence. */
export interface QuarantineRow {
  recordId: string;
  recordDate: string;
  revision: number;
  contentHash: bigint;
  uploadId: string;
  recordOffset: bigint;
  issue: number;
  /** The numbers that could attribute it. */
  numbers: readonly string[];
  startTime: Micros | undefined;
  /** The state of the carrier's numbers by which it was judged last. */
  judgedNumbersSequence: bigint;
  /** The whole record, encoded. */
  payload: Uint8Array;
}

type Identity = Pick<QuarantineRow, "recordId" | "recordDate" | "revision">;

/**
 * Stores quarantined records. The judge has made sure that none of these identities is there
 * already.
 */
export function insertQuarantined(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  rows: readonly QuarantineRow[],
  now: Micros,
): Promise<void> {
  const written = rows.map((row) => ({
    ...row,
    kind: kind.upload,
    numbers: row.numbers.join(" "),
    payload: Buffer.from(row.payload),
    createTime: now,
  }));
  return writeRows(tx, { table: "quarantine", carrierId, columns: COLUMNS, stored: STORED }, written);
}

const COLUMNS = {
  ...({ kind: "int2", recordId: "text", recordDate: "date", revision: "int4", contentHash: "int8" } as const),
  ...({ uploadId: "text", recordOffset: "int8", issue: "int2", numbers: "text", startTime: "timestamptz" } as const),
  ...({ judgedNumbersSequence: "int8", payload: "bytea", createTime: "timestamptz" } as const),
};
const STORED = { numbers: sql`string_to_array(r.numbers, ' ')` };

/** Deletes quarantined records: they have been applied, or can never be. */
export async function dropQuarantined(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  identities: readonly Identity[],
): Promise<void> {
  if (identities.length === 0) return;
  await run(tx)`DELETE FROM quarantine q USING ${named(carrierId, kind, identities)}`;
}

/**
 * Records that wait for a number and were judged before the carrier's numbers last changed (or,
 * with `all`, at any time); at most `limit`.
 */
export function readQuarantined(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  { numbersSequence, all, limit }: { numbersSequence: bigint; all: boolean; limit: number },
): Promise<QuarantineRow[]> {
  return readRows(tx)<QuarantineRow>`
    SELECT * FROM quarantine
    WHERE carrier_id = ${carrierId} AND kind = ${kind.upload} AND issue = ${RecordIssue.NOT_ATTRIBUTABLE}
      ${all ? sql`` : sql`AND judged_numbers_sequence < ${numbersSequence}`}
    ORDER BY judged_numbers_sequence, create_time, record_offset LIMIT ${limit}`;
}

/** Notes that records were judged again and go on waiting. */
export async function markQuarantineJudged(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  identities: readonly Identity[],
  numbersSequence: bigint,
): Promise<void> {
  if (identities.length === 0) return;
  await run(tx)`
    UPDATE quarantine q SET judged_numbers_sequence = ${numbersSequence}
    FROM ${named(carrierId, kind, identities)}`;
}

/** The identities as rows `d`, and the condition that rows `q` of the table have one of them. */
function named(carrierId: string, kind: RecordKind, identities: readonly Identity[]): RawBuilder<unknown> {
  return sql`${unnest("d", identities, { recordId: "text", recordDate: "date", revision: "int4" })}
    WHERE q.carrier_id = ${carrierId} AND q.kind = ${kind.upload}
      AND q.record_id = d.record_id AND q.record_date = d.record_date AND q.revision = d.revision`;
}

/**
 * The carriers, of one region or of all, and kinds with records that wait for a number. For the
 * sweeper, in a system transaction.
 */
export async function listWaitingCarriers(tx: Tx, region?: string): Promise<{ carrierId: string; kind: RecordKind }[]> {
  const rows = await readRows(tx)<{ carrierId: string; kind: number }>`
    SELECT DISTINCT q.carrier_id, q.kind FROM quarantine q
    JOIN feed_head h ON h.carrier_id = q.carrier_id AND h.feed = 1
    WHERE q.issue = ${RecordIssue.NOT_ATTRIBUTABLE} AND q.judged_numbers_sequence < h.next_sequence - 1
      AND ${isOfRegion(sql`q.carrier_id`, region)}
    LIMIT 1000`;
  return rows.map((row) => ({ carrierId: row.carrierId, kind: kindOfUpload(row.kind) }));
}
