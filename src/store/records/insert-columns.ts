import { type RawBuilder, sql } from "kysely";
import { ARRAYS } from "../database/binary-array.ts";
import { insertAll, type Tx } from "../database/run.ts";

/** A column of an INSERT: one value for each row, or one for all. */
export interface Column {
  readonly name: string;
  readonly value: RawBuilder<unknown>;
}

type Type = keyof typeof ARRAYS;

/** The name, the type and the reading of a column with a value for each row. */
export type ColumnOf<Row> = {
  [T in Type]: readonly [name: string, type: T, read: (row: Row) => Parameters<(typeof ARRAYS)[T]>[0][number]];
}[Type];

/** Columns with a value for each row, each of which goes as one binary array. */
export function columnsOf<Row>(rows: readonly Row[], columns: readonly ColumnOf<Row>[]): Column[] {
  return columns.map(([name, type, read]) => {
    const values = rows.map(read as (row: Row) => unknown);
    const array = (ARRAYS[type] as (values: readonly unknown[]) => Buffer)(values);
    return { name, value: sql`unnest(${array}::${sql.raw(type)}[])` };
  });
}

/**
 * Inserts a carrier's rows from columns, as `insertAll` wants it. See bench/RESULTS.md for the
 * strategies that were compared.
 */
export async function insertColumns(
  tx: Tx,
  table: string,
  carrierId: string,
  columns: readonly Column[],
  count: number,
): Promise<void> {
  const query = sql`
    INSERT INTO ${sql.table(table)} (carrier_id, ${sql.join(columns.map(({ name }) => sql.ref(name)))})
    SELECT c.carrier_id, ${sql.join(columns.map(({ value }) => value))} FROM carrier c WHERE c.carrier_id = ${carrierId}`;
  await insertAll(tx, query, count);
}
