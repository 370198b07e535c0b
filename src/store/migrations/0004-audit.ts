import { type Kysely, sql } from "kysely";

const TABLES = `
SELECT 1;
`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
}
