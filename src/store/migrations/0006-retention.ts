import { type Kysely, sql } from "kysely";

// How long parts are kept, what is held beyond that, and how far retention has come.

const TABLES = `
-- What somebody has set; what holds otherwise is in the code. carrier_id is '' for a country's.
CREATE TABLE retention_policy (
  country_code text NOT NULL,
  carrier_id text NOT NULL,
  record_part smallint NOT NULL CHECK (record_part BETWEEN 1 AND 6),
  purpose smallint NOT NULL CHECK (purpose BETWEEN 1 AND 5),
  legal_basis smallint NOT NULL CHECK (legal_basis BETWEEN 1 AND 4),
  retention_days integer NOT NULL CHECK (retention_days >= 1),
  source text NOT NULL,
  privacy_statement_version text NOT NULL,
  revision bigint NOT NULL,
  update_time timestamptz NOT NULL,
  updated_by text NOT NULL,
  PRIMARY KEY (country_code, carrier_id, record_part, purpose)
);

-- Per carrier: before which arrival each part is gone. hold_generation counts holds: a hold that
-- comes between the copying of held records and the raising of a floor has the records copied anew.
CREATE TABLE retention_state (
  carrier_id text PRIMARY KEY,
  hold_generation bigint NOT NULL DEFAULT 0,
  call_before timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z',
  quality_before timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z',
  network_before timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z',
  duration_before timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z',
  -- Records below it no longer tell the verdict on their quality.
  verdict_sequence bigint NOT NULL DEFAULT 0,
  -- Keys of earlier days may be gone.
  keys_from date NOT NULL DEFAULT '1970-01-01'
) WITH (fillfactor = 50);

CREATE TABLE hold (
  carrier_id text NOT NULL,
  hold_id text NOT NULL,
  -- Null: single records, in hold_item. The instants are those of the dates in the time zone agreed
  -- with the carrier when the hold was made.
  start_date date,
  end_date date,
  start_time timestamptz,
  before_time timestamptz,
  customer_id text,
  trunk_id text,
  direction smallint NOT NULL,
  reason smallint NOT NULL CHECK (reason BETWEEN 1 AND 5),
  case_reference text NOT NULL,
  owner text NOT NULL,
  end_time timestamptz NOT NULL,
  create_time timestamptz NOT NULL,
  created_by text NOT NULL,
  release_time timestamptz,
  released_by text,
  release_note text,
  PRIMARY KEY (carrier_id, hold_id)
);
CREATE INDEX hold_create ON hold (create_time, hold_id);
CREATE UNIQUE INDEX hold_id ON hold (hold_id);

CREATE TABLE hold_item (
  carrier_id text NOT NULL,
  hold_id text NOT NULL,
  side smallint NOT NULL CHECK (side IN (1, 2)),
  record_id text NOT NULL,
  record_date date NOT NULL,
  PRIMARY KEY (carrier_id, side, record_id, record_date, hold_id)
);
CREATE INDEX hold_item_hold ON hold_item (carrier_id, hold_id);

-- Copies of held records, made before the first of their parts goes. Side 1 is the platform's
-- record, 2 the carrier's.
CREATE TABLE held_record (
  carrier_id text NOT NULL,
  side smallint NOT NULL CHECK (side IN (1, 2)),
  sequence bigint NOT NULL,
  ingest_time timestamptz NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  entry_kind smallint NOT NULL,
  start_time timestamptz,
  direction smallint NOT NULL,
  phone_number text,
  customer_id text,
  trunk_id text,
  call_id text,
  dialog_call_id text,
  correlation_id text,
  calling_number text,
  called_number text,
  quality_verdict smallint NOT NULL,
  payload bytea NOT NULL,
  quality bytea,
  network bytea,
  PRIMARY KEY (carrier_id, side, sequence)
);
CREATE INDEX held_record_identity ON held_record (carrier_id, side, record_id, record_date, revision);
CREATE INDEX held_record_start ON held_record (carrier_id, side, start_time, sequence);

-- A hold may ask for one trunk.
ALTER TABLE duration_record ADD COLUMN trunk_id text;
GRANT UPDATE (trunk_id) ON duration_record TO tandem_carrier;
`;

// No carrier's method writes any of these; of held records a carrier reads its own.
const OF_THE_SYSTEM = ["retention_policy", "retention_state", "hold", "hold_item", "held_record"];

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
  for (const table of OF_THE_SYSTEM) {
    const rights =
      table === "retention_policy" || table === "hold" ? "SELECT, INSERT, UPDATE" : "SELECT, INSERT, UPDATE, DELETE";
    await sql.raw(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`).execute(db);
    await sql
      .raw(`CREATE POLICY system_sees_all ON ${table} TO tandem_system USING (true) WITH CHECK (true)`)
      .execute(db);
    await sql.raw(`GRANT ${rights} ON ${table} TO tandem_system`).execute(db);
  }
  const own = "carrier_id = current_setting('tandem.carrier_id', true)";
  await sql
    .raw(`CREATE POLICY carrier_sees_its_own ON held_record FOR SELECT TO tandem_carrier USING (${own})`)
    .execute(db);
  await sql.raw("GRANT SELECT ON held_record TO tandem_carrier").execute(db);
}
