import { sql } from "kysely";
import { type Database, ownerTransaction } from "./database.ts";
import { readRows, readValue, run } from "./run.ts";

/** How many columns are set in one transaction. */
const BATCH = 64;

/**
 * Lets PostgreSQL gather no statistics of which carriers a table has. It would assume that a
 * carrier which they lack has no rows. Then every index that begins with the carrier costs the
 * same, and it may take any. Without statistics it assumes that each carrier has a small part of
 * the table, so looking up the whole key is always cheaper. PostgreSQL 18 and later can forget
 * existing statistics; on older servers they stay. May run in several processes at once.
 */
export async function leaveCarriersOut(db: Database): Promise<void> {
  const statements = await listStatements(db);
  for (let start = 0; start < statements.length; start += BATCH) {
    await ownerTransaction(db, async (tx) => {
      for (const statement of statements.slice(start, start + BATCH)) await run(tx, sql.raw(statement));
    });
  }
}

async function listStatements(db: Database): Promise<string[]> {
  return ownerTransaction(db, async (tx) => {
    const canForget = await readValue(tx)<boolean>`
      SELECT to_regproc('pg_catalog.pg_clear_attribute_stats') IS NOT NULL AS "canForget"`;
    const rows = await readRows(tx)<{ statement: string; forget: string; gathered: boolean }>`
      SELECT format('ALTER TABLE %I ALTER COLUMN carrier_id SET STATISTICS 0', c.relname) AS statement,
        format('SELECT pg_clear_attribute_stats(%L, %L, %L, false)', s.schemaname, s.tablename, s.attname) AS forget,
        s.attname IS NOT NULL AS gathered
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'carrier_id' AND NOT a.attisdropped
      LEFT JOIN pg_stats s ON s.schemaname = current_schema() AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
      WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND COALESCE(a.attstattarget, -1) <> 0
        AND (s.attname IS NULL OR ${canForget})`;
    return rows.flatMap(({ statement, forget, gathered }) => (gathered ? [statement, forget] : [statement]));
  });
}
