import { sql } from "kysely";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { int8Array, textArray } from "../database/binary-array.ts";
import { inRange, instant, readRow, readRows, run, type Tx, unnest } from "../database/run.ts";
import type { ResultName } from "../reconciliation/call-result-columns.ts";
import { lockSumsAlone } from "../reconciliation/result-sums.ts";
import { readCells } from "../reconciliation/summary-cells.ts";
import { moveSummary } from "../reconciliation/summary-sums.ts";
import { moveNamed } from "../usage/sum-upkeep.ts";
import type { RecordName, RecordSearch } from "./erase-calls.ts";

// Results of reconciliation, as an erasure finds and rewrites them. In system transactions.

/** A call as reconciliation judged it. */
export interface StoredResult extends ResultName {
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

/** The results of these records. By carriers' records only those that begin in a range. */
export async function readResultsOf(
  tx: Tx,
  carrierId: string,
  names: readonly ResultName[],
  range: { start: Micros; end: Micros },
): Promise<StoredResult[]> {
  if (names.length === 0) return [];
  const ids = names.flatMap(({ side, recordId }) => (side === CARRIER_SIDE ? [recordId] : []));
  const byCarrierRecord = sql`UNION
    SELECT ${COLUMNS} FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND ${inRange(sql.ref("r.start_time"), range)} AND r.carrier_record_ids && ${textArray(ids)}::text[]`;
  return readRows(tx, storedResult)`
    SELECT ${COLUMNS} FROM ${unnest("n", names, { side: "int2", recordId: "text", recordDate: "date" })}
    JOIN call_result r ON r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side
    ${ids.length === 0 ? sql`` : byCarrierRecord}`;
}

/** Results of a range that show a number, even if their records are gone; by start and id. */
export function findResultsOf(
  tx: Tx,
  carrierId: string,
  search: RecordSearch,
  page: { after: StoredResult | undefined; limit: number },
): Promise<StoredResult[]> {
  const after = page.after
    ? sql`AND (r.start_time, r.record_id) > (${instant(page.after.startTime)}, ${page.after.recordId}::text)`
    : sql``;
  return readRows(tx, storedResult)`
    SELECT ${COLUMNS} FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND ${inRange(sql.ref("r.start_time"), search)}
      AND (r.phone_number = ANY(${textArray(search.forms)}::text[]) OR r.other_number ~ ${search.pattern} OR r.call_id ~ ${search.pattern}
        OR encode(r.payload, 'escape') ~ ${search.pattern}) ${after}
    ORDER BY r.start_time, r.record_id LIMIT ${page.limit}`;
}

/** A result as it is to be stored. */
export interface RewrittenResult extends StoredResult {
  /** Its own number was erased: it counts for the customer that held the number then. */
  isHeld: boolean;
  /** All its records are stored. */
  isWhole: boolean;
}

/**
 * Writes results without the number and its hashes. Their records stay together from here on, and
 * the time of judgement stays.
 * @param idKeys hashes of masked ids, each with that of its replacement. A result that lacks
 *   records loses all its hashes: nobody can tell which ids had the number.
 */
export async function rewriteResults(
  tx: Tx,
  carrierId: string,
  results: readonly RewrittenResult[],
  idKeys: ReadonlyMap<bigint, bigint>,
): Promise<void> {
  if (results.length === 0) return;
  const { zones, summarizedFrom } = await lockSumsAlone(tx, carrierId);
  const [masked, instead] = [int8Array([...idKeys.keys()]), int8Array([...idKeys.values()])];
  const written = unnest("w", results, {
    ...({ side: "int2", recordId: "text", recordDate: "date", phoneNumber: "text", otherNumber: "text" } as const),
    ...({ callId: "text", payload: "bytea", isHeld: "bool", isWhole: "bool" } as const),
  });
  const ambiguous = await readAmbiguous(tx, carrierId, results);
  await run(tx)`
    UPDATE call_result r SET phone_number = w.phone_number, other_number = w.other_number, call_id = w.call_id, payload = w.payload,
      pair_key = NULL, result_hash = 0, is_erased = true,
      id_keys = CASE WHEN NOT w.is_whole THEN NULL WHEN r.id_keys && ${masked}::int8[] THEN (
        SELECT array_agg(DISTINCT COALESCE(m.instead, k.key)) FROM unnest(r.id_keys) AS k(key)
        LEFT JOIN unnest(${masked}::int8[], ${instead}::int8[]) AS m(masked, instead) ON m.masked = k.key) ELSE r.id_keys END,
      usage_customer_id = COALESCE(r.usage_customer_id, (SELECT h.customer_id FROM number_holding h
        WHERE w.is_held AND h.phone_number = r.phone_number AND h.start_time <= r.start_time AND h.end_time > r.start_time AND h.customer_id IS NOT NULL
        LIMIT 1), CASE WHEN w.is_held THEN r.customer_id END)
    FROM ${written}
    WHERE r.carrier_id = ${carrierId} AND r.record_date = w.record_date AND r.record_id = w.record_id AND r.side = w.side`;
  await moveNamed(tx, carrierId, zones, results);
  const come = ambiguous.map((cell) => ({ ...cell, pairKey: "0" }));
  await moveSummary(tx, carrierId, summarizedFrom, { gone: ambiguous, come });
}

// The summary keeps these by their parties' hash. A name that comes twice counts once.
function readAmbiguous(tx: Tx, carrierId: string, names: readonly ResultName[]) {
  return readCells(
    tx,
    sql`(
      SELECT c.* FROM (SELECT DISTINCT * FROM ${unnest("n", names, { side: "int2", recordId: "text", recordDate: "date" })}) n JOIN call_result c
        ON c.carrier_id = ${carrierId} AND c.record_date = n.record_date AND c.record_id = n.record_id AND c.side = n.side
      WHERE c.status = ${DiscrepancyStatus.AMBIGUOUS})`,
  );
}

export async function readDiscrepancyEntries(
  tx: Tx,
  carrierId: string,
  discrepancyIds: readonly string[],
): Promise<{ sequence: bigint; payload: Buffer }[]> {
  if (discrepancyIds.length === 0) return [];
  return readRows(tx)<{ sequence: bigint; payload: Buffer }>`
    SELECT e.sequence, e.payload FROM discrepancy_entry e
    WHERE e.carrier_id = ${carrierId} AND e.discrepancy_id = ANY(${textArray(discrepancyIds)}::text[])`;
}

export async function rewriteDiscrepancyEntries(
  tx: Tx,
  carrierId: string,
  entries: readonly { sequence: bigint; payload: Buffer }[],
): Promise<void> {
  if (entries.length === 0) return;
  await run(tx)`
    UPDATE discrepancy_entry e SET payload = w.payload
    FROM ${unnest("w", entries, { sequence: "int8", payload: "bytea" })}
    WHERE e.carrier_id = ${carrierId} AND e.sequence = w.sequence`;
}

/** Pairs of a range of which a number was erased: what joined them, and whether they had rivals. */
export async function readErasedPairs(
  tx: Tx,
  carrierId: string,
  range: { start: Micros; end: Micros },
): Promise<{ platform: RecordName; carrier: RecordName[]; by: number; isAlone: boolean }[]> {
  const rows = await readRows(tx)<RecordName & CarrierRecords & { matchedBy: number; isAlone: boolean }>`
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

/** The sequences up to which reconciliation has judged both sides. */
export async function readJudgedThrough(tx: Tx, carrierId: string): Promise<{ cdrs: bigint; durations: bigint }> {
  const judged = await readRow(tx)<{ cdrs: bigint; durations: bigint }>`
    SELECT cdr_sequence AS cdrs, duration_sequence AS durations FROM reconcile_position WHERE carrier_id = ${carrierId}`;
  return judged ?? { cdrs: 0n, durations: 0n };
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
