// One PostgreSQL for the whole run; test/support/database.ts gives each test file a database of its own in it.
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startEmbeddedPostgres } from "../../src/store/embedded-postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgresUrl: string;
  }
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const givenUrl = process.env["TANDEM_TEST_DATABASE_URL"];
  if (givenUrl) {
    project.provide("postgresUrl", givenUrl);
    return async () => {};
  }
  const dataDir = await mkdtemp(join(tmpdir(), "tandem-test-"));
  const server = await startEmbeddedPostgres({ dataDir, ephemeral: true });
  project.provide("postgresUrl", server.url);
  return async () => await server[Symbol.asyncDispose]();
}
