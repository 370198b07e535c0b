import { type Kysely, sql } from "kysely";

// Results are found by every id of their records, and not only while they are open: a record that
// comes later may share any of them.

const TABLES = `
ALTER TABLE call_result ADD COLUMN id_keys bigint[];
-- Looked up as often as it is written: nothing waits in a pending list.
CREATE INDEX call_result_ids ON call_result USING gin (id_keys) WITH (fastupdate = off) WHERE id_keys IS NOT NULL;
`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
}
