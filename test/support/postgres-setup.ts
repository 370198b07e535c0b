// One PostgreSQL for the whole run; test/support/database.ts gives each test file a database of its own in it.
import { randomBytes } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import type { TestProject } from "vitest/node";
import { openDatabase } from "../../src/store/database.ts";
import { startEmbeddedPostgres } from "../../src/store/embedded-postgres.ts";
import { migrate } from "../../src/store/migrate.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgresUrl: string;
    /** A database of the newest schema, to copy. */
    postgresTemplate: string;
  }
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  await using opening = new AsyncDisposableStack();
  const url = process.env["TANDEM_TEST_DATABASE_URL"] ?? (await startServer(opening));
  project.provide("postgresUrl", url);
  project.provide("postgresTemplate", await makeTemplate(url, opening));
  const opened = opening.move();
  return () => opened.disposeAsync();
}

async function startServer(closers: AsyncDisposableStack): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), "tandem-test-"));
  return closers.use(await startEmbeddedPostgres({ dataDir, ephemeral: true })).url;
}

async function makeTemplate(serverUrl: string, closers: AsyncDisposableStack): Promise<string> {
  const name = `template_${randomBytes(6).toString("hex")}`;
  const runOnServer = async (statement: string) => {
    const client = new pg.Client({ connectionString: serverUrl });
    await client.connect();
    await client.query(statement).finally(() => client.end());
  };
  await runOnServer(`CREATE DATABASE ${name}`);
  closers.defer(() => runOnServer(`DROP DATABASE ${name} WITH (FORCE)`));
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await using db = openDatabase({ url: url.href });
  await migrate(db);
  return name;
}
