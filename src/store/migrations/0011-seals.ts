import { type Kysely, sql } from "kysely";

// Frozen. Two things that nobody but the owner may turn back: the keys that cursors and page tokens
// are sealed with, and where each audit chain ends.

const STATEMENTS = [
  // As the installation's secret: the system role may read it, and only the owner changes it. No
  // carrier has a part in it.
  `CREATE TABLE seal_key (
    key_id bigint PRIMARY KEY CHECK (key_id BETWEEN 1 AND 4294967295),
    secret bytea NOT NULL CHECK (octet_length(secret) = 32),
    create_time timestamptz NOT NULL,
    retire_time timestamptz
  )`,
  // At most one key seals.
  "CREATE UNIQUE INDEX seal_key_current ON seal_key ((true)) WHERE retire_time IS NULL",
  "ALTER TABLE seal_key ENABLE ROW LEVEL SECURITY",
  "CREATE POLICY system_sees_all ON seal_key FOR SELECT TO tandem_system USING (true)",
  "GRANT SELECT ON seal_key TO tandem_system",

  // The heads of the audit chains, one for each event: the highest of a chain is its end. The
  // application's roles append them, and change none.
  `CREATE TABLE audit_head (
    carrier_id text NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    entry_hash bytea NOT NULL CHECK (octet_length(entry_hash) = 32),
    event_time timestamptz NOT NULL,
    PRIMARY KEY (carrier_id, sequence)
  )`,
  "ALTER TABLE audit_head ENABLE ROW LEVEL SECURITY",
  `CREATE POLICY carrier_sees_its_own ON audit_head TO tandem_carrier
    USING (carrier_id = current_setting('tandem.carrier_id', true) AND carrier_id <> '')
    WITH CHECK (carrier_id = current_setting('tandem.carrier_id', true) AND carrier_id <> '')`,
  "CREATE POLICY system_sees_all ON audit_head TO tandem_system USING (true) WITH CHECK (true)",
  "GRANT SELECT, INSERT ON audit_head TO tandem_carrier, tandem_system",
  `INSERT INTO audit_head (carrier_id, sequence, entry_hash, event_time)
    SELECT carrier_id, last_sequence, last_hash, last_event_time FROM audit_chain WHERE last_sequence > 0`,
  // A chain is still taken by UPDATE of its row, so that one appends at a time; what is written
  // there says nothing.
  "ALTER TABLE audit_chain ADD COLUMN turns bigint NOT NULL DEFAULT 0",
  "ALTER TABLE audit_chain DROP COLUMN last_sequence, DROP COLUMN last_hash, DROP COLUMN last_event_time",
  "GRANT UPDATE (turns) ON audit_chain TO tandem_carrier, tandem_system",
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
