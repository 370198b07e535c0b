import { sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import { int8Array, timestamptzArray } from "../database/binary-array.ts";
import { instant, readRows, run, type Tx, unnest } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";
import type { ResultName } from "./call-result-columns.ts";
import type { Votes } from "./clock-offsets.ts";
import { RECORD_NAME, type TimeRange, unnestRanges } from "./reconcile-input.ts";

// What the records say of a carrier's clock, as they were written. In system transactions.

/** The votes of the carrier's records in a minute of its clock, by trunk. */
export interface MinuteVotes {
  minute: Micros;
  votes: Record<string, Votes>;
}

/**
 * An answered call of one side, when the other side has no call of the same parties near it, by
 * both clocks as they stand.
 */
export interface LackingCall extends ResultName {
  startTime: Micros;
  pairKey: bigint;
  trunkId: string;
  /** Connected or billed, milliseconds; undefined: not known. */
  lengthMs: bigint | undefined;
  /** Of a carrier's: how far it is behind the only call that it can be, milliseconds. */
  voteMs: bigint | undefined;
  /** Whether the lengths of both agree. */
  isAlike: boolean;
}

/** Reads the votes of ranges that do not overlap. */
export function readMinuteVotes(tx: Tx, carrierId: string, ranges: readonly TimeRange[]): Promise<MinuteVotes[]> {
  return readRows(tx)<MinuteVotes>`
    SELECT m.minute, m.votes FROM ${unnestRanges(ranges)}
    CROSS JOIN LATERAL (
      SELECT c.minute, c.votes FROM clock_minute c
      WHERE c.carrier_id = ${carrierId} AND c.minute >= w.range_start AND c.minute < w.range_end OFFSET 0) m`;
}

/** Replaces the votes of minutes; a minute without votes is deleted. */
export async function writeMinuteVotes(tx: Tx, carrierId: string, minutes: readonly MinuteVotes[]): Promise<void> {
  const isSilent = ({ votes }: MinuteVotes) => Object.keys(votes).length === 0;
  const silent = minutes.filter(isSilent).map(({ minute }) => minute);
  if (silent.length > 0) {
    await run(tx)`
      DELETE FROM clock_minute WHERE carrier_id = ${carrierId} AND minute = ANY(${timestamptzArray(silent)}::timestamptz[])`;
  }
  const telling = minutes.filter((each) => !isSilent(each));
  const rows = telling.map(({ minute, votes }) => ({ minute, votes: JSON.stringify(votes) }));
  const columns = { minute: "timestamptz", votes: "text" } as const;
  const stored = { votes: sql`r.votes::jsonb` };
  await writeRows(tx, { table: "clock_minute", carrierId, key: ["minute"], columns, stored }, rows);
}

/** Reads the lacking calls that begin in ranges, which do not overlap. */
export function readLackingIn(tx: Tx, carrierId: string, ranges: readonly TimeRange[]): Promise<LackingCall[]> {
  return readRows(tx)<LackingCall>`
    SELECT ${COLUMNS} FROM ${unnestRanges(ranges)}
    CROSS JOIN LATERAL (
      SELECT * FROM clock_lacking k
      WHERE k.carrier_id = ${carrierId} AND k.start_time >= w.range_start AND k.start_time < w.range_end OFFSET 0) l`;
}

/** Finds the lacking calls of one side and time, of each of these parties the first `limit`. */
export async function findLacking(
  tx: Tx,
  carrierId: string,
  { side, pairKeys, range, limit }: { side: number; pairKeys: readonly bigint[]; range: TimeRange; limit: number },
): Promise<LackingCall[]> {
  if (pairKeys.length === 0) return [];
  return readRows(tx)<LackingCall>`
    SELECT ${COLUMNS} FROM (
      SELECT k.*, row_number() OVER (PARTITION BY k.pair_key ORDER BY k.start_time, k.record_date, k.record_id) AS place FROM clock_lacking k
      WHERE k.carrier_id = ${carrierId} AND k.side = ${side} AND k.pair_key = ANY(${int8Array(pairKeys)}::int8[])
        AND k.start_time BETWEEN ${instant(range.start)} AND ${instant(range.end)}) l
    WHERE l.place <= ${limit}`;
}

const NAME = { side: "int2", ...RECORD_NAME } as const;

export function writeLacking(tx: Tx, carrierId: string, calls: readonly LackingCall[]): Promise<void> {
  const key = ["record_date", "record_id", "side", "start_time"];
  const times = { startTime: "timestamptz", voteMs: "int8", lengthMs: "int8", isAlike: "bool" } as const;
  const columns = { ...NAME, pairKey: "int8", trunkId: "text", ...times } as const;
  return writeRows(tx, { table: "clock_lacking", carrierId, key, columns }, calls);
}

export async function deleteLacking(tx: Tx, carrierId: string, calls: readonly LackingCall[]): Promise<void> {
  if (calls.length === 0) return;
  await run(tx)`
    DELETE FROM clock_lacking l USING ${unnest("n", calls, { ...NAME, startTime: "timestamptz" })}
    WHERE l.carrier_id = ${carrierId} AND l.record_date = n.record_date AND l.record_id = n.record_id AND l.side = n.side
      AND l.start_time = n.start_time`;
}

/** Stands for two parties of which one was erased. */
export const ERASED_PAIR = 0n;

/**
 * Removes the hash of erased numbers from lacking calls. Votes stay until their minute is read
 * again.
 */
export async function forgetPairs(tx: Tx, carrierId: string, records: readonly ResultName[]): Promise<void> {
  if (records.length === 0) return;
  await run(tx)`
    UPDATE clock_lacking l SET pair_key = ${ERASED_PAIR} FROM ${unnest("n", records, NAME)}
    WHERE l.carrier_id = ${carrierId} AND l.record_date = n.record_date AND l.record_id = n.record_id AND l.side = n.side`;
}

const COLUMNS = sql.raw(
  "l.side, l.record_id, l.record_date, l.start_time, l.pair_key, l.trunk_id, l.length_ms, l.vote_ms, l.is_alike",
);
