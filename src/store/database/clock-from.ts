import { type RawBuilder, sql } from "kysely";

/**
 * The database's clock, read where a row lies, under its lock: for UPDATE, ON CONFLICT DO UPDATE
 * and their RETURNING. Elsewhere `clock_timestamp()` is right.
 * @param column a time of that row, NULL or not. What it holds does not matter.
 */
export function clockFrom(column: string): RawBuilder<string> {
  return sql<string>`clock_from(${sql.ref(column)})`;
}
