import { type Kysely, sql } from "kysely";

// Erasures of persons' numbers. No table holds a number: what is to be erased is in the journal
// entries, encrypted under a key outside the database.

const TABLES = `
CREATE TABLE erasure (
  erasure_id text PRIMARY KEY,
  request_id text NOT NULL UNIQUE,
  state smallint NOT NULL CHECK (state BETWEEN 1 AND 5),
  start_time timestamptz NOT NULL,
  end_time timestamptz NOT NULL,
  role smallint NOT NULL CHECK (role BETWEEN 1 AND 3),
  case_reference text NOT NULL,
  verified_by text NOT NULL,
  requested_by text NOT NULL,
  -- The number, encrypted.
  journal bytea NOT NULL,
  create_time timestamptz NOT NULL,
  -- When the last record was rewritten: what was read before it may still be on its way to a
  -- client.
  drain_time timestamptz,
  complete_time timestamptz,
  receipt_time timestamptz
);
CREATE INDEX erasure_unfinished ON erasure (create_time) WHERE state < 4;

-- What an erasure came to at one carrier. A writer of records reads it, and finds here what it must
-- erase as it arrives.
CREATE TABLE erasure_carrier (
  carrier_id text NOT NULL,
  erasure_id text NOT NULL,
  journal bytea NOT NULL,
  done boolean NOT NULL,
  -- When to look again at what an exception held back; null: nothing is left.
  look_time timestamptz,
  counts jsonb NOT NULL,
  exceptions jsonb NOT NULL,
  notices jsonb NOT NULL,
  -- Records that came later and were erased as they arrived: the platform's and the carrier's.
  late_cdrs bigint NOT NULL,
  late_durations bigint NOT NULL,
  late_time timestamptz,
  PRIMARY KEY (carrier_id, erasure_id)
);
CREATE INDEX erasure_carrier_erasure ON erasure_carrier (erasure_id, carrier_id);

-- Which processes serve, and that nothing which one of them may still deliver was read before its
-- clear_time.
CREATE TABLE serving_process (
  process_id text PRIMARY KEY,
  beat_time timestamptz NOT NULL,
  clear_time timestamptz NOT NULL
);

-- A call of which a party was erased: its records stay together whatever their numbers would say,
-- and it counts for the customer that it counted for.
ALTER TABLE call_result ADD COLUMN is_erased boolean NOT NULL DEFAULT false;
ALTER TABLE call_result ADD COLUMN usage_customer_id text;
CREATE INDEX call_result_erased ON call_result (carrier_id, start_time) WHERE is_erased;
CREATE INDEX call_result_erased_customer ON call_result (COALESCE(usage_customer_id, customer_id), start_time)
  WHERE phone_number IS NULL AND customer_id IS NOT NULL;
CREATE INDEX discrepancy_entry_discrepancy ON discrepancy_entry (carrier_id, discrepancy_id) WHERE discrepancy_id IS NOT NULL;
`;

const OWN = "carrier_id = current_setting('tandem.carrier_id', true)";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
  for (const table of ["erasure", "erasure_carrier", "serving_process"]) {
    await sql.raw(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`).execute(db);
    await sql
      .raw(`CREATE POLICY system_sees_all ON ${table} TO tandem_system USING (true) WITH CHECK (true)`)
      .execute(db);
  }
  await sql.raw("GRANT SELECT, INSERT, UPDATE ON erasure, erasure_carrier TO tandem_system").execute(db);
  await sql.raw("GRANT SELECT, INSERT, UPDATE, DELETE ON serving_process TO tandem_system").execute(db);
  await sql
    .raw(`CREATE POLICY carrier_sees_its_own ON erasure_carrier TO tandem_carrier USING (${OWN}) WITH CHECK (${OWN})`)
    .execute(db);
  // Ingest reads what is in force, and counts what it erased.
  await sql.raw("GRANT SELECT ON erasure_carrier TO tandem_carrier").execute(db);
  await sql.raw("GRANT UPDATE (late_cdrs, late_durations, late_time) ON erasure_carrier TO tandem_carrier").execute(db);
}
