import { type Kysely, sql } from "kysely";

// Frozen. What a carrier has a most of is counted, and whose range a number lies in is written
// down. number_range is led by what it decides, as number_owner is: on Citus it is a reference
// table, for it is small.

const TABLES = `
CREATE TABLE carrier_tally (
  carrier_id text NOT NULL,
  -- 1: numbers held; at least as many as there are of 2: open uploads of durations, 3: of call
  -- detail records, 4: named consumers.
  what smallint NOT NULL CHECK (what BETWEEN 1 AND 4),
  held bigint NOT NULL,
  PRIMARY KEY (carrier_id, what)
) WITH (fillfactor = 50);
INSERT INTO carrier_tally (carrier_id, what, held)
  SELECT carrier_id, 1, count(*) FROM phone_number WHERE state IN (1, 2) GROUP BY carrier_id
  UNION ALL SELECT carrier_id, 1 + kind, count(*) FROM upload WHERE NOT sealed GROUP BY carrier_id, kind
  UNION ALL SELECT carrier_id, 4, count(*) FROM cdr_consumer GROUP BY carrier_id;
CREATE INDEX upload_open ON upload (carrier_id, kind) WHERE NOT sealed;

CREATE TABLE number_range (
  -- Of E.164: + and the first digits.
  prefix text COLLATE "C" PRIMARY KEY,
  carrier_id text NOT NULL
);
CREATE INDEX number_range_carrier ON number_range (carrier_id, prefix);

-- Single numbers that a carrier may provision wherever they lie.
CREATE TABLE number_approval (
  carrier_id text NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  PRIMARY KEY (carrier_id, phone_number)
);
`;

const OWN = "carrier_id = current_setting('tandem.carrier_id', true)";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
  for (const table of ["carrier_tally", "number_range", "number_approval"]) {
    await sql.raw(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`).execute(db);
    await sql
      .raw(`CREATE POLICY system_sees_all ON ${table} TO tandem_system USING (true) WITH CHECK (true)`)
      .execute(db);
  }
  for (const table of ["carrier_tally", "number_approval"]) {
    await sql
      .raw(`CREATE POLICY carrier_sees_its_own ON ${table} TO tandem_carrier USING (${OWN}) WITH CHECK (${OWN})`)
      .execute(db);
  }
  await sql.raw("GRANT SELECT, INSERT, UPDATE ON carrier_tally TO tandem_carrier, tandem_system").execute(db);
  await sql.raw("GRANT SELECT ON number_approval TO tandem_carrier").execute(db);
  await sql.raw("GRANT SELECT, INSERT, DELETE ON number_range, number_approval TO tandem_system").execute(db);
}
