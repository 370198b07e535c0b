import { type Kysely, sql } from "kysely";

// Who may have received which records. Rows are added and never taken away; a block of a feed is
// open until through_sequence says what was sent of (after_sequence, reserved_through], which can
// be no more than what was reserved.

const TABLES = `
CREATE TABLE disclosure (
  carrier_id text NOT NULL,
  disclosure_id uuid NOT NULL,
  commit_time timestamptz NOT NULL,
  recipient_kind smallint NOT NULL CHECK (recipient_kind IN (1, 2)),
  credential_id text NOT NULL,
  method text NOT NULL,
  kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 4),
  session_id text,
  filter_json text NOT NULL CHECK (char_length(filter_json) <= 4096),
  -- An erasure looks for hashes of numbers in these only.
  filter_has_number boolean NOT NULL,
  record_parts smallint[] NOT NULL,
  masked boolean NOT NULL,
  feed smallint CHECK (feed BETWEEN 1 AND 3),
  feed_epoch bigint,
  after_sequence bigint,
  reserved_through bigint,
  through_sequence bigint,
  side smallint CHECK (side BETWEEN 0 AND 2),
  record_ids text[],
  record_dates date[],
  revisions integer[],
  -- Of each record: carrier, side, id and day, hashed. What is asked for by record.
  record_keys bigint[],
  record_count integer NOT NULL CHECK (record_count BETWEEN 0 AND 10000),
  first_record_date date NOT NULL,
  last_record_date date NOT NULL CHECK (last_record_date >= first_record_date),
  -- How wide the dates are: a row of class n that overlaps a day begins less than 8, 64, 512 days
  -- before it, so an index finds it.
  span_class smallint NOT NULL GENERATED ALWAYS AS (
    CASE WHEN last_record_date - first_record_date < 8 THEN 1
         WHEN last_record_date - first_record_date < 64 THEN 2
         WHEN last_record_date - first_record_date < 512 THEN 3
         ELSE 4 END) STORED,
  purpose smallint NOT NULL,
  legal_basis smallint NOT NULL,
  privacy_statement_version text NOT NULL,
  PRIMARY KEY (carrier_id, disclosure_id),
  CHECK ((kind = 1) = (feed IS NOT NULL)),
  CHECK (feed IS NULL OR (feed_epoch IS NOT NULL AND after_sequence IS NOT NULL AND reserved_through > after_sequence
    AND reserved_through <= after_sequence + 10000 AND record_keys IS NULL)),
  CHECK (feed IS NOT NULL OR (through_sequence IS NULL AND side IS NOT NULL AND record_count > 0 AND cardinality(record_keys) = record_count
    AND cardinality(record_ids) = record_count AND cardinality(record_dates) = record_count AND cardinality(revisions) = record_count)),
  CHECK (through_sequence BETWEEN after_sequence AND reserved_through)
);
CREATE INDEX disclosure_commit_time ON disclosure (carrier_id, commit_time, disclosure_id);
CREATE INDEX disclosure_block ON disclosure (carrier_id, feed, after_sequence) WHERE feed IS NOT NULL;
CREATE INDEX disclosure_open ON disclosure (carrier_id, commit_time) WHERE feed IS NOT NULL AND through_sequence IS NULL;
CREATE INDEX disclosure_dates ON disclosure (carrier_id, span_class, first_record_date);
CREATE INDEX disclosure_numbered ON disclosure (carrier_id, commit_time) WHERE filter_has_number;
-- A short list of what is pending: no one insert pays for many.
CREATE INDEX disclosure_record ON disclosure USING gin (record_keys) WITH (gin_pending_list_limit = 256);

ALTER TABLE disclosure ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON disclosure FOR SELECT TO tandem_system USING (true);
CREATE POLICY system_closes_open_blocks ON disclosure FOR UPDATE TO tandem_system
  USING (feed IS NOT NULL AND through_sequence IS NULL) WITH CHECK (true);
GRANT SELECT ON disclosure TO tandem_system;
GRANT UPDATE (through_sequence, record_count, first_record_date, last_record_date) ON disclosure TO tandem_system;

-- Writing is one carrier's at a time, so only the carriers' role may. It reads no more of the log
-- than names the row that it closes.
CREATE POLICY carrier_adds_its_own ON disclosure FOR INSERT TO tandem_carrier
  WITH CHECK (carrier_id = current_setting('tandem.carrier_id', true));
CREATE POLICY carrier_finds_its_own ON disclosure FOR SELECT TO tandem_carrier
  USING (carrier_id = current_setting('tandem.carrier_id', true));
CREATE POLICY carrier_closes_its_open_blocks ON disclosure FOR UPDATE TO tandem_carrier
  USING (carrier_id = current_setting('tandem.carrier_id', true) AND feed IS NOT NULL AND through_sequence IS NULL)
  WITH CHECK (carrier_id = current_setting('tandem.carrier_id', true));
GRANT INSERT ON disclosure TO tandem_carrier;
GRANT SELECT (carrier_id, disclosure_id) ON disclosure TO tandem_carrier;
GRANT UPDATE (through_sequence, record_count, first_record_date, last_record_date) ON disclosure TO tandem_carrier;
`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
}
