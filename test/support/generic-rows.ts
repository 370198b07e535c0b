import type pg from "pg";

/** A column, with a value that its type takes, written in SQL. */
export interface CarrierColumn {
  readonly name: string;
  readonly value: string;
  /** Whether the carrier role may read it. */
  readonly readable: boolean;
  /** Whether the carrier role may change it. */
  readonly updatable: boolean;
}

/** A table of the schema that holds carriers' rows. */
export interface CarrierTable {
  readonly name: string;
  /** Every column that is not computed. */
  readonly columns: readonly CarrierColumn[];
  /** Whether the carrier role may read any of it. */
  readonly readable: boolean;
  /** Whether the carrier role may add rows. */
  readonly insertable: boolean;
  /** Whether the carrier role may change any column. */
  readonly updatable: boolean;
  /** Whether the carrier role may delete rows. */
  readonly deletable: boolean;
}

/**
 * Every table that has a carrier_id, from the catalogs, so that a new one cannot be forgotten.
 * Partitions are left out.
 */
export async function listCarrierTables(client: pg.Pool | pg.Client): Promise<CarrierTable[]> {
  const { rows } = await client.query<
    Omit<CarrierColumn, "value"> & { table: string; type: string; insertable: boolean; deletable: boolean }
  >(`
    SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, NULL) AS type,
      has_column_privilege('tandem_carrier', c.oid, a.attnum, 'SELECT') AS readable,
      has_column_privilege('tandem_carrier', c.oid, a.attnum, 'UPDATE') AS updatable,
      has_any_column_privilege('tandem_carrier', c.oid, 'INSERT') AS insertable,
      has_table_privilege('tandem_carrier', c.oid, 'DELETE') AS deletable
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
    ORDER BY c.relname, a.attnum`);
  const tables = Map.groupBy(rows, (row) => row.table);
  return [...tables]
    .filter(([, columns]) => columns.some(({ name }) => name === "carrier_id"))
    .map(([name, columns]) => ({
      name,
      columns: columns.map((column) => ({ ...column, value: sampleValue(column.type) })),
      readable: columns.some(({ readable }) => readable),
      insertable: columns.some(({ insertable }) => insertable),
      updatable: columns.some(({ updatable }) => updatable),
      deletable: columns.some(({ deletable }) => deletable),
    }));
}

/**
 * An INSERT of one row of a carrier. Where the carrier is not in the key (it decides between
 * carriers), the row's text columns differ by carrier, so that two carriers can have one each.
 */
export function insertRow(table: CarrierTable, carrierId: string): string {
  const values = table.columns.map(({ name, value }) => {
    if (name === "carrier_id") return `'${carrierId}'`;
    return value === "'x'" ? `'of ${carrierId}'` : value;
  });
  return `INSERT INTO ${table.name} (${table.columns.map(({ name }) => name).join(", ")}) VALUES (${values.join(", ")})`;
}

/** A SELECT of all that the carrier role may read. */
export function selectRows({ name, columns }: CarrierTable): string {
  const readable = columns.filter((column) => column.readable);
  return `SELECT ${readable.map((column) => column.name).join(", ")} FROM ${name}`;
}

/** Takes away the checks of a test's own database, which rows that mean nothing need not pass. */
export async function dropChecks(client: pg.Pool | pg.Client): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(`
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS statement
    FROM pg_constraint WHERE contype IN ('c', 'f') AND conparentid = 0 AND connamespace = current_schema()::regnamespace`);
  for (const { statement } of rows) await client.query(statement);
}

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
