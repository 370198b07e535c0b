import type pg from "pg";

/** A table of the schema that holds carriers' rows. */
export interface CarrierTable {
  readonly name: string;
  /** Every column, with a value that its type takes, written in SQL. */
  readonly columns: readonly { readonly name: string; readonly value: string }[];
  /** Whether the carrier role may read it at all. */
  readonly readable: boolean;
  /** Whether the carrier role may write it. */
  readonly writable: boolean;
}

/** Every table that has a carrier_id, from the catalogs, so that a new one cannot be forgotten. Partitions are left out. */
export async function listCarrierTables(client: pg.Pool | pg.Client): Promise<CarrierTable[]> {
  const { rows } = await client.query<{
    name: string;
    column: string;
    type: string;
    readable: boolean;
    writable: boolean;
  }>(`
    SELECT c.relname AS name, a.attname AS column, format_type(a.atttypid, NULL) AS type,
      has_table_privilege('tandem_carrier', c.oid, 'SELECT') AS readable,
      has_table_privilege('tandem_carrier', c.oid, 'INSERT') AS writable
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
    ORDER BY c.relname, a.attnum`);
  const tables = Map.groupBy(rows, (row) => row.name);
  return [...tables.values()]
    .filter((columns) => columns.some(({ column }) => column === "carrier_id"))
    .map((columns) => ({
      name: columns[0]?.name ?? "",
      columns: columns.map(({ column, type }) => ({ name: column, value: sampleValue(type) })),
      readable: columns[0]?.readable ?? false,
      writable: columns[0]?.writable ?? false,
    }));
}

/**
 * An INSERT of one row of a carrier. Where the carrier is not in the key (it decides between carriers), the row's text columns differ by carrier,
 * so that two carriers can have one each.
 */
export function insertRow(table: CarrierTable, carrierId: string): string {
  const values = table.columns.map(({ name, value }) => {
    if (name === "carrier_id") return `'${carrierId}'`;
    return value === "'x'" ? `'of ${carrierId}'` : value;
  });
  return `INSERT INTO ${table.name} (${table.columns.map(({ name }) => name).join(", ")}) VALUES (${values.join(", ")})`;
}

// Values that the schema's CHECK constraints take too.
function sampleValue(type: string): string {
  if (type.endsWith("[]")) return "'{}'";
  const value = VALUES[type];
  if (value === undefined) throw new Error(`no value for a column of type ${type}: add one here`);
  return value;
}

const VALUES: Readonly<Record<string, string>> = {
  text: "'x'",
  smallint: "1",
  integer: "1",
  bigint: "1",
  numeric: "1",
  "double precision": "1",
  boolean: "false",
  bytea: String.raw`'\x00'`,
  jsonb: "'{}'",
  uuid: "gen_random_uuid()",
  date: "current_date",
  "timestamp with time zone": "now()",
};
