import { type Kysely, sql } from "kysely";

// Frozen. What reconciliation found, call by call, and how far it is; usage as it was when periods
// were closed.

const TABLES = `
-- Numbered parts are rare, and are found by their index without reading the other records.
ALTER TABLE duration_record ADD COLUMN part_index integer;
CREATE INDEX duration_record_part ON duration_record (carrier_id, start_time) WHERE part_index IS NOT NULL;

-- Which identities have more than their first revision: few, and asked for with every run of calls.
CREATE INDEX cdr_key_corrected ON cdr_key (carrier_id, record_date) WHERE revision > 1;
CREATE INDEX duration_key_corrected ON duration_key (carrier_id, record_date) WHERE revision > 1;

-- One row a call. It is named by the platform's record (side 1) where there is one, else by the
-- carrier's first (side 2).
CREATE TABLE call_result (
  carrier_id text NOT NULL,
  side smallint NOT NULL CHECK (side IN (1, 2)),
  record_id text NOT NULL,
  record_date date NOT NULL,
  revision integer NOT NULL,
  carrier_record_ids text[] NOT NULL,
  carrier_record_dates date[] NOT NULL,
  carrier_revisions integer[] NOT NULL,
  start_time timestamptz NOT NULL,
  call_date date NOT NULL,
  status smallint NOT NULL,
  causes smallint NOT NULL,
  matched_by smallint NOT NULL,
  pending_reason smallint NOT NULL,
  is_open boolean NOT NULL,
  is_merged boolean NOT NULL,
  due_time timestamptz,
  direction smallint NOT NULL,
  phone_number text COLLATE "C",
  customer_id text,
  trunk_id text,
  call_id text,
  other_number text,
  other_country text,
  platform_answered boolean,
  carrier_answered boolean,
  platform_ms bigint,
  carrier_ms bigint,
  billed_s bigint,
  clock_trunk text,
  clock_time timestamptz,
  vote_ms bigint,
  pair_key bigint,
  correlation_key bigint,
  result_hash bigint NOT NULL,
  arrival_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  discrepancy_id text,
  discrepancy_revision integer NOT NULL,
  first_seen_time timestamptz,
  resolved_time timestamptz,
  sequence bigint,
  payload bytea,
  PRIMARY KEY (carrier_id, record_date, record_id, side)
);
CREATE INDEX call_result_start ON call_result (carrier_id, start_time);
CREATE INDEX call_result_number ON call_result (phone_number, start_time) WHERE phone_number IS NOT NULL;
CREATE INDEX call_result_due ON call_result (carrier_id, due_time) WHERE due_time IS NOT NULL;
CREATE INDEX call_result_pair ON call_result (carrier_id, pair_key, start_time) WHERE pair_key IS NOT NULL;
CREATE INDEX call_result_correlation ON call_result (carrier_id, correlation_key) WHERE correlation_key IS NOT NULL;
CREATE INDEX call_result_clock ON call_result (carrier_id, clock_trunk, clock_time) WHERE side = 2 AND is_open;
CREATE INDEX call_result_parts ON call_result USING gin (carrier_record_ids) WHERE cardinality(carrier_record_ids) > 1;
CREATE UNIQUE INDEX call_result_discrepancy ON call_result (carrier_id, discrepancy_id) WHERE discrepancy_id IS NOT NULL;
CREATE INDEX call_result_pending ON call_result (carrier_id, pending_reason, start_time) WHERE status = 11;
CREATE INDEX call_result_unresolved ON call_result (carrier_id) WHERE discrepancy_id IS NOT NULL AND resolved_time IS NULL;
CREATE INDEX call_result_sequence ON call_result (carrier_id, sequence) WHERE sequence IS NOT NULL;

-- The discrepancy feed: every discrepancy, change of one and resolution, with what filters ask for
-- before and after the change.
CREATE TABLE discrepancy_entry (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  ingest_time timestamptz NOT NULL,
  entry_kind smallint NOT NULL CHECK (entry_kind IN (1, 2)),
  discrepancy_id text,
  status smallint,
  causes smallint,
  customer_id text,
  trunk_id text,
  direction smallint,
  unresolved boolean,
  absolute_delta_ms bigint,
  previous_status smallint,
  previous_causes smallint,
  previous_customer_id text,
  previous_trunk_id text,
  previous_direction smallint,
  previous_unresolved boolean,
  previous_absolute_delta_ms bigint,
  payload bytea NOT NULL,
  PRIMARY KEY (carrier_id, sequence)
);
CREATE INDEX discrepancy_entry_ingest_time ON discrepancy_entry (carrier_id, ingest_time);

-- How far each carrier is reconciled: the feed positions up to which records are judged, and up to
-- which they have marked the minutes that they touch.
CREATE TABLE reconcile_position (
  carrier_id text PRIMARY KEY,
  cdr_sequence bigint NOT NULL,
  duration_sequence bigint NOT NULL,
  marked_cdr_sequence bigint NOT NULL DEFAULT 0,
  marked_duration_sequence bigint NOT NULL DEFAULT 0,
  cdr_epoch bigint NOT NULL,
  duration_epoch bigint NOT NULL,
  agreement_revision bigint NOT NULL,
  rule_version integer NOT NULL,
  reconciled_through timestamptz NOT NULL,
  update_time timestamptz NOT NULL
);

-- Minutes, by the corrected start of calls, that are to be matched anew.
CREATE TABLE reconcile_minute (
  carrier_id text NOT NULL,
  minute timestamptz NOT NULL,
  PRIMARY KEY (carrier_id, minute)
);

-- What the pairs of a trunk and hour of the carrier's clock say of its offset: buckets of votes.
CREATE TABLE clock_offset (
  carrier_id text NOT NULL,
  trunk_id text NOT NULL,
  hour timestamptz NOT NULL,
  votes jsonb NOT NULL,
  PRIMARY KEY (carrier_id, trunk_id, hour)
);
CREATE INDEX clock_offset_hour ON clock_offset (carrier_id, hour);

-- What the pairs of a trunk and day say of how the carrier rounds.
CREATE TABLE rounding_vote (
  carrier_id text NOT NULL,
  trunk_id text NOT NULL,
  day date NOT NULL,
  votes jsonb NOT NULL,
  PRIMARY KEY (carrier_id, trunk_id, day)
);

-- Closed periods of a customer's usage. Led by the customer, who may have numbers at several
-- carriers: only the platform's work reaches these.
CREATE TABLE usage_period (
  period_id text PRIMARY KEY,
  customer_id text NOT NULL,
  start_date date NOT NULL,
  end_date date NOT NULL,
  time_zone text NOT NULL,
  close_time timestamptz NOT NULL,
  closed_by text NOT NULL,
  restatement_number integer NOT NULL,
  checked_time timestamptz NOT NULL,
  completeness bytea NOT NULL,
  CHECK (start_date < end_date)
);
CREATE INDEX usage_period_customer ON usage_period (customer_id, start_date);

-- Its figures: as closed (restatement 0) and, of rows that a restatement changed, after it.
CREATE TABLE usage_line (
  period_id text NOT NULL,
  restatement_number integer NOT NULL,
  usage_date date NOT NULL,
  phone_number text COLLATE "C" NOT NULL,
  direction smallint NOT NULL,
  country_code text NOT NULL,
  carrier_id text NOT NULL,
  parts jsonb NOT NULL,
  PRIMARY KEY (period_id, usage_date, phone_number, direction, country_code, carrier_id, restatement_number)
);

CREATE TABLE usage_restatement (
  period_id text NOT NULL,
  restatement_number integer NOT NULL CHECK (restatement_number >= 1),
  record_time timestamptz NOT NULL,
  payload bytea NOT NULL,
  PRIMARY KEY (period_id, restatement_number)
);
`;

/** Tables of which a carrier's role sees its own rows. */
const OF_CARRIERS = ["call_result", "discrepancy_entry", "reconcile_position"];
/** Tables that only the platform's work reaches. */
const OF_THE_SYSTEM = [
  "reconcile_minute",
  "clock_offset",
  "rounding_vote",
  "usage_period",
  "usage_line",
  "usage_restatement",
];

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
  for (const table of [...OF_CARRIERS, ...OF_THE_SYSTEM]) {
    await sql.raw(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`).execute(db);
    await sql
      .raw(`CREATE POLICY system_sees_all ON ${table} TO tandem_system USING (true) WITH CHECK (true)`)
      .execute(db);
    await sql.raw(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO tandem_system`).execute(db);
  }
  for (const table of OF_CARRIERS) {
    const own = "carrier_id = current_setting('tandem.carrier_id', true)";
    await sql
      .raw(`CREATE POLICY carrier_sees_its_own ON ${table} TO tandem_carrier USING (${own}) WITH CHECK (${own})`)
      .execute(db);
    await sql.raw(`GRANT SELECT ON ${table} TO tandem_carrier`).execute(db);
  }
}
