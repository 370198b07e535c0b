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
