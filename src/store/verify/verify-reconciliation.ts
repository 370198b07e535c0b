import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { PLATFORM_SIDE, RECORD_KINDS, type RecordKind } from "../../domain/record-kind.ts";
import { addDays } from "../../domain/time/instant.ts";
import type { Days } from "../database/partitions.ts";
import { readColumn, readRows, type Tx } from "../database/run.ts";
import { readReconcilePosition } from "../reconciliation/reconcile-progress.ts";
import { readPage, readSystemPage, type Verification } from "./verification.ts";
import { findOldestKeyDay, listKeyDays } from "./verify-feeds.ts";

const PAGE = 5_000n;
const EXAMPLES = 100;
/** A call's records start at most 24 hours apart, and a zone shift is at most 14. */
const DAYS_APART = 3;
/** Hours from a record's start to its mark: a zone shift and the minutes around. */
const MARK_HOURS = 16;

/** Each result's entry is in the discrepancy feed and its records are there. */
export async function verifyResults(verification: Verification): Promise<void> {
  const oldestCdrDay = await findOldestKeyDay(verification, "cdr_key");
  const oldestDurationDay = await findOldestKeyDay(verification, "duration_key");
  const oldest = { cdr: oldestCdrDay ?? "infinity", duration: oldestDurationDay ?? "infinity" };
  let after: ResultPosition | undefined = { recordDate: "0001-01-01", recordId: "", side: 0 };
  while (after) after = await verifyResultPage(verification, oldest, after);
}

interface ResultPosition {
  recordDate: string;
  recordId: string;
  side: number;
}

async function verifyResultPage(
  verification: Verification,
  oldest: { cdr: string; duration: string },
  after: ResultPosition,
): Promise<ResultPosition | undefined> {
  const { carrierId, report } = verification;
  const rows = await readPage(verification, (tx) => readResultPage(tx, carrierId, oldest, after));
  for (const row of rows) {
    const name = `${row.side === PLATFORM_SIDE ? "platform" : "carrier"} ${row.recordDate}/${row.recordId}`;
    if (row.untold) report("RESULT_WITHOUT_ENTRY", `${name}, sequence ${row.sequence ?? null}`);
    if (row.groundless) report("RESULT_WITHOUT_RECORD", name);
  }
  const last = rows.at(-1);
  return last && last.position >= PAGE ? last : undefined;
}

interface ResultRow extends ResultPosition {
  sequence: bigint | undefined;
  position: bigint;
  untold: boolean;
  groundless: boolean;
}

// What is wrong in a page, and its last row.
function readResultPage(
  tx: Tx,
  carrierId: string,
  oldest: { cdr: string; duration: string },
  after: ResultPosition,
): Promise<ResultRow[]> {
  return readRows(tx)<ResultRow>`
    WITH page AS MATERIALIZED (
      SELECT side, record_id, record_date, revision, carrier_record_ids, carrier_record_dates, carrier_revisions, sequence, discrepancy_id, update_time
      FROM call_result
      WHERE carrier_id = ${carrierId} AND (record_date, record_id, side) > (${after.recordDate}::date, ${after.recordId}, ${after.side}::int2)
      ORDER BY record_date, record_id, side LIMIT ${PAGE}
    ), checked AS (
      SELECT p.*, row_number() OVER (ORDER BY p.record_date, p.record_id, p.side) AS position, count(*) OVER () AS total,
        (p.discrepancy_id IS NULL) <> (p.sequence IS NULL) OR COALESCE(p.sequence >= h.earliest_sequence, false) AND NOT EXISTS (
          SELECT FROM discrepancy_entry e WHERE e.carrier_id = ${carrierId} AND e.sequence = p.sequence
            AND e.discrepancy_id = p.discrepancy_id AND e.ingest_time = p.update_time OFFSET 0) AS untold,
        p.side = ${sql.lit(PLATFORM_SIDE)} AND p.record_date >= ${oldest.cdr}::date AND NOT EXISTS (
          SELECT FROM cdr_key k WHERE k.carrier_id = ${carrierId} AND k.record_id = p.record_id AND k.record_date = p.record_date
            AND k.revision = p.revision OFFSET 0)
        OR EXISTS (
          SELECT FROM unnest(p.carrier_record_ids, p.carrier_record_dates, p.carrier_revisions) AS n(record_id, record_date, revision)
          WHERE n.record_date >= ${oldest.duration}::date AND NOT EXISTS (
            SELECT FROM duration_key k WHERE k.carrier_id = ${carrierId} AND k.record_id = n.record_id AND k.record_date = n.record_date
              AND k.revision = n.revision OFFSET 0)) AS groundless
      FROM page p JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = ${FeedId.DISCREPANCIES}
    )
    SELECT side, record_id, record_date, sequence, position, untold, groundless FROM checked
    WHERE untold OR groundless OR position = total ORDER BY position`;
}

/** Each judged record's newest revision is in exactly one result, unless to be judged again. */
export async function verifyJudged(verification: Verification): Promise<void> {
  const { carrierId } = verification;
  const isReconciled = await readPage(verification, (tx) => readReconcilePosition(tx, carrierId));
  if (!isReconciled) return;
  for (const kind of RECORD_KINDS) {
    for (const span of await listKeyDays(verification, kind.keys)) {
      const days = await readPage(verification, (tx) => listDays(tx, carrierId, kind.keys, span));
      for (const day of days) await verifyJudgedDay(verification, kind, day);
    }
  }
}

function listDays(tx: Tx, carrierId: string, keys: string, { start, end }: Days): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT DISTINCT record_date AS day FROM ${sql.table(keys)}
    WHERE carrier_id = ${carrierId} AND record_date >= ${sql.lit(start)}::date AND record_date < ${sql.lit(end)}::date
    ORDER BY 1`;
}

async function verifyJudgedDay(verification: Verification, kind: RecordKind, day: string): Promise<void> {
  const { carrierId, report } = verification;
  const rows = await readSystemPage(verification, (tx) => readMisplaced(tx, carrierId, kind, day));
  for (const { recordId, results } of rows)
    report("RECORD_NOT_IN_ONE_RESULT", `${kind.name} ${day}/${recordId}: in ${results}`);
}

// Counted, since a join would compare each with each; by days, since a part of a split call is only
// found among the results around.
function readMisplaced(
  tx: Tx,
  carrierId: string,
  { name, side, keys, records, start, feed }: RecordKind,
  day: string,
): Promise<{ recordId: string; results: bigint }[]> {
  const named =
    side === PLATFORM_SIDE
      ? sql`SELECT record_id, NULL::int8 AS sequence, 1 AS results FROM call_result
          WHERE carrier_id = ${carrierId} AND record_date = ${day}::date AND side = ${sql.lit(PLATFORM_SIDE)} AND NOT is_merged`
      : sql`SELECT n.record_id, NULL::int8 AS sequence, 1 AS results
          FROM call_result r CROSS JOIN LATERAL unnest(r.carrier_record_ids, r.carrier_record_dates) AS n(record_id, record_date)
          WHERE r.carrier_id = ${carrierId} AND NOT r.is_merged AND n.record_date = ${day}::date
            AND r.record_date BETWEEN ${addDays(day, -DAYS_APART)}::date AND ${addDays(day, DAYS_APART)}::date`;
  const position = sql.ref(`p.${name}_sequence`);
  const epoch = sql.ref(`p.${name}_epoch`);
  return readRows(tx)<{ recordId: string; results: bigint }>`
    WITH tip AS MATERIALIZED (
      SELECT DISTINCT ON (record_id) record_id, sequence FROM ${sql.table(keys)}
      WHERE carrier_id = ${carrierId} AND record_date = ${sql.lit(day)}::date ORDER BY record_id, revision DESC
    ), counted AS MATERIALIZED (
      SELECT record_id, max(sequence) AS sequence, sum(results) AS results
      FROM (SELECT record_id, sequence, 0 AS results FROM tip UNION ALL ${named}) each GROUP BY record_id
      HAVING max(sequence) IS NOT NULL AND sum(results) <> 1
    )
    SELECT t.record_id, t.results FROM reconcile_position p
    JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = ${feed} AND h.epoch = ${epoch}
    CROSS JOIN LATERAL (
      SELECT * FROM counted c WHERE c.sequence <= ${position} AND c.sequence >= h.earliest_sequence OFFSET 0) t
    LEFT JOIN LATERAL (
      SELECT * FROM ${sql.table(records)} f WHERE f.carrier_id = ${carrierId} AND f.sequence >= t.sequence AND f.sequence <= t.sequence
      ORDER BY f.sequence LIMIT 1) r ON true
    WHERE p.carrier_id = ${carrierId}
      AND NOT EXISTS (
        SELECT FROM reconcile_minute m WHERE m.carrier_id = ${carrierId}
          AND m.minute >= COALESCE(${sql.ref(`r.${start}`)}, ${day}::timestamp AT TIME ZONE 'UTC') - make_interval(hours => ${MARK_HOURS}::int4)
          AND m.minute <= COALESCE(${sql.ref(`r.${start}`)}, ${day}::timestamp AT TIME ZONE 'UTC') + make_interval(hours => ${MARK_HOURS}::int4) OFFSET 0)
    ORDER BY t.record_id LIMIT ${EXAMPLES}`;
}
