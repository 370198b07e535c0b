import { randomBytes, randomUUID } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";
import { type Database, openDatabase } from "../../src/store/database/database.ts";
import { makeWeeklyPartitions } from "./wide-partitions.ts";

interface TestDatabase extends AsyncDisposable {
  readonly url: string;
}

/** An empty database on the run's server, dropped on dispose even if connections are still open. */
export function createTestDatabase(): Promise<TestDatabase> {
  return createDatabase("");
}

/** What a migrated database is like. */
export interface DatabaseOptions {
  /**
   * "weekly": 150, as every server has them; for tests of plans and of what partitions go through.
   * Default: "wide", three a table.
   */
  readonly partitions?: "wide" | "weekly";
}

/**
 * One with the newest schema and its partitions, copied from the run's template: sooner there than
 * by migrating. Its URL is that of a login as a server has it: no superuser, and bound by row
 * security.
 */
export async function createMigratedDatabase({ partitions = "wide" }: DatabaseOptions = {}): Promise<TestDatabase> {
  const database = await createDatabase(`TEMPLATE ${inject("postgresTemplate")} STRATEGY FILE_COPY`);
  const url = new URL(database.url);
  const login = inject("postgresLogin");
  [url.username, url.password] = [login.user, login.password];
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    // An installation of its own, as if it had been migrated here.
    await client.query("UPDATE installation SET installation_id = $1, secret = $2", [randomUUID(), randomBytes(32)]);
    await client.query("UPDATE seal_key SET secret = $1", [randomBytes(32)]);
  } finally {
    await client.end();
  }
  if (partitions === "weekly") {
    await using db = openDatabase({ url: url.href });
    await makeWeeklyPartitions(db);
  }
  return { url: url.href, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
}

/** The same, opened. Its commits do not wait for the disk: for tests in which no server crashes. */
export async function openTestStore(options?: DatabaseOptions): Promise<AsyncDisposable & { readonly db: Database }> {
  await using opening = new AsyncDisposableStack();
  const { url } = opening.use(await createMigratedDatabase(options));
  const db = opening.use(openDatabase({ url, synchronousCommit: "off" }));
  const opened = opening.move();
  return { db, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

async function createDatabase(options: string): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  const url = new URL(inject("postgresUrl"));
  await runOnServer(`CREATE DATABASE ${name} ${options}`);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    [Symbol.asyncDispose]: () => runOnServer(`DROP DATABASE ${name} WITH (FORCE)`),
  };
}

async function runOnServer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject("postgresUrl") });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
