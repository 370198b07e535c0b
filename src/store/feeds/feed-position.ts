import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { readValue, type Tx } from "../database/run.ts";

/** Where the entries of each feed are. */
export const ENTRY_TABLES = {
  [FeedId.NUMBERS]: "number_entry",
  [FeedId.CDRS]: "cdr_record",
  [FeedId.DISCREPANCIES]: "discrepancy_entry",
  [FeedId.DURATIONS]: "duration_record",
} as const;

// A range of one sequence, in order: so the planner uses the key's index, which needs no sorting,
// whatever its statistics.

/** The ingest time of one entry; undefined when it is not kept, or never was. */
export function readEntryIngestTime(
  tx: Tx,
  carrierId: string,
  feed: FeedId,
  sequence: bigint,
): Promise<Micros | undefined> {
  return readValue(tx)<Micros | undefined>`
    SELECT ingest_time FROM ${sql.table(ENTRY_TABLES[feed])}
    WHERE carrier_id = ${carrierId} AND sequence >= ${sequence} AND sequence <= ${sequence} ORDER BY sequence LIMIT 1`;
}

/**
 * The sequence of the first entry whose ingest time is not before an instant; undefined when there
 * is none. The ingest time never falls along the feed, so this is also the lowest such sequence. To
 * be exact while writers run, `raiseIngestTime` must have committed before.
 */
export function findFirstEntrySince(
  tx: Tx,
  carrierId: string,
  feed: FeedId,
  instant: Micros,
): Promise<bigint | undefined> {
  return readValue(tx)<bigint | undefined>`
    SELECT sequence FROM ${sql.table(ENTRY_TABLES[feed])}
    WHERE carrier_id = ${carrierId} AND ingest_time >= ${isoFromMicros(instant)}::timestamptz
    ORDER BY ingest_time, sequence LIMIT 1`;
}
