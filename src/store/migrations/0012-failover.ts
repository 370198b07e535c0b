import { type Kysely, sql } from "kysely";

// Frozen. What a feed remembers of a failover that lost its newest entries, and of a clock that was
// ahead.

const STATEMENTS = [
  // What was acknowledged since then may be lost: of the newest epoch that began for a loss, and
  // the timeline on which it began; 0 where that was not known.
  "ALTER TABLE feed_head ADD COLUMN lost_since timestamptz",
  "ALTER TABLE feed_head ADD COLUMN lost_timeline bigint",
  // Up to here an ingest time ahead of the clock was accepted by an operator: writes go on with it.
  "ALTER TABLE feed_head ADD COLUMN accepted_ingest_time timestamptz",
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
