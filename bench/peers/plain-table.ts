import type { BenchWorld } from "../world.ts";

/** The tables of peers that write to PostgreSQL themselves. */
export const INSERT_EACH = "peer_insert_each";
export const COPIED = "peer_copied";

/** The columns of both, in their order: what such a service would keep of a duration. */
export const PLAIN_COLUMNS = [
  "record_id text",
  "record_date date",
  "calling text",
  "called text",
  "invite_time timestamptz",
  "answer_time timestamptz",
  "end_time timestamptz",
  "connected_ms int8",
  "payload bytea",
] as const;

/** Makes both tables, each with a primary key and nothing else. */
export async function createPlainTables({ app }: BenchWorld): Promise<void> {
  const { pool } = app.services.db;
  for (const table of [INSERT_EACH, COPIED])
    await pool.query(`CREATE TABLE ${table} (${PLAIN_COLUMNS.join(", ")}, PRIMARY KEY (record_date, record_id))`);
}

/** Empties one of them. */
export async function emptyPlainTable({ app }: BenchWorld, table: string): Promise<void> {
  await app.services.db.pool.query(`TRUNCATE ${table}`);
}

/** How many rows one of them has. */
export async function countPlainRows({ app }: BenchWorld, table: string): Promise<number> {
  const { rows } = await app.services.db.pool.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`);
  return Number(rows[0]?.n);
}
