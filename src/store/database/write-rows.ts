import { type RawBuilder, sql } from "kysely";
import { insertAll, snakeCase, type Tx, unnest } from "./run.ts";

type Columns<Row extends object> = Parameters<typeof unnest<Row>>[2];

export interface Written<Row extends object> {
  readonly table: string;
  readonly carrierId: string;
  /** The columns that name a row besides the carrier. Absent: all rows are new. */
  readonly key?: readonly string[];
  readonly columns: Columns<Row>;
  /** What is stored of a parameter `r`, by column. Default: itself. */
  readonly stored?: Readonly<Record<string, RawBuilder<unknown>>>;
  /** What a row that is there gets, by column. Default: what is stored of a new one. */
  readonly changed?: Readonly<Record<string, RawBuilder<unknown>>>;
}

/** Writes rows of a carrier, new or changed. */
export async function writeRows<Row extends object>(tx: Tx, of: Written<Row>, rows: readonly Row[]): Promise<void> {
  if (rows.length > 0) await insertAll(tx, insertion(of, rows), rows.length);
}

/** The INSERT of rows of a carrier, new or changed. */
export function insertion<Row extends object>(
  { table, carrierId, key, columns, stored = {}, changed = {} }: Written<Row>,
  rows: readonly Row[],
): RawBuilder<unknown> {
  const names = Object.keys(columns).map(snakeCase);
  const set = names
    .filter((name) => !key?.includes(name))
    .map((name) => sql`${sql.raw(name)} = ${changed[name] ?? sql.raw(`EXCLUDED.${name}`)}`);
  const onConflict = key && sql`ON CONFLICT (carrier_id, ${sql.raw(key.join(", "))}) DO UPDATE SET ${sql.join(set)}`;
  return sql`
    INSERT INTO ${sql.table(table)} (carrier_id, ${sql.raw(names.join(", "))})
    SELECT c.carrier_id, ${sql.join(names.map((name) => stored[name] ?? sql.ref(`r.${name}`)))}
    FROM carrier c CROSS JOIN ${unnest("r", rows, columns)} WHERE c.carrier_id = ${carrierId}
    ${onConflict ?? sql``}`;
}
