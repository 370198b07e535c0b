import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { textArray } from "../database/binary-array.ts";
import { run, type Tx } from "../database/run.ts";
import { firstDayOfBlock, lastDayOfBlock } from "./disclosure-lists.ts";

// Blocks of feeds that nobody has closed: those of live streams, and those that a crash has left.
// In a system transaction.

/** A block that is open for longer was left: a stream sends under one for an hour at most. */
const LEFT_AFTER = sql.raw("interval '2 hours'");

/** Finds carriers that have blocks which were left open, by id; at most `limit`. */
export async function findCarriersOfLeftBlocks(tx: Tx, after: string, limit: number): Promise<string[]> {
  const { rows } = await run(tx)<{ carrierId: string }>`
    SELECT DISTINCT d.carrier_id FROM disclosure d
    WHERE d.carrier_id > ${after} AND d.feed IS NOT NULL AND d.through_sequence IS NULL AND d.commit_time < clock_timestamp() - ${LEFT_AFTER}
    ORDER BY d.carrier_id LIMIT ${limit}`;
  return rows.map((row) => row.carrierId);
}

/**
 * Closes blocks of a carrier that were left open, at most `limit`: at the newest entry that its
 * stream may have sent, with the days of what is stored. Returns how many there were.
 */
export async function closeLeftBlocks(tx: Tx, carrierId: string, limit: number): Promise<number> {
  const { rows: left } = await run(tx)<{ disclosureId: string }>`
    SELECT d.disclosure_id FROM disclosure d
    WHERE d.carrier_id = ${carrierId} AND d.feed IS NOT NULL AND d.through_sequence IS NULL AND d.commit_time < clock_timestamp() - ${LEFT_AFTER}
    ORDER BY d.commit_time LIMIT ${limit}`;
  if (left.length === 0) return 0;
  const newest = (table: string) => sql`
    SELECT max(e.sequence) FROM ${sql.table(table)} e WHERE e.carrier_id = ${carrierId} AND e.sequence > d.after_sequence
      AND e.sequence <= d.reserved_through AND e.ingest_time < d.commit_time + ${LEFT_AFTER}`;
  const through = sql`COALESCE(CASE d.feed WHEN ${sql.lit(FeedId.CDRS)} THEN (${newest("cdr_record")})
      WHEN ${sql.lit(FeedId.NUMBERS)} THEN (${newest("number_entry")}) ELSE (${newest("discrepancy_entry")}) END, d.reserved_through)`;
  await run(tx)`
    UPDATE disclosure d SET through_sequence = ${through}, record_count = ${through} - d.after_sequence,
      first_record_date = LEAST(d.first_record_date, (${firstDayOfBlock(carrierId)})),
      last_record_date = GREATEST(d.last_record_date, (${lastDayOfBlock(carrierId)}))
    WHERE d.carrier_id = ${carrierId} AND d.disclosure_id = ANY (${textArray(left.map((row) => row.disclosureId))}::text[]::uuid[])
      AND d.feed IS NOT NULL AND d.through_sequence IS NULL`;
  return left.length;
}

/**
 * Widens the days of a carrier's open blocks to those of what is stored. To be called before
 * records are deleted, so that a block which a crash has left still answers for their days.
 */
export async function dateOpenBlocks(tx: Tx, carrierId: string): Promise<void> {
  await run(tx)`
    UPDATE disclosure d SET first_record_date = LEAST(d.first_record_date, (${firstDayOfBlock(carrierId)})),
      last_record_date = GREATEST(d.last_record_date, (${lastDayOfBlock(carrierId)}))
    WHERE d.carrier_id = ${carrierId} AND d.feed IS NOT NULL AND d.through_sequence IS NULL`;
}
