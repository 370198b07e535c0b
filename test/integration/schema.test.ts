import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { readSchemaText } from "../../scripts/schema-text.ts";
import { openDatabase } from "../../src/store/database/database.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import { createTestDatabase } from "../support/database.ts";

test("the migrated schema is the one that is committed: `npm run schema:dump` writes it anew", async () => {
  await using database = await createTestDatabase();
  await using db = openDatabase({ url: database.url });
  await migrate(db);
  const committed = await readFile(new URL("../../src/store/database/schema.sql", import.meta.url), "utf8");
  expect(await readSchemaText(db.pool)).toBe(committed);
});

test("a change of a column, an index, a policy or a grant shows in the text of the schema", async () => {
  await using database = await createTestDatabase();
  await using db = openDatabase({ url: database.url });
  await migrate(db);
  let before = await readSchemaText(db.pool);
  for (const change of [
    "ALTER TABLE upload ALTER COLUMN seal_time SET NOT NULL",
    'ALTER TABLE cdr_record ALTER COLUMN trunk_id TYPE text COLLATE "C"',
    "ALTER TABLE feed_head SET (fillfactor = 70)",
    "ALTER TABLE feed_head DROP CONSTRAINT feed_head_feed_check",
    "DROP INDEX cdr_record_call",
    "ALTER TABLE cdr_consumer DISABLE ROW LEVEL SECURITY",
    "ALTER POLICY carrier_sees_its_own ON cdr_record USING (true)",
    "GRANT TRUNCATE ON upload TO tandem_carrier",
    "GRANT SELECT (secret) ON installation TO PUBLIC",
    "CREATE FUNCTION surprise() RETURNS int LANGUAGE sql AS 'SELECT 1'",
  ]) {
    await db.pool.query(change);
    const after = await readSchemaText(db.pool);
    expect(after, change).not.toBe(before);
    before = after;
  }
});

test("docs/tables.md has every table, and names no column that is not there", async () => {
  const schema = await readFile(new URL("../../src/store/database/schema.sql", import.meta.url), "utf8");
  const page = await readFile(new URL("../../docs/tables.md", import.meta.url), "utf8");
  const tables = new Map(
    [...schema.matchAll(/^CREATE TABLE (\w+) \((.*?)^\)/gms)].map(([, name = "", columns = ""]) => [
      name,
      new Set([...columns.matchAll(/^ {2}(\w+) /gm)].map(([, column]) => column)),
    ]),
  );
  const described = page.split("\n").flatMap((line) => {
    const [, names = "", , words = ""] = line.split("|");
    // What stands before a colon.
    const columns = words.split("; ").flatMap((part) => (part.includes(":") ? namesIn(part.split(":")[0] ?? "") : []));
    return line.startsWith("| `") ? [{ names: namesIn(names), columns }] : [];
  });
  const names = described.flatMap((row) => row.names);
  expect(names.filter((name) => tables.has(name)).toSorted()).toEqual([...tables.keys()].toSorted());
  const ofResults = names.filter((name) => !tables.has(name));
  for (const { names, columns } of [...described, { names: ["call_result"], columns: ofResults }])
    for (const name of names)
      expect(
        columns.filter((column) => !tables.get(name)?.has(column)),
        name,
      ).toEqual([]);
});

function namesIn(text: string): string[] {
  return [...text.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name);
}
