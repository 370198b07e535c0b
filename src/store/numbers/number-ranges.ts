import { sql } from "kysely";
import { prefixesOf, whoseRange } from "../../domain/numbers/number-ranges.ts";
import { textArray } from "../database/binary-array.ts";
import { insertAll, readColumn, readRow, readRows, run, type Tx } from "../database/run.ts";
import { findPortedIn } from "./number-port-rows.ts";

// number_range decides between carriers, by prefix: a number's at most fifteen prefixes are looked
// up. Written in system transactions only.

export interface StoredRanges {
  /** Ascending, of E.164 numbers. None: no range is the carrier's. */
  readonly prefixes: readonly string[];
  /** Single numbers besides, ascending. */
  readonly approvedNumbers: readonly string[];
}

export async function readRanges(tx: Tx, carrierId: string): Promise<StoredRanges> {
  const approvedNumbers = await readColumn(tx)<string>`
    SELECT phone_number FROM number_approval WHERE carrier_id = ${carrierId} ORDER BY phone_number`;
  return { prefixes: await readPrefixes(tx, carrierId), approvedNumbers };
}

export function readPrefixes(tx: Tx, carrierId: string): Promise<string[]> {
  return readColumn(tx)<string>`SELECT prefix FROM number_range WHERE carrier_id = ${carrierId} ORDER BY prefix`;
}

/** A range of another carrier that one of these prefixes is, holds or lies within. */
export interface TakenRange {
  readonly carrierId: string;
  readonly prefix: string;
  /** The prefix of the request. */
  readonly asked: string;
}

/**
 * Locks other carriers' ranges until the end of the transaction, and finds one that overlaps.
 * @param onlyEqual whether ranges within ranges are allowed.
 */
export async function findTakenRange(
  tx: Tx,
  carrierId: string,
  prefixes: readonly string[],
  onlyEqual: boolean,
): Promise<TakenRange | undefined> {
  await run(tx)`LOCK TABLE number_range IN SHARE ROW EXCLUSIVE MODE`;
  const holds = onlyEqual ? sql`false` : sql`starts_with(r.prefix, a.prefix) OR starts_with(a.prefix, r.prefix)`;
  return readRow(tx)<TakenRange>`
    SELECT r.carrier_id, r.prefix, a.prefix AS asked
    FROM unnest(${textArray(prefixes)}::text[]) AS a(prefix)
    JOIN number_range r ON r.carrier_id <> ${carrierId} AND (r.prefix = a.prefix OR ${holds})
    ORDER BY r.prefix LIMIT 1`;
}

export async function writeRanges(tx: Tx, carrierId: string, ranges: StoredRanges): Promise<void> {
  await run(tx)`DELETE FROM number_range WHERE carrier_id = ${carrierId}`;
  await run(tx)`DELETE FROM number_approval WHERE carrier_id = ${carrierId}`;
  await run(tx)`
    INSERT INTO number_range (prefix, carrier_id)
    SELECT p, ${carrierId} FROM unnest(${textArray(ranges.prefixes)}::text[]) AS p`;
  const approvals = sql`
    INSERT INTO number_approval (carrier_id, phone_number)
    SELECT c.carrier_id, n FROM carrier c CROSS JOIN unnest(${textArray(ranges.approvedNumbers)}::text[]) AS n
    WHERE c.carrier_id = ${carrierId}`;
  await insertAll(tx, approvals, ranges.approvedNumbers.length);
}

/** Forgets that a number was approved for a carrier. */
export async function deleteApproval(tx: Tx, carrierId: string, phoneNumber: string): Promise<void> {
  await run(tx)`DELETE FROM number_approval WHERE carrier_id = ${carrierId} AND phone_number = ${phoneNumber}`;
}

/**
 * Which numbers the carrier may not claim: outside its ranges, or in another's if it has none, and
 * neither approved nor given by their last port.
 */
export async function findOutOfRange(tx: Tx, carrierId: string, numbers: readonly string[]): Promise<Set<string>> {
  if (numbers.length === 0) return new Set();
  const rows = await readRows(tx)<{ prefix: string; carrierId: string }>`
    SELECT prefix, carrier_id FROM number_range
    WHERE prefix = ANY(${textArray([...new Set(numbers.flatMap(prefixesOf))])}::text[])`;
  const ranges = new Map(rows.map((row) => [row.prefix, row.carrierId]));
  const own = await readRows(tx)`SELECT FROM number_range WHERE carrier_id = ${carrierId} LIMIT 1`;
  const wanted = own.length > 0 ? carrierId : undefined;
  const outside = numbers.filter((phoneNumber) => whoseRange(phoneNumber, ranges) !== wanted);
  if (outside.length === 0) return new Set();
  const named = new Set([
    ...(await findApproved(tx, carrierId, outside)),
    ...(await findPortedIn(tx, carrierId, outside)),
  ]);
  return new Set(outside.filter((phoneNumber) => !named.has(phoneNumber)));
}

/** Which of these numbers are approved for a carrier. */
export function findApproved(tx: Tx, carrierId: string, numbers: readonly string[]): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT phone_number FROM number_approval
    WHERE carrier_id = ${carrierId} AND phone_number = ANY(${textArray(numbers)}::text[])`;
}
