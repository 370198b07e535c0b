import { type Kysely, sql } from "kysely";

// Frozen. What statements ask of the schema so that a cluster takes them, and pages are read in
// order.

// The clock as an UPDATE asks for it. A cluster refuses what is VOLATILE there, and would put its
// coordinator's time in the place of what is STABLE. What is IMMUTABLE goes along to the server
// where the row lies, and runs there, under the row's lock. The argument is a column of the row:
// what is immutable and rests on no column would be computed once, when the plan is made. NULL is a
// value as any other, so it is not STRICT. Its body is parsed here: no search_path has a say in it.
const CLOCK = [
  `CREATE FUNCTION clock_from(of_row timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN clock_timestamp()`,
  "REVOKE ALL ON FUNCTION clock_from(timestamptz) FROM PUBLIC",
  "GRANT EXECUTE ON FUNCTION clock_from(timestamptz) TO tandem_carrier, tandem_system",
];

// Uploads in the order in which they are listed, all and the open ones. No update moves them but
// the one that seals.
const UPLOADS = [
  "CREATE INDEX upload_order ON upload (carrier_id, kind, create_time, upload_id)",
  "DROP INDEX upload_open",
  "CREATE INDEX upload_open ON upload (carrier_id, kind, create_time, upload_id) WHERE NOT sealed",
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [...CLOCK, ...UPLOADS]) await sql.raw(statement).execute(db);
}
