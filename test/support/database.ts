import { randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";

interface TestDatabase extends AsyncDisposable {
  readonly url: string;
}

/** An empty database on the run's server, dropped on dispose even if connections are still open. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  const url = new URL(inject("postgresUrl"));
  await runOnServer(`CREATE DATABASE ${name}`);
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
