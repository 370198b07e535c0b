import { type Kysely, sql } from "kysely";

// Frozen. How long a call without a counterpart near it was: what tells calls of the same parties
// apart, and what makes
// few of them enough. What was gathered without it is gathered anew.

const COLUMNS = `
ALTER TABLE clock_lacking ADD COLUMN length_ms bigint;
ALTER TABLE clock_lacking ADD COLUMN is_alike boolean NOT NULL DEFAULT false;
DELETE FROM clock_lacking;
DELETE FROM clock_minute;
DELETE FROM clock_offset;
INSERT INTO reconcile_minute (carrier_id, minute)
  SELECT carrier_id, date_trunc('minute', start_time) FROM call_result
  UNION SELECT carrier_id, date_trunc('minute', clock_time) FROM call_result WHERE clock_time IS NOT NULL
  ON CONFLICT DO NOTHING;
`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(COLUMNS).execute(db);
}
