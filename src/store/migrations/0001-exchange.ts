import { type Kysely, sql } from "kysely";

// Frozen. Every table is led by carrier_id, which is also what Citus would distribute by;
// number_owner and carrier_credential, which decide between carriers, are led by what they decide.

const TABLES = `
CREATE TABLE installation (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  installation_id uuid NOT NULL,
  secret bytea NOT NULL CHECK (octet_length(secret) = 32),
  system_identifier text NOT NULL,
  timeline bigint NOT NULL,
  create_time timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE carrier (
  carrier_id text PRIMARY KEY,
  revision bigint NOT NULL,
  display_name text NOT NULL,
  legal_country text NOT NULL,
  time_zone text NOT NULL,
  region text NOT NULL,
  sip_domain text,
  suspended boolean NOT NULL,
  settings jsonb NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL
);

CREATE TABLE carrier_credential (
  identity text PRIMARY KEY,
  carrier_id text NOT NULL,
  expire_time timestamptz NOT NULL
);
CREATE INDEX carrier_credential_carrier ON carrier_credential (carrier_id);

CREATE TABLE request_log (
  carrier_id text NOT NULL,
  method text NOT NULL,
  request_id text NOT NULL,
  content_hash bigint NOT NULL,
  response bytea NOT NULL,
  create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (carrier_id, method, request_id)
);
CREATE INDEX request_log_create_time ON request_log (create_time);

CREATE TABLE feed_head (
  carrier_id text NOT NULL,
  feed smallint NOT NULL CHECK (feed BETWEEN 1 AND 4),
  epoch bigint NOT NULL,
  next_sequence bigint NOT NULL,
  earliest_sequence bigint NOT NULL,
  last_ingest_time timestamptz NOT NULL,
  payload_generation bigint NOT NULL,
  PRIMARY KEY (carrier_id, feed)
) WITH (fillfactor = 50);

-- Numbers are compared as text by their digits, whatever the database's locale.
CREATE TABLE number_owner (
  phone_number text COLLATE "C" PRIMARY KEY,
  carrier_id text NOT NULL,
  claim_time timestamptz NOT NULL,
  in_transit boolean NOT NULL
);

CREATE TABLE phone_number (
  carrier_id text NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  state smallint NOT NULL,
  customer_id text,
  country_code text,
  revision bigint NOT NULL,
  recorded_time timestamptz NOT NULL,
  claim_time timestamptz NOT NULL,
  payload bytea NOT NULL,
  PRIMARY KEY (carrier_id, phone_number)
);
CREATE INDEX phone_number_number ON phone_number (phone_number, carrier_id);
CREATE INDEX phone_number_customer ON phone_number (carrier_id, customer_id, phone_number) WHERE customer_id IS NOT NULL;

CREATE TABLE number_entry (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamptz NOT NULL,
  entry_kind smallint NOT NULL CHECK (entry_kind IN (1, 2)),
  phone_number text COLLATE "C",
  state smallint,
  customer_id text,
  country_code text,
  previous_state smallint,
  previous_customer_id text,
  previous_country_code text,
  payload bytea NOT NULL,
  PRIMARY KEY (carrier_id, sequence)
);
CREATE INDEX number_entry_number ON number_entry (carrier_id, phone_number, sequence);
CREATE INDEX number_entry_ingest_time ON number_entry (carrier_id, ingest_time);

CREATE TABLE number_holding (
  carrier_id text NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  start_time timestamptz NOT NULL,
  end_time timestamptz NOT NULL,
  holding_start_time timestamptz NOT NULL,
  customer_id text,
  ended_as smallint,
  revision bigint NOT NULL,
  recorded_time timestamptz NOT NULL,
  detail jsonb NOT NULL,
  PRIMARY KEY (carrier_id, phone_number, start_time)
);
CREATE INDEX number_holding_number ON number_holding (phone_number, start_time);
CREATE INDEX number_holding_scheduled ON number_holding (start_time) WHERE revision = 0;

CREATE TABLE number_port (
  carrier_id text NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  port_id uuid NOT NULL,
  role smallint NOT NULL CHECK (role IN (1, 2)),
  other_carrier_id text NOT NULL,
  effective_time timestamptz NOT NULL,
  stage smallint NOT NULL CHECK (stage IN (1, 2, 3)),
  moved jsonb,
  PRIMARY KEY (carrier_id, phone_number, port_id)
);
CREATE UNIQUE INDEX number_port_scheduled ON number_port (carrier_id, phone_number) WHERE stage = 1;
CREATE INDEX number_port_unfinished ON number_port (effective_time) WHERE stage < 3;
CREATE INDEX number_port_unfinished_number ON number_port (phone_number) WHERE stage < 3;

CREATE TABLE upload (
  carrier_id text NOT NULL,
  kind smallint NOT NULL CHECK (kind IN (1, 2)),
  upload_id text NOT NULL,
  next_offset bigint NOT NULL,
  writer_epoch bigint NOT NULL,
  sealed boolean NOT NULL,
  seal_time timestamptz,
  finished boolean NOT NULL,
  accepted bigint NOT NULL,
  duplicate bigint NOT NULL,
  conflict bigint NOT NULL,
  superseded bigint NOT NULL,
  rejected bigint NOT NULL,
  quarantined bigint NOT NULL,
  stored_rejects bigint NOT NULL,
  connected_duration_ms numeric(30, 0) NOT NULL,
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  PRIMARY KEY (carrier_id, kind, upload_id)
) WITH (fillfactor = 70);

CREATE TABLE upload_batch (
  carrier_id text NOT NULL,
  kind smallint NOT NULL,
  upload_id text NOT NULL,
  first_offset bigint NOT NULL,
  record_count integer NOT NULL,
  verdicts bytea NOT NULL,
  hashes bytea NOT NULL,
  create_time timestamptz NOT NULL,
  PRIMARY KEY (carrier_id, kind, upload_id, first_offset)
);

CREATE TABLE upload_reject (
  carrier_id text NOT NULL,
  kind smallint NOT NULL,
  upload_id text NOT NULL,
  record_offset bigint NOT NULL,
  record_id text NOT NULL,
  verdict smallint NOT NULL,
  issue smallint NOT NULL,
  field_path text,
  message text NOT NULL,
  retryable boolean NOT NULL,
  record_json text NOT NULL,
  create_time timestamptz NOT NULL,
  PRIMARY KEY (carrier_id, kind, upload_id, record_offset)
);

CREATE TABLE quarantine (
  carrier_id text NOT NULL,
  kind smallint NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  content_hash bigint NOT NULL,
  upload_id text NOT NULL,
  record_offset bigint NOT NULL,
  issue smallint NOT NULL,
  numbers text[] NOT NULL,
  start_time timestamptz,
  judged_numbers_sequence bigint NOT NULL,
  payload bytea NOT NULL,
  create_time timestamptz NOT NULL,
  PRIMARY KEY (carrier_id, kind, record_id, record_date, revision)
);
CREATE INDEX quarantine_waiting ON quarantine (carrier_id, kind, judged_numbers_sequence, create_time, record_offset) WHERE issue = 11;
CREATE INDEX quarantine_start ON quarantine (carrier_id, kind, start_time, record_id);

CREATE TABLE cdr_consumer (
  carrier_id text NOT NULL,
  consumer text NOT NULL,
  committed_sequence bigint NOT NULL,
  cursor text NOT NULL,
  commit_time timestamptz NOT NULL,
  PRIMARY KEY (carrier_id, consumer)
);

CREATE TABLE job_lease (
  carrier_id text NOT NULL,
  job text NOT NULL,
  holder text NOT NULL,
  lease_epoch bigint NOT NULL,
  until_time timestamptz NOT NULL,
  PRIMARY KEY (carrier_id, job)
);

CREATE TABLE isolation_probe (
  carrier_id text PRIMARY KEY
);

CREATE TABLE cdr_key (
  carrier_id text NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  content_hash bigint NOT NULL,
  party_hash bigint NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamptz NOT NULL,
  PRIMARY KEY (carrier_id, record_id, record_date, revision)
) PARTITION BY RANGE (record_date);

CREATE TABLE duration_key (
  carrier_id text NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  content_hash bigint NOT NULL,
  party_hash bigint NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamptz NOT NULL,
  PRIMARY KEY (carrier_id, record_id, record_date, revision)
) PARTITION BY RANGE (record_date);

CREATE TABLE cdr_record (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamptz NOT NULL,
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  entry_kind smallint NOT NULL,
  partial boolean NOT NULL,
  call_id text,
  invite_time timestamptz,
  direction smallint NOT NULL,
  phone_number text,
  customer_id text,
  trunk_id text,
  dialog_call_id text,
  correlation_id text,
  codec text,
  calling_number text,
  called_number text,
  answered boolean,
  network_effective boolean,
  setup_duration_ms bigint,
  connected_duration_ms bigint,
  quality_verdict smallint NOT NULL,
  payload bytea NOT NULL,
  PRIMARY KEY (carrier_id, sequence, ingest_time)
) PARTITION BY RANGE (ingest_time);
CREATE INDEX cdr_record_invite ON cdr_record (carrier_id, invite_time, sequence);
CREATE INDEX cdr_record_call ON cdr_record (carrier_id, call_id);
CREATE INDEX cdr_record_dialog ON cdr_record (carrier_id, dialog_call_id) WHERE dialog_call_id IS NOT NULL;
CREATE INDEX cdr_record_correlation ON cdr_record (carrier_id, correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX cdr_record_ingest_time ON cdr_record (carrier_id, ingest_time, sequence);

CREATE TABLE cdr_quality (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamptz NOT NULL,
  mos_lq double precision,
  mos_cq double precision,
  classified_streams integer NOT NULL,
  poor_streams integer NOT NULL,
  reasons smallint[] NOT NULL,
  payload bytea NOT NULL,
  PRIMARY KEY (carrier_id, sequence, ingest_time)
) PARTITION BY RANGE (ingest_time);

CREATE TABLE cdr_network (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamptz NOT NULL,
  payload bytea NOT NULL,
  PRIMARY KEY (carrier_id, sequence, ingest_time)
) PARTITION BY RANGE (ingest_time);

CREATE TABLE duration_record (
  carrier_id text NOT NULL,
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
  connected_duration_ms bigint,
  payload bytea NOT NULL,
  PRIMARY KEY (carrier_id, sequence, ingest_time)
) PARTITION BY RANGE (ingest_time);
CREATE INDEX duration_record_start ON duration_record (carrier_id, start_time);
`;

// Tables that hold a carrier's own data: the carrier role sees its own rows, the system role is
// named in a policy of its own.
const CARRIER_TABLES = [
  "carrier",
  "request_log",
  "feed_head",
  "phone_number",
  "number_entry",
  "number_holding",
  "number_port",
  "upload",
  "upload_batch",
  "upload_reject",
  "quarantine",
  "cdr_consumer",
  "isolation_probe",
  "cdr_key",
  "duration_key",
  "cdr_record",
  "cdr_quality",
  "cdr_network",
  "duration_record",
] as const;

// What decides between carriers, and what no carrier has a part in.
const SYSTEM_TABLES = ["carrier_credential", "number_owner", "job_lease"] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
  for (const table of CARRIER_TABLES) {
    const carrierRights =
      table === "carrier" || table === "isolation_probe" ? "SELECT" : "SELECT, INSERT, UPDATE, DELETE";
    await sql
      .raw(`
ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY carrier_sees_its_own ON ${table} TO tandem_carrier
  USING (carrier_id = current_setting('tandem.carrier_id', true))
  WITH CHECK (carrier_id = current_setting('tandem.carrier_id', true));
CREATE POLICY system_sees_all ON ${table} TO tandem_system USING (true) WITH CHECK (true);
GRANT ${carrierRights} ON ${table} TO tandem_carrier;
GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO tandem_system;`)
      .execute(db);
  }
  for (const table of SYSTEM_TABLES) {
    await sql
      .raw(`
ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON ${table} TO tandem_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO tandem_system;`)
      .execute(db);
  }
  await sql.raw("GRANT SELECT ON installation TO tandem_system").execute(db);
}
