import { type Kysely, sql } from "kysely";

// Frozen. What records say of a carrier's clock is kept apart from what is made of it, so that an
// offset never rests on the pairs that it makes. And how far a mark is from the record that it is
// for.

const TABLES = `
-- What the carrier's records of a minute of its clock say, as it stands, by trunk: buckets of
-- votes.
CREATE TABLE clock_minute (
  carrier_id text NOT NULL,
  minute timestamptz NOT NULL,
  votes jsonb NOT NULL,
  PRIMARY KEY (carrier_id, minute)
);

-- Answered calls of either side (1 platform, 2 carrier) near which the other has none of the same
-- parties, by both clocks as they stand. Few, where a clock is right.
CREATE TABLE clock_lacking (
  carrier_id text NOT NULL,
  side smallint NOT NULL CHECK (side IN (1, 2)),
  record_id text NOT NULL,
  record_date date NOT NULL,
  start_time timestamptz NOT NULL,
  pair_key bigint NOT NULL,
  trunk_id text NOT NULL,
  -- Of a carrier's: how far it is behind the only one that it can be, milliseconds.
  vote_ms bigint,
  -- A record that is corrected to another time is there twice until both of its minutes were looked
  -- at.
  PRIMARY KEY (carrier_id, record_date, record_id, side, start_time)
);
CREATE INDEX clock_lacking_start ON clock_lacking (carrier_id, start_time);
CREATE INDEX clock_lacking_pair ON clock_lacking (carrier_id, pair_key, side, start_time);

-- 0: marked by a record, or by time; else one more than the mark whose work made it.
ALTER TABLE reconcile_minute ADD COLUMN round smallint NOT NULL DEFAULT 0;
CREATE INDEX reconcile_minute_round ON reconcile_minute (carrier_id, round, minute);
-- Until when all records that had come are marked, while their minutes are not all worked off.
ALTER TABLE reconcile_position ADD COLUMN marked_through timestamptz;

-- Offsets rest on other evidence from now on: all is gathered, and judged, anew.
DELETE FROM clock_offset;
INSERT INTO reconcile_minute (carrier_id, minute)
  SELECT carrier_id, date_trunc('minute', start_time) FROM call_result
  UNION SELECT carrier_id, date_trunc('minute', clock_time) FROM call_result WHERE clock_time IS NOT NULL
  ON CONFLICT DO NOTHING;
`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
  for (const table of ["clock_minute", "clock_lacking"]) {
    await sql.raw(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`).execute(db);
    await sql
      .raw(`CREATE POLICY system_sees_all ON ${table} TO tandem_system USING (true) WITH CHECK (true)`)
      .execute(db);
    await sql.raw(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO tandem_system`).execute(db);
  }
}
