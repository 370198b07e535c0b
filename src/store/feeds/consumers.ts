import { sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import { Tally, takePlace } from "../carriers/carrier-tally.ts";
import { clockFrom } from "../database/clock-from.ts";
import { readRows, readValue, run, type Tx } from "../database/run.ts";

/** How many named consumers a carrier may have. */
export const MAX_CONSUMERS = 100;

/** A named consumer's position in the feed of call detail records. */
export interface Consumer {
  consumer: string;
  cursor: string;
  committedSequence: bigint;
  commitTime: Micros;
  /** When the oldest entry that it has not applied was ingested; undefined when there is none. */
  oldestPendingTime: Micros | undefined;
  /** The database's clock. */
  now: Micros;
}

/**
 * Stores a consumer's position if the stored one is still the one given (none for the first
 * commit). Storing the position that is there already succeeds too: it is the retry of a commit
 * whose answer was lost. @returns whether it was stored.
 */
export async function commitConsumer(
  tx: Tx,
  carrierId: string,
  commit: { consumer: string; cursor: string; sequence: bigint; previousCursor: string | undefined },
): Promise<boolean> {
  if (commit.previousCursor === undefined && (await addConsumer(tx, carrierId, commit))) return true;
  const { count } = await run(tx)`
    UPDATE cdr_consumer SET committed_sequence = ${commit.sequence}, cursor = ${commit.cursor}, commit_time = ${clockFrom("commit_time")}
    WHERE carrier_id = ${carrierId} AND consumer = ${commit.consumer} AND cursor IN (${commit.previousCursor ?? commit.cursor}, ${commit.cursor})`;
  return count === 1;
}

async function addConsumer(
  tx: Tx,
  carrierId: string,
  { consumer, sequence, cursor }: { consumer: string; sequence: bigint; cursor: string },
): Promise<boolean> {
  const count = () => readValue(tx)<number>`SELECT count(*)::int4 FROM cdr_consumer WHERE carrier_id = ${carrierId}`;
  const known = await readRows(tx)`
    SELECT FROM cdr_consumer WHERE carrier_id = ${carrierId} AND consumer = ${consumer}`;
  if (known.length > 0) return false;
  if (!(await takePlace(tx, carrierId, { what: Tally.CONSUMERS, most: MAX_CONSUMERS, count }))) return false;
  const inserted = await run(tx)`
    INSERT INTO cdr_consumer (carrier_id, consumer, committed_sequence, cursor, commit_time)
    VALUES (${carrierId}, ${consumer}, ${sequence}, ${cursor}, clock_timestamp()) ON CONFLICT DO NOTHING`;
  return inserted.count === 1;
}

/** Reads a consumer; undefined if it never committed. */
export async function readConsumer(tx: Tx, carrierId: string, consumer: string): Promise<Consumer | undefined> {
  return (await selectConsumers(tx, carrierId, sql`c.consumer = ${consumer}`, 1))[0];
}

/** Lists consumers by name, after the one that a page ended with. */
export function listConsumers(
  tx: Tx,
  carrierId: string,
  after: string | undefined,
  limit: number,
): Promise<Consumer[]> {
  return selectConsumers(tx, carrierId, after === undefined ? sql`true` : sql`c.consumer > ${after}`, limit);
}

function selectConsumers(tx: Tx, carrierId: string, where: ReturnType<typeof sql>, limit: number): Promise<Consumer[]> {
  return readRows(tx)<Consumer>`
    SELECT c.consumer, c.cursor, c.committed_sequence, c.commit_time, p.ingest_time AS oldest_pending_time, clock_timestamp() AS now
    FROM cdr_consumer c LEFT JOIN LATERAL (
      SELECT r.ingest_time FROM cdr_record r WHERE r.carrier_id = ${carrierId} AND r.sequence > c.committed_sequence
      ORDER BY r.sequence LIMIT 1) p ON true
    WHERE c.carrier_id = ${carrierId} AND ${where} ORDER BY c.consumer LIMIT ${limit}`;
}
