import { sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import { inRange, instant, readRow, readRows, run, type Tx } from "../database/run.ts";

// A number's history at a carrier, as an erasure finds and rewrites it.

export interface NumberEntry {
  sequence: bigint;
  ingestTime: Micros;
  payload: Buffer;
}

export function readNumberEntries(tx: Tx, carrierId: string, phoneNumber: string): Promise<NumberEntry[]> {
  return readRows(tx)<NumberEntry>`
    SELECT sequence, ingest_time, payload FROM number_entry
    WHERE carrier_id = ${carrierId} AND phone_number = ${phoneNumber} ORDER BY sequence LIMIT 10000`;
}

/** Writes an entry of the numbers feed without the number. */
export async function rewriteNumberEntry(tx: Tx, carrierId: string, entry: NumberEntry): Promise<void> {
  await run(tx)`
    UPDATE number_entry SET phone_number = NULL, payload = ${entry.payload}
    WHERE carrier_id = ${carrierId} AND sequence = ${entry.sequence}`;
}

/** The row of a number at a carrier: whether it is in service there. */
export function readNumberRow(
  tx: Tx,
  carrierId: string,
  phoneNumber: string,
): Promise<{ isHeld: boolean; revision: bigint } | undefined> {
  return readRow(tx)<{ isHeld: boolean; revision: bigint }>`
    SELECT state <= 2 AS is_held, revision FROM phone_number WHERE carrier_id = ${carrierId} AND phone_number = ${phoneNumber}`;
}

/** The holdings of a number that overlap an interval. */
export function readHoldingsIn(
  tx: Tx,
  carrierId: string,
  phoneNumber: string,
  range: { start: Micros; end: Micros },
): Promise<{ isOver: boolean }[]> {
  return readRows(tx)<{ isOver: boolean }>`
    SELECT max(end_time) <= clock_timestamp() AS is_over FROM number_holding
    WHERE carrier_id = ${carrierId} AND phone_number = ${phoneNumber}
    GROUP BY holding_start_time
    HAVING bool_or(start_time < ${instant(range.end)} AND end_time > ${instant(range.start)})`;
}

/** Cuts an interval out of a number's ended holdings. Returns how many rows changed. */
export async function cutHoldings(
  tx: Tx,
  carrierId: string,
  phoneNumber: string,
  range: { start: Micros; end: Micros },
): Promise<number> {
  const [start, end] = [instant(range.start), instant(range.end)];
  const isOver = sql`NOT EXISTS (SELECT FROM number_holding o WHERE o.carrier_id = ${carrierId} AND o.phone_number = h.phone_number
    AND o.holding_start_time = h.holding_start_time AND o.end_time > clock_timestamp())`;
  const after = await readRows(tx)`
    INSERT INTO number_holding (carrier_id, phone_number, start_time, end_time, holding_start_time, customer_id, ended_as, revision, recorded_time, detail)
    SELECT h.carrier_id, h.phone_number, ${end}, h.end_time, h.holding_start_time, h.customer_id, h.ended_as, h.revision, h.recorded_time, h.detail
    FROM number_holding h
    WHERE h.carrier_id = ${carrierId} AND h.phone_number = ${phoneNumber} AND h.start_time < ${end} AND h.end_time > ${end}
      AND h.end_time > ${start} AND ${isOver}
    RETURNING 1`;
  const { count: before } = await run(tx)`
    UPDATE number_holding h SET end_time = ${start}, ended_as = NULL
    WHERE h.carrier_id = ${carrierId} AND h.phone_number = ${phoneNumber} AND h.start_time < ${start} AND h.end_time > ${start}
      AND ${isOver}`;
  const { count: whole } = await run(tx)`
    DELETE FROM number_holding h
    WHERE h.carrier_id = ${carrierId} AND h.phone_number = ${phoneNumber} AND h.start_time >= ${start} AND h.start_time < ${end} AND ${isOver}`;
  return after.length + before + whole;
}

/** Deletes a number's row once its holding is over. */
export async function deleteNumberRow(tx: Tx, carrierId: string, phoneNumber: string): Promise<void> {
  await run(tx)`
    DELETE FROM phone_number WHERE carrier_id = ${carrierId} AND phone_number = ${phoneNumber} AND state > 2`;
}

/** Deletes the finished ports of a number in an interval. */
export async function deletePorts(
  tx: Tx,
  carrierId: string,
  phoneNumber: string,
  range: { start: Micros; end: Micros },
): Promise<void> {
  await run(tx)`
    DELETE FROM number_port WHERE carrier_id = ${carrierId} AND phone_number = ${phoneNumber} AND stage = 3
      AND ${inRange(sql.ref("effective_time"), { start: range.start, end: range.end + 1n })}`;
}
