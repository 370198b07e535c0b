import { type Kysely, sql } from "kysely";

// Every identity that is, or ever was, a carrier's: one that was taken from its carrier must never
// become the platform's. Rows are added and never changed, and the serving roles can do no more.

const TABLES = `
CREATE TABLE carrier_identity (
  identity text PRIMARY KEY,
  carrier_id text NOT NULL
);
ALTER TABLE carrier_identity ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_sees_all ON carrier_identity TO tandem_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON carrier_identity TO tandem_system;
`;

const REGISTERED_NOW = `
INSERT INTO carrier_identity (identity, carrier_id)
SELECT identity, carrier_id FROM carrier_credential`;

// What was removed before is known from the audit log, as far as that names it: a change of very
// many identities is told as their number.
const REGISTERED_BEFORE = `
INSERT INTO carrier_identity (identity, carrier_id)
SELECT DISTINCT ON (known.identity) known.identity, known.carrier_id
FROM (
  SELECT event.carrier_id, listed.identity
  FROM audit_event AS event
  CROSS JOIN LATERAL (
    SELECT event.details_json::jsonb -> 'credentials_added' AS added, event.details_json::jsonb -> 'credentials_removed' AS removed
  ) AS change
  CROSS JOIN LATERAL (
    SELECT jsonb_array_elements_text(CASE WHEN jsonb_typeof(added) = 'array' THEN added ELSE '[]' END) AS identity
    UNION ALL
    SELECT jsonb_array_elements_text(CASE WHEN jsonb_typeof(removed) = 'array' THEN removed ELSE '[]' END)
  ) AS listed
  WHERE event.resource = 'carrier/' || event.carrier_id AND event.outcome = 1
) AS known
ORDER BY known.identity, known.carrier_id
ON CONFLICT DO NOTHING`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
  await sql.raw(REGISTERED_NOW).execute(db);
  await sql.raw(REGISTERED_BEFORE).execute(db);
}
