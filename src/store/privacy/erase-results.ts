import { sql } from "kysely";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { boolArray, byteaArray, dateArray, int2Array, int8Array, textArray } from "../database/binary-array.ts";
import { run, type Tx } from "../database/run.ts";
import { inRange, type RecordName, type RecordSearch } from "./erase-calls.ts";

// What reconciliation made of calls, as an erasure finds and rewrites it. In system transactions.

/** A call as reconciliation judged it. */
export interface StoredResult extends RecordName {
  side: number;
  carrierRecords: RecordName[];
  status: number;
  dueTime: Micros | undefined;
  startTime: Micros;
  callDate: string;
  phoneNumber: string | undefined;
  otherNumber: string | undefined;
  callId: string | undefined;
  discrepancyId: string | undefined;
  payload: Buffer | undefined;
}

const COLUMNS =
  sql.raw(`r.side, r.record_id, r.record_date, r.carrier_record_ids, r.carrier_record_dates, r.status, r.due_time, r.start_time,
  r.call_date, r.phone_number, r.other_number, r.call_id, r.discrepancy_id, r.payload`);

/**
 * The results that rest on records of either side; by the carrier's those that begin in a range,
 * which is read whole.
 */
export async function readResultsOf(
  tx: Tx,
  carrierId: string,
  records: { platform: readonly RecordName[]; carrier: readonly RecordName[] },
  range: { start: Micros; end: Micros },
): Promise<StoredResult[]> {
  const names = [
    ...records.platform.map((name) => ({ ...name, side: PLATFORM_SIDE })),
    ...records.carrier.map((name) => ({ ...name, side: CARRIER_SIDE })),
  ];
  if (names.length === 0) return [];
  const ids = textArray(records.carrier.map(({ recordId }) => recordId));
  const byCarrierRecord = sql`UNION
    SELECT ${COLUMNS} FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND ${inRange(sql.ref("r.start_time"), range)} AND r.carrier_record_ids && ${ids}::text[]`;
  const { rows } = await run(tx)<ResultColumns>`
    SELECT ${COLUMNS} FROM unnest(${int2Array(names.map((n) => n.side))}::int2[], ${textArray(names.map((n) => n.recordId))}::text[],
      ${dateArray(names.map((n) => n.recordDate))}::date[]) AS n(side, record_id, record_date)
    JOIN call_result r ON r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side
    ${records.carrier.length === 0 ? sql`` : byCarrierRecord}`;
  return rows.map(storedResult);
}

/** Where a page of results ended. */
export type ResultPlace = Pick<StoredResult, "startTime" | "recordId">;

/**
 * Results that begin in a range and show a number, of calls whose records may be gone; by start and
 * id, after one of them; at most `limit`.
 */
export async function findResultsOf(
  tx: Tx,
  carrierId: string,
  search: RecordSearch,
  page: { after: ResultPlace | undefined; limit: number },
): Promise<StoredResult[]> {
  const after = page.after
    ? sql`AND (r.start_time, r.record_id) > (${isoFromMicros(page.after.startTime)}::timestamptz, ${page.after.recordId}::text)`
    : sql``;
  const { rows } = await run(tx)<ResultColumns>`
    SELECT ${COLUMNS} FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND ${inRange(sql.ref("r.start_time"), search)}
      AND (r.phone_number = ANY(${textArray(search.forms)}::text[]) OR r.other_number ~ ${search.pattern} OR r.call_id ~ ${search.pattern}
        OR encode(r.payload, 'escape') ~ ${search.pattern}) ${after}
    ORDER BY r.start_time, r.record_id LIMIT ${page.limit}`;
  return rows.map(storedResult);
}

/** A result as it is to be stored. */
export interface RewrittenResult extends StoredResult {
  /** The number that it was attributed to was erased: it counts for the customer that held it. */
  heldNumber: string | undefined;
  /** All its records are stored. */
  isWhole: boolean;
}

/**
 * Writes results without the number: what was hashed of it goes too, and their records stay
 * together from here on. When they were judged stays, for nothing was judged anew.
 * @param idKeys hashes of ids that were masked, each with that of what stands in its place. Of a
 *   result of which records are gone all go: nobody can tell which of them the number was in, and
 *   no record is looked for by them.
 */
export async function rewriteResults(
  tx: Tx,
  carrierId: string,
  results: readonly RewrittenResult[],
  idKeys: ReadonlyMap<bigint, bigint>,
): Promise<void> {
  if (results.length === 0) return;
  const [masked, instead] = [int8Array([...idKeys.keys()]), int8Array([...idKeys.values()])];
  const nothing = Buffer.alloc(0);
  await run(tx)`
    UPDATE call_result r SET phone_number = w.phone_number, other_number = w.other_number, call_id = w.call_id, payload = NULLIF(w.payload, ''::bytea),
      pair_key = NULL, result_hash = 0, is_erased = true,
      id_keys = CASE WHEN NOT w.is_whole THEN NULL WHEN r.id_keys && ${masked}::int8[] THEN (
        SELECT array_agg(DISTINCT COALESCE(m.instead, k.key)) FROM unnest(r.id_keys) AS k(key)
        LEFT JOIN unnest(${masked}::int8[], ${instead}::int8[]) AS m(masked, instead) ON m.masked = k.key) ELSE r.id_keys END,
      usage_customer_id = COALESCE(r.usage_customer_id, (SELECT h.customer_id FROM number_holding h
        WHERE w.is_held AND h.phone_number = r.phone_number AND h.start_time <= r.start_time AND h.end_time > r.start_time AND h.customer_id IS NOT NULL
        LIMIT 1), CASE WHEN w.is_held THEN r.customer_id END)
    FROM unnest(${int2Array(results.map((r) => r.side))}::int2[], ${textArray(results.map((r) => r.recordId))}::text[],
      ${dateArray(results.map((r) => r.recordDate))}::date[], ${textArray(results.map((r) => r.phoneNumber))}::text[],
      ${textArray(results.map((r) => r.otherNumber))}::text[], ${textArray(results.map((r) => r.callId))}::text[],
      ${byteaArray(results.map((r) => r.payload ?? nothing))}::bytea[], ${boolArray(results.map((r) => r.heldNumber !== undefined))}::bool[],
      ${boolArray(results.map((r) => r.isWhole))}::bool[])
      AS w(side, record_id, record_date, phone_number, other_number, call_id, payload, is_held, is_whole)
    WHERE r.carrier_id = ${carrierId} AND r.record_date = w.record_date AND r.record_id = w.record_id AND r.side = w.side`;
}

/** The feed's entries of discrepancies, encoded. */
export async function readDiscrepancyEntries(
  tx: Tx,
  carrierId: string,
  discrepancyIds: readonly string[],
): Promise<{ sequence: bigint; payload: Buffer }[]> {
  if (discrepancyIds.length === 0) return [];
  const { rows } = await run(tx)<{ sequence: bigint; payload: Buffer }>`
    SELECT e.sequence, e.payload FROM discrepancy_entry e
    WHERE e.carrier_id = ${carrierId} AND e.discrepancy_id = ANY(${textArray(discrepancyIds)}::text[])`;
  return rows;
}

/** Writes entries of the discrepancy feed without the number. */
export async function rewriteDiscrepancyEntries(
  tx: Tx,
  carrierId: string,
  entries: readonly { sequence: bigint; payload: Buffer }[],
): Promise<void> {
  if (entries.length === 0) return;
  await run(tx)`
    UPDATE discrepancy_entry e SET payload = w.payload
    FROM unnest(${int8Array(entries.map((e) => e.sequence))}::int8[], ${byteaArray(entries.map((e) => e.payload))}::bytea[]) AS w(sequence, payload)
    WHERE e.carrier_id = ${carrierId} AND e.sequence = w.sequence`;
}

/** Appends an ERASURE entry to the discrepancy feed, under its lock. */
export async function insertDiscrepancyErasure(
  tx: Tx,
  carrierId: string,
  lock: { nextSequence: bigint; ingestTime: Micros },
  payload: Buffer,
): Promise<void> {
  await run(tx)`
    INSERT INTO discrepancy_entry (carrier_id, sequence, ingest_time, entry_kind, payload)
    VALUES (${carrierId}, ${lock.nextSequence}, ${isoFromMicros(lock.ingestTime)}::timestamptz, 2, ${payload})`;
}

/**
 * Pairs of which a number was erased, and that begin in a range: what joined them, and whether they
 * had no rival.
 */
export async function readErasedPairs(
  tx: Tx,
  carrierId: string,
  range: { start: Micros; end: Micros },
): Promise<{ platform: RecordName; carrier: RecordName[]; by: number; isAlone: boolean }[]> {
  const { rows } = await run(tx)<RecordName & CarrierRecords & { matchedBy: number; isAlone: boolean }>`
    SELECT r.record_id, r.record_date, r.carrier_record_ids, r.carrier_record_dates, r.matched_by, r.vote_ms IS NOT NULL AS is_alone
    FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND ${inRange(sql.ref("r.start_time"), range)} AND r.is_erased AND r.side = ${sql.lit(PLATFORM_SIDE)} AND r.matched_by > 0
      AND NOT r.is_merged`;
  return rows.map((row) => ({
    platform: { recordId: row.recordId, recordDate: row.recordDate },
    carrier: namesOf(row.carrierRecordIds, row.carrierRecordDates),
    by: row.matchedBy,
    isAlone: row.isAlone,
  }));
}

/** Up to which sequences reconciliation has judged both sides' records. */
export async function readJudgedThrough(tx: Tx, carrierId: string): Promise<{ cdrs: bigint; durations: bigint }> {
  const { rows } = await run(tx)<{ cdrSequence: bigint; durationSequence: bigint }>`
    SELECT cdr_sequence, duration_sequence FROM reconcile_position WHERE carrier_id = ${carrierId}`;
  return { cdrs: rows[0]?.cdrSequence ?? 0n, durations: rows[0]?.durationSequence ?? 0n };
}

interface CarrierRecords {
  carrierRecordIds: string[];
  carrierRecordDates: string[];
}
type ResultColumns = Omit<StoredResult, "carrierRecords"> & CarrierRecords;

function storedResult({ carrierRecordIds, carrierRecordDates, ...row }: ResultColumns): StoredResult {
  return { ...row, carrierRecords: namesOf(carrierRecordIds, carrierRecordDates) };
}

function namesOf(ids: readonly string[], dates: readonly string[]): RecordName[] {
  return ids.map((recordId, index) => ({ recordId, recordDate: dates[index] ?? "" }));
}
