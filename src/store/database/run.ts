import { Kysely, PostgresDialect, type RawBuilder, sql } from "kysely";
import type pg from "pg";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { ARRAYS } from "./binary-array.ts";

/** What store functions take that must run inside a transaction: their only way to the database. */
export type Tx = Kysely<unknown> & { readonly [inTransaction]: true };
declare const inTransaction: unique symbol;

const transactions = new WeakMap<pg.PoolClient, Tx>();
const clients = new WeakMap<Tx, pg.PoolClient>();

/** The transaction on a connection: Kysely on this one, which it neither takes nor gives back. */
export function txOf(client: pg.PoolClient): Tx {
  const known = transactions.get(client);
  if (known) return known;
  const held = { query: client.query.bind(client), release: () => {} };
  // All that Kysely's dialect asks of a pool.
  const pool = { connect: async () => held, end: async () => {}, options: {} };
  const tx = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: pool as unknown as pg.Pool }) }) as Tx;
  transactions.set(client, tx);
  clients.set(tx, client);
  return tx;
}

/**
 * What a query found, with the names of columns in camelCase and undefined for NULL; and how many
 * rows it returned or wrote.
 */
export interface Answer<Row> {
  readonly rows: Row[];
  readonly count: number;
}

/** A text of SQL with its values, as a tagged template gives them. */
type Sql = [text: TemplateStringsArray, ...values: unknown[]];

/**
 * Runs a query, as `` run(tx)`UPDATE ...` `` or one that is made elsewhere. `readRows` and the
 * others below are for what a query finds.
 *
 * The call itself sends it. Queries that are sent before the first is answered run in the order of
 * their calls. Each sees what the ones before it did, and the database need not wait for us between
 * them. Wait for them with `together`.
 */
export function run(tx: Tx): <Row>(...query: Sql) => Promise<Answer<Row>>;
export function run<Row>(tx: Tx, query: RawBuilder<Row>): Promise<Answer<Row>>;
export function run(tx: Tx, query?: RawBuilder<unknown>) {
  return query ? send(tx, query) : (...text: Sql) => send(tx, sql(...text));
}

/**
 * Reads rows, as `` readRows(tx)<Row>`SELECT ...` ``.
 * @param make makes something of each row. Default: nothing.
 */
export function readRows(tx: Tx): <Row>(...query: Sql) => Promise<Row[]>;
export function readRows<Row, Made>(tx: Tx, make: (row: Row) => Made): (...query: Sql) => Promise<Made[]>;
export function readRows(tx: Tx, make?: (row: unknown) => unknown) {
  return async (...query: Sql) => {
    const { rows } = await send(tx, sql(...query));
    return make ? rows.map((row) => make(row)) : rows;
  };
}

/** Reads the first row; undefined: there is none. */
export function readRow(tx: Tx): <Row>(...query: Sql) => Promise<Row | undefined> {
  return async <Row>(...query: Sql) => (await readRows(tx)<Row>(...query))[0];
}

/** Reads the first column of every row. */
export function readColumn(tx: Tx) {
  return async <Value>(...query: Sql): Promise<Value[]> => {
    const rows = await readRows(tx)<object>(...query);
    return rows.map((row) => Object.values(row)[0]);
  };
}

/** Reads the first column of the first row. `Value` has undefined if there may be no row. */
export function readValue(tx: Tx) {
  return async <Value>(...query: Sql): Promise<Value> => (await readColumn(tx)<Value>(...query))[0] as Value;
}

async function send(tx: Tx, query: RawBuilder<unknown>): Promise<Answer<unknown>> {
  const client = clients.get(tx);
  if (!client) throw new Error("run: expected a transaction of this store");
  const { sql: text, parameters } = query.compile(tx);
  const answer = await client.query<unknown[]>({ text, values: parameters as unknown[], rowMode: "array" });
  // Several statements in one text are answered one by one: the last one counts.
  const found = [answer].flat().at(-1) ?? answer;
  const names = found.fields.map(({ name }) => camelCase(name));
  return { rows: found.rows.map((values) => rowOf(names, values)), count: found.rowCount ?? 0 };
}

function rowOf(names: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (let index = 0; index < names.length; index++) row[names[index] as string] = values[index] ?? undefined;
  return row;
}

function camelCase(name: string): string {
  const known = camelCases.get(name);
  if (known !== undefined) return known;
  const made = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  camelCases.set(name, made);
  return made;
}

export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** As many as the store's statements have names of columns. */
const camelCases = new Map<string, string>();

/** Waits until all are answered, then throws the first failure: it made the others fail. */
export async function together<const P extends readonly Promise<unknown>[]>(
  answers: P,
): Promise<{ -readonly [K in keyof P]: Awaited<P[K]> }> {
  await Promise.allSettled(answers);
  return Promise.all(answers) as Promise<{ -readonly [K in keyof P]: Awaited<P[K]> }>;
}

/** As the option `inOrder`, from here to the end of the transaction. */
export async function readInOrder(tx: Tx): Promise<void> {
  await run(tx)`SELECT set_config('enable_sort', 'off', true)`;
}

/** The database's clock, which all times of the store are by. */
export function readClock(tx: Tx): Promise<Micros> {
  return readValue(tx)<Micros>`SELECT clock_timestamp() AS now`;
}

/**
 * Sends an INSERT of so many rows. Rows from arrays are selected beside their carrier's row: `FROM
 * carrier c CROSS JOIN unnest(...) WHERE c.carrier_id = $1`. On a cluster, arrays alone would go by
 * COPY, which row-level security refuses; the carrier's row lies where they go. Nobody may delete a
 * carrier. If it were gone all the same, nothing would be written.
 * @throws Error when it wrote fewer.
 */
export async function insertAll(tx: Tx, query: RawBuilder<unknown>, count: number): Promise<void> {
  const written = await run(tx, query);
  if (written.count !== count)
    throw new Error(`an INSERT of ${count} rows wrote ${written.count}: the carrier does not exist`);
}

/** An instant as a value of a query; undefined: NULL. */
export function instant(time: Micros | undefined): RawBuilder<Micros> {
  return sql<Micros>`${time === undefined ? null : isoFromMicros(time)}::timestamptz`;
}

/** The condition that a column lies in `[start, end)`. */
export function inRange(
  column: RawBuilder<unknown>,
  { start, end }: { readonly start: Micros; readonly end: Micros },
): RawBuilder<boolean> {
  return sql<boolean>`${column} >= ${instant(start)} AND ${column} < ${instant(end)}`;
}

/** The day of an instant, in UTC. */
export function dayOf(time: Micros): RawBuilder<string> {
  return sql<string>`(${instant(time)} AT TIME ZONE 'UTC')::date`;
}

/** What a value of a column of each type is. */
export interface ValueOf {
  bool: boolean;
  bytea: Buffer;
  date: string;
  int2: number;
  int4: number;
  int8: bigint;
  text: string;
  timestamptz: Micros;
}

/** The types that a column of such values may have. */
type TypeOf<Value> = Value extends bigint
  ? "int8" | "timestamptz"
  : Value extends string
    ? "text" | "date"
    : Value extends number
      ? "int2" | "int4"
      : Value extends boolean
        ? "bool"
        : "bytea";

/**
 * Rows as a table of a query: `unnest(...) AS alias(columns)`. Each named property is a column, in
 * this order, with its name in snake_case; undefined is NULL.
 */
export function unnest<Row extends object>(
  alias: string,
  rows: readonly Row[],
  columns: { readonly [Name in keyof Row & string]?: TypeOf<NonNullable<Row[Name]>> },
): RawBuilder<unknown> {
  const named = Object.entries<keyof typeof ARRAYS>(columns as Record<string, keyof typeof ARRAYS>);
  const arrays = named.map(([name, type]) => {
    const values = rows.map((row) => row[name as keyof Row]);
    return sql`${ARRAYS[type](values as never)}::${sql.raw(type)}[]`;
  });
  const names = named.map(([name]) => snakeCase(name));
  return sql`unnest(${sql.join(arrays)}) AS ${sql.raw(`${alias}(${names.join(", ")})`)}`;
}
