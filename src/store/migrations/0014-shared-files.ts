import { type Kysely, sql } from "kysely";

// Frozen. By what the files are known that every process on this database must have, and that the
// database must not hold.

const STATEMENTS = [
  // As a seal key: the system role may read it, and only the owner changes it. No carrier has a
  // part in it.
  `CREATE TABLE shared_file (
    file text PRIMARY KEY CHECK (file IN ('erasure-key', 'erasure-journal', 'signing-key')),
    fingerprint text NOT NULL,
    agree_time timestamptz NOT NULL
  )`,
  "ALTER TABLE shared_file ENABLE ROW LEVEL SECURITY",
  "CREATE POLICY system_sees_all ON shared_file FOR SELECT TO tandem_system USING (true)",
  "GRANT SELECT ON shared_file TO tandem_system",
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
