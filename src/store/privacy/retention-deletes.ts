import { sql } from "kysely";
import { CLOSED_PERIOD_DAYS } from "../../domain/privacy/retention.ts";
import { CDR, DURATION, type RecordKind } from "../../domain/record-kind.ts";
import { addDays, earlier, isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { readRow, readRows, readValue, run, type Tx } from "../database/run.ts";
import { lockSumsAlone, moveResultSums, readAdded, sumColumns } from "../reconciliation/result-sums.ts";
import { insertMarks, type NumberSpan } from "../usage/usage-marks.ts";
import type { RetentionState } from "./retention-state.ts";

// Deletes what a carrier's retention has passed, one batch a call. In system transactions.

/** A run of sequences; `past` is one past the last. */
export interface SequenceRun {
  readonly first: bigint;
  readonly past: bigint;
}

/** Tables whose rows go by sequence. */
export type SequencedTable =
  | "cdr_record"
  | "cdr_quality"
  | "cdr_network"
  | "duration_record"
  | "number_entry"
  | "discrepancy_entry";

/** The next rows of a carrier in a range of sequences; undefined: there are none. */
export async function findRun(
  tx: Tx,
  table: SequencedTable,
  carrierId: string,
  range: { from: bigint; below: bigint },
  limit: number,
): Promise<SequenceRun | undefined> {
  const rows = await readRows(tx)<{ first: bigint | undefined; last: bigint | undefined }>`
    SELECT min(sequence) AS first, max(sequence) AS last FROM (
      SELECT sequence FROM ${sql.table(table)}
      WHERE carrier_id = ${carrierId} AND sequence >= ${range.from}::int8 AND sequence < ${range.below}::int8 ORDER BY sequence LIMIT ${limit}) run`;
  const { first, last } = rows[0] ?? {};
  return first === undefined || last === undefined ? undefined : { first, past: last + 1n };
}

export async function deleteRun(
  tx: Tx,
  table: SequencedTable,
  carrierId: string,
  sequences: SequenceRun,
): Promise<void> {
  await run(tx)`
    DELETE FROM ${sql.table(table)}
    WHERE carrier_id = ${carrierId} AND sequence >= ${sequences.first}::int8 AND sequence < ${sequences.past}::int8`;
}

/** Clears the verdict on quality of records whose quality is gone. */
export async function clearVerdicts(tx: Tx, carrierId: string, sequences: SequenceRun): Promise<void> {
  await run(tx)`
    UPDATE cdr_record SET quality_verdict = 0
    WHERE carrier_id = ${carrierId} AND sequence >= ${sequences.first}::int8 AND sequence < ${sequences.past}::int8 AND quality_verdict <> 0`;
  await run(tx)`
    UPDATE retention_state SET verdict_sequence = GREATEST(verdict_sequence, ${sequences.past}::int8) WHERE carrier_id = ${carrierId}`;
}

/** Where a page of keys or results ended; undefined: at the beginning. */
export type PagePlace = readonly [day: string, recordId: string, last: string];
const FIRST_PLACE: PagePlace = ["0001-01-01", "", "0"];

/** Deletes a page of a day's keys without records. Returns its end; undefined: the last. */
export async function deleteKeys(
  tx: Tx,
  table: "cdr_key" | "duration_key",
  carrierId: string,
  of: { day: string; arrivedBefore: Micros },
  page: { after: PagePlace | undefined; limit: number },
): Promise<PagePlace | undefined> {
  const [, recordId, revision] = page.after ?? FIRST_PLACE;
  const last = await readRow(tx)<{ recordId: string; revision: number; position: bigint }>`
    WITH page AS MATERIALIZED (
      SELECT record_id, revision, ingest_time FROM ${sql.table(table)}
      WHERE carrier_id = ${carrierId} AND record_date = ${of.day}::date AND (record_id, revision) > (${recordId}, ${revision}::int4)
      ORDER BY record_id, revision LIMIT ${page.limit}
    ), gone AS (
      DELETE FROM ${sql.table(table)} k
      WHERE k.carrier_id = ${carrierId} AND k.record_date = ${of.day}::date AND (k.record_id, k.revision) > (${recordId}, ${revision}::int4)
        AND k.record_id <= (SELECT max(p.record_id) FROM page p) AND k.ingest_time < ${isoFromMicros(of.arrivedBefore)}::timestamptz)
    SELECT record_id, revision, count(*) OVER () AS position FROM page ORDER BY record_id DESC, revision DESC LIMIT 1`;
  return last && last.position >= BigInt(page.limit) ? [of.day, last.recordId, String(last.revision)] : undefined;
}

/** The first day of a range with keys of a carrier. */
export function findKeyDay(
  tx: Tx,
  table: "cdr_key" | "duration_key",
  carrierId: string,
  range: { from: string; before: string },
): Promise<string | undefined> {
  return readValue(tx)<string | undefined>`
    SELECT min(record_date) AS day FROM ${sql.table(table)}
    WHERE carrier_id = ${carrierId} AND record_date >= ${range.from}::date AND record_date < ${range.before}::date`;
}

/**
 * Deletes a page of results without records. Results under a closed period stay while it may
 * change.
 * @returns where the page ended; undefined: it was the last.
 */
export async function deleteResults(
  tx: Tx,
  carrierId: string,
  of: { arrivedBefore: Micros; now: Micros },
  page: { after: PagePlace | undefined; limit: number },
): Promise<PagePlace | undefined> {
  const [day, recordId, side] = page.after ?? FIRST_PLACE;
  const before = isoFromMicros(of.arrivedBefore);
  // As usage counts them: by the number's history; without a number, by the customer that held it.
  const rests = sql`${isOpen(of.now)} AND r.start_time >= u.start_time AND r.start_time < u.end_time`;
  const last = await readRow(tx)<{ recordDate: string; recordId: string; side: number; position: bigint }>`
    WITH page AS MATERIALIZED (
      SELECT record_date, record_id, side FROM call_result
      WHERE carrier_id = ${carrierId} AND (record_date, record_id, side) > (${day}::date, ${recordId}, ${side}::int2)
        AND record_date <= (${before}::timestamptz AT TIME ZONE 'UTC')::date + 1
      ORDER BY record_date, record_id, side LIMIT ${page.limit}
    )
    SELECT record_date, record_id, side, count(*) OVER () AS position FROM page
    ORDER BY record_date DESC, record_id DESC, side DESC LIMIT 1`;
  if (!last) return undefined;
  const sums = await lockSumsAlone(tx, carrierId);
  const deletion = sql`
    DELETE FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND (r.record_date, r.record_id, r.side) > (${day}::date, ${recordId}, ${side}::int2)
      AND (r.record_date, r.record_id, r.side) <= (${last.recordDate}::date, ${last.recordId}, ${last.side}::int2)
      AND r.arrival_time < ${before}::timestamptz
      AND NOT EXISTS (
        SELECT FROM number_holding n JOIN usage_period u ON u.customer_id = n.customer_id
        WHERE n.phone_number = r.phone_number AND n.start_time <= r.start_time AND n.end_time > r.start_time AND ${rests})
      AND NOT EXISTS (
        SELECT FROM usage_period u
        WHERE r.phone_number IS NULL AND u.customer_id = COALESCE(r.usage_customer_id, r.customer_id) AND ${rests})
    RETURNING ${sumColumns("r")}`;
  await moveResultSums(tx, carrierId, sums, { gone: await readAdded(tx, deletion) });
  return last.position >= BigInt(page.limit) ? [last.recordDate, last.recordId, String(last.side)] : undefined;
}

/** Deletes for all tables without sequences and keys. Each returns how many rows it took. */
export function otherDeletes(
  carrierId: string,
  of: { state: RetentionState; numberHistory: Micros; now: Micros; laterDays: number },
): ((tx: Tx, limit: number) => Promise<number>)[] {
  const { state, now } = of;
  const at = (instant: Micros) => sql`${isoFromMicros(instant)}::timestamptz`;
  const oldestDay = addDays(isoFromMicros(now).slice(0, 10), -of.laterDays);
  const both = earlier(state.call, state.duration);
  const arrival = (kind: RecordKind) => (kind === CDR ? state.call : state.duration);
  const ofKind = (kind: RecordKind) => [
    // Not released any more either: what it would be compared with is gone.
    deleteSome(
      carrierId,
      "quarantine",
      sql`r.kind = ${kind.upload} AND (r.create_time < ${at(arrival(kind))} OR r.record_date < ${oldestDay}::date)`,
    ),
    deleteSome(
      carrierId,
      "upload",
      sql`r.kind = ${kind.upload} AND r.sealed AND r.seal_time < ${at(arrival(kind))}
        AND NOT EXISTS (SELECT FROM upload_batch b WHERE b.carrier_id = ${carrierId} AND b.kind = ${kind.upload} AND b.upload_id = r.upload_id)`,
    ),
  ];
  const isOldHolding = sql`r.end_time < ${at(of.numberHistory)} AND NOT EXISTS (
    SELECT FROM usage_period u WHERE u.customer_id = r.customer_id AND ${isOpen(now)}
      AND r.end_time > u.start_time AND r.start_time < u.end_time)`;
  return [
    ...ofKind(CDR),
    ...ofKind(DURATION),
    (tx, limit) => deleteHoldings(tx, carrierId, isOldHolding, limit),
    deleteSome(carrierId, "number_port", sql`r.stage = 3 AND r.effective_time < ${at(of.numberHistory)}`),
    // RELEASED and PORTED_OUT: the last of a holding that is over.
    deleteSome(carrierId, "phone_number", sql`r.state IN (3, 4) AND r.recorded_time < ${at(of.numberHistory)}`),
    deleteSome(carrierId, "clock_offset", sql`r.hour < ${at(both)}`),
    deleteSome(carrierId, "clock_minute", sql`r.minute < ${at(both)}`),
    deleteSome(carrierId, "clock_lacking", sql`r.start_time < ${at(both)}`),
    deleteSome(carrierId, "rounding_vote", sql`r.day < (${at(both)} AT TIME ZONE 'UTC')::date`),
  ];
}

function isOpen(now: Micros) {
  return sql`u.end_date > (${isoFromMicros(now)}::timestamptz AT TIME ZONE 'UTC')::date - ${sql.lit(CLOSED_PERIOD_DAYS)}`;
}

function deleteSome(carrierId: string, table: string, where: ReturnType<typeof sql>) {
  return async function deleteSome(tx: Tx, limit: number): Promise<number> {
    const { count } = await run(tx)`
      DELETE FROM ${sql.table(table)} WHERE carrier_id = ${carrierId} AND ctid = ANY(ARRAY(
        SELECT r.ctid FROM ${sql.table(table)} r WHERE r.carrier_id = ${carrierId} AND ${where} LIMIT ${limit}))`;
    return count;
  };
}

// Nobody holds the number then any more, so calls of that time count for nobody.
async function deleteHoldings(
  tx: Tx,
  carrierId: string,
  where: ReturnType<typeof sql>,
  limit: number,
): Promise<number> {
  const rows = await readRows(tx)<NumberSpan & { customerId: string | undefined }>`
    DELETE FROM number_holding WHERE carrier_id = ${carrierId} AND ctid = ANY(ARRAY(
      SELECT r.ctid FROM number_holding r WHERE r.carrier_id = ${carrierId} AND ${where} LIMIT ${limit}))
    RETURNING phone_number, start_time, end_time, customer_id`;
  const held = rows.filter(({ customerId, startTime, endTime }) => customerId !== undefined && startTime < endTime);
  await insertMarks(tx, carrierId, held);
  return rows.length;
}
