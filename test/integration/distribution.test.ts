import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDatabase, systemTransaction } from "../../src/store/database/database.ts";
import { writeClockVotes } from "../../src/store/reconciliation/clock-offsets.ts";
import { DISTRIBUTION } from "../support/cluster-rules.ts";
import { createMigratedDatabase } from "../support/database.ts";

/** Keys in the way of a cluster: they are unique over all carriers. */
const KEYS_IN_THE_WAY = ["hold: hold_id"];

let database: Awaited<ReturnType<typeof createMigratedDatabase>>;
let client: pg.Client;
beforeAll(async () => {
  database = await createMigratedDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database[Symbol.asyncDispose]();
});

test("every table says how it is distributed on a cluster, and no other is named", async () => {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
       AND relnamespace = current_schema()::regnamespace AND relname NOT LIKE 'kysely%'`,
  );
  expect(rows.map(({ name }) => name).sort()).toEqual(Object.keys(DISTRIBUTION).sort());
});

test("a distributed table has its column in every row and in every key", async () => {
  const missing: string[] = [];
  for (const [table, column] of Object.entries(DISTRIBUTION)) {
    if (column === "reference" || column === "local") continue;
    const { rows } = await client.query<{ set: boolean; keys: { name: string; columns: string[] }[] | null }>(
      `SELECT COALESCE((SELECT attnotnull FROM pg_attribute WHERE attrelid = c.oid AND attname = $2), false) AS set,
         (SELECT json_agg(json_build_object('name', i.indexrelid::regclass::text, 'columns', (
            SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey))))
          FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique) AS keys
       FROM pg_class c WHERE c.relname = $1 AND c.relnamespace = current_schema()::regnamespace`,
      [table, column],
    );
    if (!rows[0]?.set) missing.push(`${table} has no ${column} in every row`);
    for (const { name, columns } of rows[0]?.keys ?? [])
      if (!columns.includes(column)) missing.push(`${table}: ${name}`);
  }
  expect(missing).toEqual(KEYS_IN_THE_WAY);
});

test("rows of a carrier that is not there are not left out in silence", async () => {
  await using db = openDatabase({ url: database.url });
  const votes = [{ trunkId: "trunk-1", hour: 0n, votes: { "0": 1 } }];
  await expect(systemTransaction(db, (tx) => writeClockVotes(tx, "nobody", votes))).rejects.toThrow(
    "an INSERT of 1 rows wrote 0",
  );
});
