import { sql } from "kysely";
import { run, type Tx } from "../../src/store/database/run.ts";
import type { StoredRow } from "../../src/store/reconciliation/call-result-columns.ts";

/** A row that a test writes into a table, after the type that the store reads from it. */
export type Columns<Row> = {
  [Name in keyof Row as undefined extends Row[Name] ? never : SnakeCase<Name>]: Written<Name, Row[Name]>;
} & {
  [Name in keyof Row as undefined extends Row[Name] ? SnakeCase<Name> : never]?: Written<Name, Row[Name]> | null;
};

type SnakeCase<Name> = Name extends `${infer Head}${infer Tail}`
  ? `${Head extends Lowercase<Head> ? Head : `_${Lowercase<Head>}`}${SnakeCase<Tail>}`
  : "";

/** Times are written as texts. */
type Written<Name, Value> = Name extends `${string}Time` | `${string}Through` ? string : Exclude<Value, undefined>;

/** A row of call_result. */
export type ResultRow = Columns<StoredRow> & {
  carrier_id: string;
  update_time: string;
  usage_customer_id?: string | null;
};

/** Inserts a row as it is; a column that is undefined gets its default. */
export async function insertRow(tx: Tx, table: string, row: object): Promise<void> {
  const columns = Object.entries(row).filter(([, value]) => value !== undefined);
  await run(tx)`
    INSERT INTO ${sql.table(table)} (${sql.join(columns.map(([name]) => sql.ref(name)))})
    VALUES (${sql.join(columns.map(([, value]) => value))})`;
}
