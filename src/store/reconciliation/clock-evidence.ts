import { sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import { boolArray, dateArray, int2Array, int8Array, textArray, timestamptzArray } from "../database/binary-array.ts";
import { insertAll, run, type Tx } from "../database/run.ts";
import type { Votes } from "./clock-offsets.ts";
import type { TimeRange } from "./reconcile-input.ts";

// What records say of a carrier's clock as they stand, whatever is made of them. In system
// transactions.

/** What the carrier's records of a minute of its clock say, by trunk. */
export interface MinuteVotes {
  minute: Micros;
  votes: Record<string, Votes>;
}

/**
 * An answered call of either side near which the other has none of the same parties, by both clocks
 * as they stand.
 */
export interface LackingCall {
  side: number;
  recordId: string;
  recordDate: string;
  startTime: Micros;
  pairKey: bigint;
  trunkId: string;
  /** Connected or billed, milliseconds; undefined: not known. */
  lengthMs: bigint | undefined;
  /** Of a carrier's: how far it is behind the only one that it can be, milliseconds. */
  voteMs: bigint | undefined;
  /** Whether the lengths of both agree. */
  isAlike: boolean;
}

/** Reads what the minutes of some ranges, which do not overlap, say. */
export async function readMinuteVotes(tx: Tx, carrierId: string, ranges: readonly TimeRange[]): Promise<MinuteVotes[]> {
  const { rows } = await run(tx)<MinuteVotes>`
    SELECT m.minute, m.votes FROM ${unnestRanges(ranges)}
    CROSS JOIN LATERAL (
      SELECT c.minute, c.votes FROM clock_minute c
      WHERE c.carrier_id = ${carrierId} AND c.minute >= w.range_start AND c.minute < w.range_end OFFSET 0) m`;
  return rows;
}

/** Replaces what minutes say; one that says nothing is forgotten. */
export async function writeMinuteVotes(tx: Tx, carrierId: string, minutes: readonly MinuteVotes[]): Promise<void> {
  const isSilent = ({ votes }: MinuteVotes) => Object.keys(votes).length === 0;
  const silent = minutes.filter(isSilent).map(({ minute }) => minute);
  const telling = minutes.filter((each) => !isSilent(each));
  if (silent.length > 0) {
    await run(tx)`
      DELETE FROM clock_minute WHERE carrier_id = ${carrierId} AND minute = ANY(${timestamptzArray(silent)}::timestamptz[])`;
  }
  if (telling.length === 0) return;
  const query = sql`
    INSERT INTO clock_minute (carrier_id, minute, votes)
    SELECT c.carrier_id, v.minute, v.votes::jsonb
    FROM carrier c CROSS JOIN unnest(${timestamptzArray(telling.map(({ minute }) => minute))}::timestamptz[],
      ${textArray(telling.map(({ votes }) => JSON.stringify(votes)))}::text[]) AS v(minute, votes)
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, minute) DO UPDATE SET votes = EXCLUDED.votes`;
  await insertAll(tx, query, telling.length);
}

/** Reads the lacking calls that begin in some ranges, which do not overlap. */
export async function readLackingIn(tx: Tx, carrierId: string, ranges: readonly TimeRange[]): Promise<LackingCall[]> {
  const { rows } = await run(tx)<LackingCall>`
    SELECT ${COLUMNS} FROM ${unnestRanges(ranges)}
    CROSS JOIN LATERAL (
      SELECT * FROM clock_lacking k
      WHERE k.carrier_id = ${carrierId} AND k.start_time >= w.range_start AND k.start_time < w.range_end OFFSET 0) l`;
  return rows;
}

/** Parties, and when a call of theirs may begin. */
export interface WantedLacking {
  readonly pairKey: bigint;
  readonly start: Micros;
  readonly end: Micros;
}

/**
 * Of each of these the lacking calls of one side, the first ones, at most `limit`; each with the
 * position of what it was found by.
 */
export async function findLacking(
  tx: Tx,
  carrierId: string,
  { side, wanted, limit }: { side: number; wanted: readonly WantedLacking[]; limit: number },
): Promise<(LackingCall & { position: bigint })[]> {
  if (wanted.length === 0) return [];
  const { rows } = await run(tx)<LackingCall & { position: bigint }>`
    SELECT w.position, ${COLUMNS}
    FROM unnest(${int8Array(wanted.map(({ pairKey }) => pairKey))}::int8[], ${timestamptzArray(wanted.map(({ start }) => start))}::timestamptz[],
      ${timestamptzArray(wanted.map(({ end }) => end))}::timestamptz[]) WITH ORDINALITY AS w(pair_key, range_start, range_end, position)
    CROSS JOIN LATERAL (
      SELECT * FROM clock_lacking k WHERE k.carrier_id = ${carrierId} AND k.pair_key = w.pair_key AND k.side = ${side}
        AND k.start_time BETWEEN w.range_start AND w.range_end
      ORDER BY k.start_time, k.record_date, k.record_id LIMIT ${limit}) l`;
  return rows;
}

/** Writes lacking calls, new or changed. */
export async function writeLacking(tx: Tx, carrierId: string, calls: readonly LackingCall[]): Promise<void> {
  if (calls.length === 0) return;
  const query = sql`
    INSERT INTO clock_lacking (carrier_id, side, record_id, record_date, start_time, pair_key, trunk_id, vote_ms, length_ms, is_alike)
    SELECT c.carrier_id, l.side, l.record_id, l.record_date, l.start_time, l.pair_key, l.trunk_id, l.vote_ms, l.length_ms, l.is_alike
    FROM carrier c CROSS JOIN unnest(${int2Array(calls.map(({ side }) => side))}::int2[], ${textArray(calls.map(({ recordId }) => recordId))}::text[],
      ${dateArray(calls.map(({ recordDate }) => recordDate))}::date[], ${timestamptzArray(calls.map(({ startTime }) => startTime))}::timestamptz[],
      ${int8Array(calls.map(({ pairKey }) => pairKey))}::int8[], ${textArray(calls.map(({ trunkId }) => trunkId))}::text[],
      ${int8Array(calls.map(({ voteMs }) => voteMs))}::int8[], ${int8Array(calls.map(({ lengthMs }) => lengthMs))}::int8[],
      ${boolArray(calls.map(({ isAlike }) => isAlike))}::bool[])
      AS l(side, record_id, record_date, start_time, pair_key, trunk_id, vote_ms, length_ms, is_alike)
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, record_date, record_id, side, start_time) DO UPDATE SET pair_key = EXCLUDED.pair_key,
      trunk_id = EXCLUDED.trunk_id, vote_ms = EXCLUDED.vote_ms, length_ms = EXCLUDED.length_ms, is_alike = EXCLUDED.is_alike`;
  await insertAll(tx, query, calls.length);
}

/** Forgets lacking calls. */
export async function deleteLacking(tx: Tx, carrierId: string, calls: readonly LackingCall[]): Promise<void> {
  if (calls.length === 0) return;
  await run(tx)`
    DELETE FROM clock_lacking l USING unnest(${int2Array(calls.map(({ side }) => side))}::int2[], ${textArray(calls.map(({ recordId }) => recordId))}::text[],
      ${dateArray(calls.map(({ recordDate }) => recordDate))}::date[], ${timestamptzArray(calls.map(({ startTime }) => startTime))}::timestamptz[])
      AS n(side, record_id, record_date, start_time)
    WHERE l.carrier_id = ${carrierId} AND l.record_date = n.record_date AND l.record_id = n.record_id AND l.side = n.side
      AND l.start_time = n.start_time`;
}

/** In the place of two parties of which one was erased. */
export const ERASED_PAIR = 0n;

/**
 * Forgets between which parties lacking calls are: what was hashed of an erased number goes with
 * it. Their votes stay until their minute is looked at again.
 */
export async function forgetPairs(
  tx: Tx,
  carrierId: string,
  records: readonly { side: number; recordId: string; recordDate: string }[],
): Promise<void> {
  if (records.length === 0) return;
  await run(tx)`
    UPDATE clock_lacking l SET pair_key = ${ERASED_PAIR}
    FROM unnest(${int2Array(records.map(({ side }) => side))}::int2[], ${textArray(records.map(({ recordId }) => recordId))}::text[],
      ${dateArray(records.map(({ recordDate }) => recordDate))}::date[]) AS n(side, record_id, record_date)
    WHERE l.carrier_id = ${carrierId} AND l.record_date = n.record_date AND l.record_id = n.record_id AND l.side = n.side`;
}

const COLUMNS = sql.raw(
  `l.side, l.record_id AS "recordId", l.record_date AS "recordDate", l.start_time AS "startTime", l.pair_key AS "pairKey",
  l.trunk_id AS "trunkId", l.length_ms AS "lengthMs", l.vote_ms AS "voteMs", l.is_alike AS "isAlike"`,
);

function unnestRanges(ranges: readonly TimeRange[]) {
  return sql`unnest(${timestamptzArray(ranges.map(({ start }) => start))}::timestamptz[],
    ${timestamptzArray(ranges.map(({ end }) => end))}::timestamptz[]) AS w(range_start, range_end)`;
}
