import { sql } from "kysely";
import type { RecordName } from "../../domain/matching/facts.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { readRows, run, type Tx, together, unnest } from "../database/run.ts";
import { insertion } from "../database/write-rows.ts";
import { holderAt, readHolders } from "../usage/number-holders.ts";
import {
  type CallResultRow,
  CHANGED,
  COLUMNS,
  callResultRow,
  type ResultName,
  SELECTED,
  STORED,
  writtenRow,
} from "./call-result-columns.ts";
import { RECORD_NAME, type TimeRange, unnestRanges } from "./reconcile-input.ts";
import { type Added, lockSums, moveResultSums, readAdded, sumColumns } from "./result-sums.ts";

export function readResultsIn(tx: Tx, carrierId: string, ranges: readonly TimeRange[]): Promise<CallResultRow[]> {
  return readRows(tx, callResultRow)`
    SELECT ${SELECTED} FROM ${unnestRanges(ranges)} CROSS JOIN LATERAL (SELECT * FROM call_result c
      WHERE c.carrier_id = ${carrierId} AND c.start_time >= w.range_start AND c.start_time < w.range_end OFFSET 0) r`;
}

export async function readResultsNamed(
  tx: Tx,
  carrierId: string,
  names: readonly ResultName[],
): Promise<CallResultRow[]> {
  if (names.length === 0) return [];
  return readRows(tx, callResultRow)`
    SELECT ${SELECTED} FROM ${unnestNames(names)} CROSS JOIN LATERAL (SELECT * FROM call_result c
      WHERE c.carrier_id = ${carrierId} AND c.record_date = n.record_date AND c.record_id = n.record_id AND c.side = n.side OFFSET 0) r`;
}

/** As `readResultsNamed`, for many records of one side of which hardly any has a result. */
export async function readResultsOfRecords(
  tx: Tx,
  carrierId: string,
  side: number,
  records: readonly RecordName[],
): Promise<CallResultRow[]> {
  const found: Promise<CallResultRow[]>[] = [];
  for (const [day, ofDay] of Map.groupBy(records, ({ recordDate }) => recordDate)) {
    const recordIds = textArray(ofDay.map(({ recordId }) => recordId));
    const rows = readRows(tx, callResultRow)`
      SELECT ${SELECTED} FROM call_result r
      WHERE r.carrier_id = ${carrierId} AND r.record_date = ${day}::date AND r.record_id = ANY(${recordIds}::text[]) AND r.side = ${side}::int2`;
    found.push(rows);
  }
  return (await together(found)).flat();
}

/** A call that a later record may belong to. */
export interface FoundCall {
  startTime: Micros;
  /** By what it was found. */
  key: bigint;
  /** Its carrier's record: the trunk, and the start by the carrier's clock. */
  clockTrunk: string | undefined;
  clockTime: Micros | undefined;
  /** The carrier's records, if there are several. */
  parts: readonly RecordName[];
}

/** A key to look for, and when its call may begin. */
export interface WantedCall extends TimeRange {
  readonly key: bigint;
  /** Only calls that were still going on then: their connected time and five minutes more. */
  readonly during?: Micros | undefined;
}

/**
 * Finds calls of one side by a key, each within its time: by the two parties those that are open or
 * have parts; by the carrier's record the pair that begins far from it. At most `limit` of each
 * key.
 */
export async function findCalls(
  tx: Tx,
  carrierId: string,
  search: { by: "pair_key" | "correlation_key"; side: number; wanted: readonly WantedCall[]; limit: number },
): Promise<FoundCall[]> {
  if (search.wanted.length === 0) return [];
  // OFFSET 0: by the key's index, not that of the order.
  return readRows(tx, foundCall)`
    SELECT f.start_time, w.key, f.clock_trunk, f.clock_time, ${FAR_PARTS} FROM ${unnestWanted(search.wanted)}
    CROSS JOIN LATERAL (
      SELECT * FROM (
        SELECT r.* FROM call_result r
        WHERE r.carrier_id = ${carrierId} AND ${sql.ref(`r.${search.by}`)} = w.key AND r.start_time BETWEEN w.range_start AND w.range_end OFFSET 0) r
      WHERE r.side = ${search.side} AND NOT r.is_merged
        AND (w.during IS NULL OR r.start_time + make_interval(secs => COALESCE(r.platform_ms, r.carrier_ms, 0) / 1000.0 + 300) >= w.during)
      ORDER BY r.start_time, r.record_date, r.record_id LIMIT ${search.limit}) f`;
}

/**
 * Finds calls of either side, in any state, by an id of their records. An id that more than `most`
 * calls have finds none. Each key is wanted once.
 */
export async function findByIds(
  tx: Tx,
  carrierId: string,
  { wanted, most }: { wanted: readonly WantedCall[]; most: number },
): Promise<FoundCall[]> {
  if (wanted.length === 0) return [];
  // The carrier stands outside of OFFSET 0. The planner does not know that few share an id, and
  // would read the carrier's calls of that time or its whole index.
  const rows = await readRows(tx)<FoundRow>`
    SELECT f.start_time, w.key, f.clock_trunk, f.clock_time, ${PARTS} FROM ${unnestWanted(wanted)}
    CROSS JOIN LATERAL (
      SELECT * FROM (
        SELECT r.carrier_id, r.start_time, r.clock_trunk, r.clock_time, r.carrier_record_ids, r.carrier_record_dates FROM call_result r
        WHERE r.id_keys @> ARRAY[w.key] OFFSET 0) r
      WHERE r.carrier_id = ${carrierId} AND r.start_time BETWEEN w.range_start AND w.range_end LIMIT ${most + 1}) f`;
  const byKey = Map.groupBy(rows, ({ key }) => key);
  return [...byKey.values()].flatMap((found) => (found.length > most ? [] : found.map(foundCall)));
}

/** Finds the calls of which these records are parts, by id and day: ids are used again. */
export async function findSplitCalls(tx: Tx, carrierId: string, parts: readonly RecordName[]): Promise<FoundCall[]> {
  if (parts.length === 0) return [];
  return readRows(tx, foundCall)`
    SELECT f.start_time, 0::int8 AS key, f.clock_trunk, f.clock_time, ${PARTS} FROM ${unnest("p", parts, RECORD_NAME)}
    JOIN call_result f ON f.carrier_id = ${carrierId} AND cardinality(f.carrier_record_ids) > 1 AND f.carrier_record_ids @> ARRAY[p.record_id]
      AND f.carrier_record_dates @> ARRAY[p.record_date] AND NOT f.is_merged`;
}

/** Of a found call `f`: the carrier's records, if there are several. */
const PARTS = sql`CASE WHEN cardinality(f.carrier_record_ids) > 1 THEN f.carrier_record_ids END AS part_ids, f.carrier_record_dates AS part_dates`;

/** Or the single one that begins far from it, such as the last part without the first. */
const FAR_PARTS = sql`CASE WHEN cardinality(f.carrier_record_ids) > 1 OR f.correlation_key IS NOT NULL THEN f.carrier_record_ids END AS part_ids,
  f.carrier_record_dates AS part_dates`;

interface FoundRow extends Omit<FoundCall, "parts"> {
  partIds: readonly string[] | undefined;
  partDates: readonly string[];
}

function foundCall({ partIds = [], partDates, ...row }: FoundRow): FoundCall {
  return { ...row, parts: partIds.map((recordId, index) => ({ recordId, recordDate: partDates[index] ?? "" })) };
}

function unnestWanted(wanted: readonly WantedCall[]) {
  const rows = wanted.map(({ key, start, end, during }) => ({ key, rangeStart: start, rangeEnd: end, during }));
  return unnest("w", rows, { key: "int8", rangeStart: "timestamptz", rangeEnd: "timestamptz", during: "timestamptz" });
}

/**
 * Writes results, new or changed, and moves the sums with them: those of usage under whoever holds
 * their numbers by today's history.
 * @param changed those of them that are stored already. Others would be counted twice.
 */
export async function writeResults(
  tx: Tx,
  carrierId: string,
  { results, changed }: { results: readonly CallResultRow[]; changed: readonly ResultName[] },
  now: Micros,
): Promise<void> {
  if (results.length === 0) return;
  const sums = await lockSums(tx, carrierId);
  const numbers = results.flatMap(({ phoneNumber }) => phoneNumber ?? []);
  const holders = Map.groupBy(await readHolders(tx, numbers), ({ phoneNumber }) => phoneNumber);
  const rows = results.map((row) =>
    writtenRow(row, { updateTime: now, summedCustomerId: holderAt(holders, row.phoneNumber, row.startTime) }),
  );
  const gone = await readStored(tx, carrierId, changed);
  const key = ["record_date", "record_id", "side"];
  const of = { table: "call_result", carrierId, key, columns: COLUMNS, stored: STORED, changed: CHANGED };
  // xmax is not 0 where a row was there before.
  const come = await readAdded<{ written: bigint; updated: bigint }>(
    tx,
    sql`${insertion(of, rows)} RETURNING ${sumColumns("call_result")}, call_result.xmax::text <> '0' AS is_updated`,
    sql`count(*) AS written, count(*) FILTER (WHERE is_updated) AS updated`,
  );
  const { written, updated } = come.counts;
  if (written !== BigInt(rows.length) || updated > BigInt(changed.length))
    throw new Error(`${rows.length} results, ${changed.length} of them changed: ${written} and ${updated} were`);
  await moveResultSums(tx, carrierId, sums, { gone, come });
}

/** Deletes results that nobody was shown and whose record is in another result now. */
export async function deleteResults(tx: Tx, carrierId: string, names: readonly ResultName[]): Promise<void> {
  if (names.length === 0) return;
  const sums = await lockSums(tx, carrierId);
  const deletion = sql`
    DELETE FROM call_result r USING ${unnestNames(names)}
    WHERE r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side
    RETURNING ${sumColumns("r")}`;
  await moveResultSums(tx, carrierId, sums, { gone: await readAdded(tx, deletion) });
}

// What results add that are to be written again. No other turn, no erasure and no retention changes
// them meanwhile.
async function readStored(tx: Tx, carrierId: string, names: readonly ResultName[]): Promise<Added | undefined> {
  if (names.length === 0) return undefined;
  const stored = sql`
    SELECT ${sumColumns("c")} FROM ${unnestNames(names)} CROSS JOIN LATERAL (SELECT * FROM call_result f
      WHERE f.carrier_id = ${carrierId} AND f.record_date = n.record_date AND f.record_id = n.record_id AND f.side = n.side OFFSET 0) c`;
  return readAdded(tx, stored);
}

/** Clears the due times of results whose records no longer exist. */
export async function clearDueTimes(tx: Tx, carrierId: string, names: readonly ResultName[]): Promise<void> {
  if (names.length === 0) return;
  await run(tx)`
    UPDATE call_result r SET due_time = NULL FROM ${unnestNames(names)}
    WHERE r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side`;
}

function unnestNames(names: readonly ResultName[]) {
  return unnest("n", names, { side: "int2", ...RECORD_NAME });
}
