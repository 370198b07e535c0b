import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { dateArray, int2Array, int8Array, textArray, timestamptzArray } from "../database/binary-array.ts";
import { insertAll, run, type Tx } from "../database/run.ts";
import {
  type CallResultRow,
  COLUMNS,
  callResultRow,
  NAMING,
  type ResultName,
  type StoredRow,
  selected,
} from "./call-result-columns.ts";
import type { TimeRange } from "./reconcile-input.ts";

/** Reads every result that starts in one of the ranges. */
export async function readResultsIn(tx: Tx, carrierId: string, ranges: readonly TimeRange[]): Promise<CallResultRow[]> {
  const { rows } = await run(tx)<StoredRow>`
    SELECT ${selected()} FROM unnest(${timestamptzArray(ranges.map((range) => range.start))}::timestamptz[],
      ${timestamptzArray(ranges.map((range) => range.end))}::timestamptz[]) AS w(range_start, range_end)
    JOIN call_result r ON r.carrier_id = ${carrierId} AND r.start_time >= w.range_start AND r.start_time < w.range_end`;
  return rows.map(callResultRow);
}

/** Reads the results of these names. */
export async function readResultsNamed(
  tx: Tx,
  carrierId: string,
  names: readonly ResultName[],
): Promise<CallResultRow[]> {
  if (names.length === 0) return [];
  const { rows } = await run(tx)<StoredRow>`
    SELECT ${selected()} FROM ${unnestNames(names)} CROSS JOIN LATERAL (SELECT * FROM call_result c
      WHERE c.carrier_id = ${carrierId} AND c.record_date = n.record_date AND c.record_id = n.record_id AND c.side = n.side OFFSET 0) r`;
  return rows.map(callResultRow);
}

/** A call as later records look for it. */
export interface FoundCall {
  startTime: Micros;
  /** Why it was found. */
  key: bigint;
  /** The trunk and the begin of the carrier's record by its clock, where there is one. */
  clockTrunk: string | undefined;
  clockTime: Micros | undefined;
  /** The carrier's records, of a call that has more than one. */
  parts: readonly { recordId: string; recordDate: string }[];
}

/** A key to look for, and when the call that has it may begin. */
export interface WantedCall {
  readonly key: bigint;
  readonly start: Micros;
  readonly end: Micros;
  /**
   * When given: only calls that were still going on at this instant, by their connected time and
   * five minutes for the rest.
   */
  readonly during?: Micros;
}

/**
 * Finds calls of one side by a key, each within the time that is wanted of it: by the two parties
 * those that lack a counterpart, disagree or have parts, or by the carrier's record the pair that
 * is far from it. Of each key the first ones, at most `limit`.
 */
export async function findCalls(
  tx: Tx,
  carrierId: string,
  search: { by: "pair_key" | "correlation_key"; side: number; wanted: readonly WantedCall[]; limit: number },
): Promise<FoundCall[]> {
  const { wanted } = search;
  if (wanted.length === 0) return [];
  const column = sql.ref(`r.${search.by}`);
  // OFFSET 0: by the key's index, and not by that of the order.
  const { rows } = await run(tx)<FoundRow>`
    SELECT f.start_time, w.key, f.clock_trunk, f.clock_time, ${FAR_PARTS}
    FROM unnest(${int8Array(wanted.map(({ key }) => key))}::int8[], ${timestamptzArray(wanted.map(({ start }) => start))}::timestamptz[],
                ${timestamptzArray(wanted.map(({ end }) => end))}::timestamptz[],
                ${timestamptzArray(wanted.map(({ during }) => during))}::timestamptz[]) AS w(key, range_start, range_end, during)
    CROSS JOIN LATERAL (
      SELECT * FROM (
        SELECT r.* FROM call_result r
        WHERE r.carrier_id = ${carrierId} AND ${column} = w.key AND r.start_time BETWEEN w.range_start AND w.range_end OFFSET 0) r
      WHERE r.side = ${search.side} AND NOT r.is_merged
        AND (w.during IS NULL OR r.start_time + make_interval(secs => COALESCE(r.platform_ms, r.carrier_ms, 0) / 1000.0 + 300) >= w.during)
      ORDER BY r.start_time, r.record_date, r.record_id LIMIT ${search.limit}) f`;
  return rows.map(foundCall);
}

/**
 * Finds the calls, of both sides and however they stand, whose records have an id; none of an id
 * that more than `most` have. Each key is wanted once.
 */
export async function findByIds(
  tx: Tx,
  carrierId: string,
  { wanted, most }: { wanted: readonly WantedCall[]; most: number },
): Promise<FoundCall[]> {
  if (wanted.length === 0) return [];
  // The carrier outside of OFFSET 0: few share an id, which the planner does not know. It would
  // rather read the carrier's calls of the time, or the carrier's whole index beside that of the
  // ids.
  const { rows } = await run(tx)<FoundRow>`
    SELECT f.start_time, w.key, f.clock_trunk, f.clock_time, ${PARTS}
    FROM unnest(${int8Array(wanted.map(({ key }) => key))}::int8[], ${timestamptzArray(wanted.map(({ start }) => start))}::timestamptz[],
                ${timestamptzArray(wanted.map(({ end }) => end))}::timestamptz[]) AS w(key, range_start, range_end)
    CROSS JOIN LATERAL (
      SELECT * FROM (
        SELECT r.carrier_id, r.start_time, r.clock_trunk, r.clock_time, r.carrier_record_ids, r.carrier_record_dates FROM call_result r
        WHERE r.id_keys @> ARRAY[w.key] OFFSET 0) r
      WHERE r.carrier_id = ${carrierId} AND r.start_time BETWEEN w.range_start AND w.range_end LIMIT ${most + 1}) f`;
  const byKey = Map.groupBy(rows, ({ key }) => key);
  return [...byKey.values()].flatMap((found) => (found.length > most ? [] : found.map(foundCall)));
}

/**
 * The calls of which these records of the carrier are parts. Carriers use an id again on another
 * day.
 */
export async function findSplitCalls(
  tx: Tx,
  carrierId: string,
  parts: readonly { recordId: string; recordDate: string }[],
): Promise<FoundCall[]> {
  if (parts.length === 0) return [];
  const { rows } = await run(tx)<FoundRow>`
    SELECT f.start_time, 0::int8 AS key, f.clock_trunk, f.clock_time, ${PARTS} FROM unnest(${textArray(parts.map(({ recordId }) => recordId))}::text[],
      ${dateArray(parts.map(({ recordDate }) => recordDate))}::date[]) AS p(record_id, record_date)
    JOIN call_result f ON f.carrier_id = ${carrierId} AND cardinality(f.carrier_record_ids) > 1 AND f.carrier_record_ids @> ARRAY[p.record_id]
      AND f.carrier_record_dates @> ARRAY[p.record_date] AND NOT f.is_merged`;
  return rows.map(foundCall);
}

/** Of a found call `f`: the carrier's records, where it has more than one. */
const PARTS = sql`CASE WHEN cardinality(f.carrier_record_ids) > 1 THEN f.carrier_record_ids END AS part_ids, f.carrier_record_dates AS part_dates`;

/**
 * Or the one that it has, where that begins far from it: the last part of a call whose first is
 * missing does.
 */
const FAR_PARTS = sql`CASE WHEN cardinality(f.carrier_record_ids) > 1 OR f.correlation_key IS NOT NULL THEN f.carrier_record_ids END AS part_ids,
  f.carrier_record_dates AS part_dates`;

interface FoundRow extends Omit<FoundCall, "parts"> {
  partIds: readonly string[] | undefined;
  partDates: readonly string[];
}

function foundCall({ partIds = [], partDates, ...row }: FoundRow): FoundCall {
  return { ...row, parts: partIds.map((recordId, index) => ({ recordId, recordDate: partDates[index] ?? "" })) };
}

/** Writes results, new or changed. */
export async function writeResults(
  tx: Tx,
  carrierId: string,
  rows: readonly CallResultRow[],
  now: Micros,
): Promise<void> {
  if (rows.length === 0) return;
  const names = sql.join(COLUMNS.map(({ name }) => sql.ref(name)));
  const parameters = COLUMNS.map(({ type, encode }) => sql`${encode(rows)}::${sql.raw(type)}[]`);
  const values = COLUMNS.map(({ name, convert }) => convert?.(sql.ref(`r.${name}`)) ?? sql.ref(`r.${name}`));
  const updated = [...COLUMNS.filter(({ name }) => !NAMING.has(name)).map(({ name }) => name), "update_time"];
  const query = sql`
    INSERT INTO call_result (carrier_id, update_time, ${names})
    SELECT c.carrier_id, ${isoFromMicros(now)}::timestamptz, ${sql.join(values)}
    FROM carrier c CROSS JOIN unnest(${sql.join(parameters)}) AS r(${names}) WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, record_date, record_id, side) DO UPDATE SET ${sql.join(
      updated.map((name) => sql`${sql.ref(name)} = EXCLUDED.${sql.ref(name)}`),
    )}`;
  await insertAll(tx, query, rows.length);
}

/** Forgets results whose record is in another's now, and that were never shown to anybody. */
export async function deleteResults(tx: Tx, carrierId: string, names: readonly ResultName[]): Promise<void> {
  if (names.length === 0) return;
  await run(tx)`
    DELETE FROM call_result r USING ${unnestNames(names)}
    WHERE r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side`;
}

/** Lets time no longer change results: their records are not there any more. */
export async function clearDueTimes(tx: Tx, carrierId: string, names: readonly ResultName[]): Promise<void> {
  if (names.length === 0) return;
  await run(tx)`
    UPDATE call_result r SET due_time = NULL FROM ${unnestNames(names)}
    WHERE r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side`;
}

function unnestNames(names: readonly ResultName[]) {
  return sql`unnest(${int2Array(names.map(({ side }) => side))}::int2[], ${textArray(names.map(({ recordId }) => recordId))}::text[],
    ${dateArray(names.map(({ recordDate }) => recordDate))}::date[]) AS n(side, record_id, record_date)`;
}
