import { type Kysely, sql } from "kysely";

// Frozen. What a carrier needs to be told why a call came out as it did: what its own pairs say of
// its clock and of how it rounds. It reads them; the jobs alone write them.

const TABLES = ["clock_offset", "rounding_vote"] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const table of TABLES) {
    await sql
      .raw(`CREATE POLICY carrier_sees_its_own ON ${table} FOR SELECT TO tandem_carrier
        USING (carrier_id = current_setting('tandem.carrier_id', true))`)
      .execute(db);
    await sql.raw(`GRANT SELECT ON ${table} TO tandem_carrier`).execute(db);
  }
}
