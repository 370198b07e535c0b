// Writes src/store/database/schema.sql from the catalogs of a database that the migrations have
// just made: `npm run schema:dump`, after every change of one. test/integration/schema.test.ts
// fails until it is done.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "../src/store/database/database.ts";
import { migrate } from "../src/store/database/migrate.ts";
import { startEmbeddedPostgres } from "../src/store/postgres/embedded-postgres.ts";
import { readSchemaText } from "./schema-text.ts";

const path = new URL("../src/store/database/schema.sql", import.meta.url);
const dataDir = await mkdtemp(join(tmpdir(), "tandem-schema-"));
try {
  await using postgres = await startEmbeddedPostgres({ dataDir, ephemeral: true });
  await using db = openDatabase({ url: postgres.url });
  await migrate(db);
  await writeFile(path, await readSchemaText(db.pool));
  console.log(`wrote ${path.pathname}`);
} finally {
  await rm(dataDir, { recursive: true, force: true });
}
