import { type Kysely, sql } from "kysely";

// Frozen. A chain is taken by UPDATE of its head, after every other lock of a transaction. The
// application's roles can append to it: no right of theirs changes or removes an event, or forgets
// where a chain begins. Only retention does, with the owner's rights.

const TABLES = `
-- The head of each chain: a carrier's, or the platform's, whose carrier_id is ''.
CREATE TABLE audit_chain (
  carrier_id text PRIMARY KEY,
  first_sequence bigint NOT NULL,
  last_sequence bigint NOT NULL,
  last_hash bytea NOT NULL CHECK (octet_length(last_hash) = 32),
  last_event_time timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE audit_event (
  carrier_id text NOT NULL,
  sequence bigint NOT NULL,
  event_time timestamptz NOT NULL,
  actor text NOT NULL,
  method text NOT NULL,
  resource text NOT NULL,
  outcome smallint NOT NULL CHECK (outcome BETWEEN 1 AND 3),
  error_reason text,
  request_id text,
  changed_fields text[] NOT NULL,
  details_json text NOT NULL,
  previous_hash bytea NOT NULL,
  entry_hash bytea NOT NULL,
  PRIMARY KEY (carrier_id, sequence)
);
CREATE INDEX audit_event_time ON audit_event (carrier_id, event_time);

-- Whom the gaining carrier's chain names when the numbers arrive, which may be months later.
ALTER TABLE number_port ADD COLUMN ordered_by text;

INSERT INTO audit_chain (carrier_id, first_sequence, last_sequence, last_hash, last_event_time)
SELECT carrier_id, 1, 0, decode(repeat('00', 32), 'hex'), '1970-01-01T00:00:00Z'
FROM (SELECT '' AS carrier_id UNION ALL SELECT carrier_id FROM carrier) AS chain;

ALTER TABLE audit_chain ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY;
-- A setting that is not set reads as '' too, and must not be the platform.
CREATE POLICY carrier_sees_its_own ON audit_chain TO tandem_carrier
  USING (carrier_id = current_setting('tandem.carrier_id', true) AND carrier_id <> '')
  WITH CHECK (carrier_id = current_setting('tandem.carrier_id', true) AND carrier_id <> '');
CREATE POLICY carrier_appends_to_its_own ON audit_event FOR INSERT TO tandem_carrier
  WITH CHECK (carrier_id = current_setting('tandem.carrier_id', true) AND carrier_id <> '');
CREATE POLICY system_sees_all ON audit_chain TO tandem_system USING (true) WITH CHECK (true);
CREATE POLICY system_sees_all ON audit_event TO tandem_system USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (last_sequence, last_hash, last_event_time) ON audit_chain TO tandem_carrier, tandem_system;
GRANT INSERT ON audit_chain TO tandem_system;
GRANT INSERT ON audit_event TO tandem_carrier, tandem_system;
GRANT SELECT ON audit_event TO tandem_system;

-- What a carrier's transactions never do. They append records, and write over one only what a VOID
-- takes from the revision that it takes back.
REVOKE UPDATE, DELETE ON cdr_record, duration_record, cdr_quality, cdr_network, cdr_key, duration_key, number_entry, upload_batch, upload_reject
  FROM tandem_carrier;
GRANT UPDATE (call_id, invite_time, direction, phone_number, customer_id, trunk_id, dialog_call_id, correlation_id, quality_verdict)
  ON cdr_record TO tandem_carrier;
GRANT UPDATE (start_time, direction, phone_number, customer_id, part_index) ON duration_record TO tandem_carrier;
REVOKE DELETE ON request_log, phone_number, upload, cdr_consumer FROM tandem_carrier;
REVOKE INSERT, DELETE ON feed_head FROM tandem_carrier;
-- A carrier is never deleted, nor is a feed.
REVOKE DELETE ON carrier, feed_head, isolation_probe FROM tandem_system;
`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
}
