import { type RawBuilder, sql } from "kysely";
import { kindOfUpload, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { isOfRegion } from "../carriers/carriers.ts";
import { dateArray, int4Array, textArray } from "../database/binary-array.ts";
import { readRows, run, type Tx, together } from "../database/run.ts";

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
export async function insertQuarantined(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  rows: readonly QuarantineRow[],
  now: Micros,
): Promise<void> {
  const answers: Promise<unknown>[] = [];
  for (let start = 0; start < rows.length; start += 500) {
    const values = rows.slice(start, start + 500).map((row) => ({
      carrier_id: carrierId,
      kind: kind.upload,
      record_id: row.recordId,
      record_date: row.recordDate,
      revision: row.revision,
      content_hash: row.contentHash,
      upload_id: row.uploadId,
      record_offset: row.recordOffset,
      issue: row.issue,
      numbers: [...row.numbers],
      start_time: row.startTime === undefined ? null : isoFromMicros(row.startTime),
      judged_numbers_sequence: row.judgedNumbersSequence,
      payload: Buffer.from(row.payload),
      create_time: isoFromMicros(now),
    }));
    answers.push(run(tx, tx.insertInto("quarantine").values(values)));
  }
  await together(answers);
}

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
export async function readQuarantined(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  options: { numbersSequence: bigint; all: boolean; limit: number },
): Promise<QuarantineRow[]> {
  let query = tx
    .selectFrom("quarantine")
    .selectAll()
    .where("carrier_id", "=", carrierId)
    .where("kind", "=", kind.upload)
    .where("issue", "=", RecordIssue.NOT_ATTRIBUTABLE);
  if (!options.all) query = query.where("judged_numbers_sequence", "<", options.numbersSequence);
  const { rows } = await run(
    tx,
    query.orderBy("judged_numbers_sequence").orderBy("create_time").orderBy("record_offset").limit(options.limit),
  );
  return rows;
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
  return sql`unnest(${textArray(identities.map((i) => i.recordId))}::text[], ${dateArray(identities.map((i) => i.recordDate))}::date[],
                 ${int4Array(identities.map((i) => i.revision))}::int4[]) AS d(record_id, record_date, revision)
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
