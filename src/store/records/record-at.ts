import { type RawBuilder, sql } from "kysely";

/**
 * The query for the record at the position of a row `at`: for a LATERAL join. OFFSET 0 keeps the
 * planner from turning it into another join, which would read all of the carrier's records where it
 * believes them to be few.
 */
export function recordAt(record: RawBuilder<unknown>, carrierId: string, at: string): RawBuilder<unknown> {
  return sql`SELECT * FROM ${record} f WHERE f.carrier_id = ${carrierId} AND f.sequence = ${sql.ref(`${at}.sequence`)}
    AND f.ingest_time = ${sql.ref(`${at}.ingest_time`)} OFFSET 0`;
}
