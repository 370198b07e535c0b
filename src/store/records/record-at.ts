import { type RawBuilder, sql } from "kysely";
import type { RecordKind } from "../../domain/record-kind.ts";

/**
 * The query for the record at the position of a row `at`: for a LATERAL join. OFFSET 0 keeps the
 * planner from turning it into another join, which would read all of the carrier's records where it
 * believes them to be few.
 */
export function recordAt(record: RawBuilder<unknown>, carrierId: string, at: string): RawBuilder<unknown> {
  return sql`SELECT * FROM ${record} f WHERE f.carrier_id = ${carrierId} AND f.sequence = ${sql.ref(`${at}.sequence`)}
    AND f.ingest_time = ${sql.ref(`${at}.ingest_time`)} OFFSET 0`;
}

/** The records `r` of one id, found by the id first: in the order of a list all would be read. */
export function recordsOfId(
  { keys, records }: RecordKind,
  carrierId: string,
  recordId: string,
  recordDate?: string,
): RawBuilder<unknown> {
  const day = recordDate === undefined ? sql`` : sql` AND s.record_date = ${recordDate}::date`;
  return sql`(SELECT s.sequence, s.ingest_time FROM ${sql.table(keys)} s WHERE s.carrier_id = ${carrierId} AND s.record_id = ${recordId}${day} OFFSET 0) s
    CROSS JOIN LATERAL (${recordAt(sql.table(records), carrierId, "s")}) r`;
}
