import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { textArray } from "../database/binary-array.ts";
import { readColumn, readRows, run, type Tx } from "../database/run.ts";
import { firstDayOfBlock, lastDayOfBlock } from "./disclosure-lists.ts";

// Blocks that are open: those of live streams, and those that a crash has left. In system
// transactions.

/** A block open for longer was left: a stream sends under one for an hour at most. */
const LEFT_AFTER = sql.raw("interval '2 hours'");

/** Carriers with blocks that were left open, by id. */
export function findCarriersOfLeftBlocks(tx: Tx, after: string, limit: number): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT DISTINCT d.carrier_id FROM disclosure d
    WHERE d.carrier_id > ${after} AND d.feed IS NOT NULL AND d.through_sequence IS NULL AND d.commit_time < clock_timestamp() - ${LEFT_AFTER}
    ORDER BY d.carrier_id LIMIT ${limit}`;
}

/** Closes left blocks at the newest entry that their stream may have sent. Returns how many. */
export async function closeLeftBlocks(tx: Tx, carrierId: string, limit: number): Promise<number> {
  const left = await readRows(tx)<{ disclosureId: string }>`
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

/** Widens open blocks to the days of stored entries, before those are deleted. */
export async function dateOpenBlocks(tx: Tx, carrierId: string): Promise<void> {
  await run(tx)`
    UPDATE disclosure d SET first_record_date = LEAST(d.first_record_date, (${firstDayOfBlock(carrierId)})),
      last_record_date = GREATEST(d.last_record_date, (${lastDayOfBlock(carrierId)}))
    WHERE d.carrier_id = ${carrierId} AND d.feed IS NOT NULL AND d.through_sequence IS NULL`;
}
