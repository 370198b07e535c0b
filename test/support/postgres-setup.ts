// One PostgreSQL for the whole run; test/support/database.ts gives each test file a database of its
// own in it.
import { randomBytes } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import type { TestProject } from "vitest/node";
import { openDatabase } from "../../src/store/database/database.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import { startEmbeddedPostgres } from "../../src/store/postgres/embedded-postgres.ts";
import { makeRunFolder } from "./run-folder.ts";
import { makeWidePartitions } from "./wide-partitions.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** As an administrator, who may make databases. */
    postgresUrl: string;
    /** A database of the newest schema, to copy. */
    postgresTemplate: string;
    /**
     * Who owns what is in it, and serves: a login as docs/operations.md has it, which is no
     * superuser.
     */
    postgresLogin: { user: string; password: string };
  }
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  await using opening = new AsyncDisposableStack();
  opening.use(await makeRunFolder());
  const url = process.env["TANDEM_TEST_DATABASE_URL"] ?? (await startServer(opening));
  const login = { user: `tandem_test_${randomBytes(6).toString("hex")}`, password: randomBytes(12).toString("hex") };
  project.provide("postgresUrl", url);
  project.provide("postgresLogin", login);
  project.provide("postgresTemplate", await makeTemplate(url, login, opening));
  const opened = opening.move();
  return () => opened.disposeAsync();
}

async function startServer(closers: AsyncDisposableStack): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), "tandem-test-"));
  const { adminUrl } = closers.use(await startEmbeddedPostgres({ dataDir, ephemeral: true }));
  // Nobody waits for a crash of this server, and no test for the vacuum: both only take time.
  await runOn(adminUrl, [
    "ALTER SYSTEM SET autovacuum = off",
    "ALTER SYSTEM SET checkpoint_timeout = '1h'",
    "ALTER SYSTEM SET max_wal_size = '4GB'",
    // Tests open connections by the thousand, and each proves its password anew.
    "ALTER SYSTEM SET scram_iterations = 1",
    "SELECT pg_reload_conf()",
  ]);
  return adminUrl;
}

async function makeTemplate(
  serverUrl: string,
  { user, password }: { user: string; password: string },
  closers: AsyncDisposableStack,
): Promise<string> {
  const name = `template_${randomBytes(6).toString("hex")}`;
  const url = new URL(serverUrl);
  await runOn(serverUrl, [
    ...["tandem_carrier", "tandem_system"].map(createRole),
    `CREATE ROLE ${user} LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS PASSWORD '${password}'`,
    `GRANT tandem_carrier, tandem_system TO ${user}`,
    `CREATE DATABASE ${name}`,
  ]);
  closers.defer(() => runOn(serverUrl, [`DROP DATABASE ${name} WITH (FORCE)`, `DROP ROLE ${user}`]));
  url.pathname = `/${name}`;
  await runOn(url.href, [
    `GRANT USAGE, CREATE ON SCHEMA public TO ${user}`,
    "GRANT USAGE ON SCHEMA public TO tandem_carrier, tandem_system",
  ]);
  [url.username, url.password] = [user, password];
  await using db = openDatabase({ url: url.href });
  await migrate(db, makeWidePartitions);
  return name;
}

// Where another run, or Tandem itself, has made it, it is as it should be.
function createRole(role: string): string {
  return `DO $$ BEGIN CREATE ROLE ${role} NOLOGIN NOINHERIT; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`;
}

async function runOn(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
