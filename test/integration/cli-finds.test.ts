import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli, spawnCli } from "../support/cli.ts";
import { createTestDatabase } from "../support/database.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("alpha");
});

afterAll(() => exchange?.[Symbol.asyncDispose]());

test.each([
  [["verify"], "no PostgreSQL of Tandem", "tandem migrate"],
  [["epoch", "rotate", "--yes"], "no PostgreSQL of Tandem", "tandem migrate"],
  [["keys", "list"], "no PostgreSQL of Tandem", "tandem migrate"],
  [["keys", "rotate"], "no PostgreSQL of Tandem", "tandem migrate"],
  [["token", "--platform"], "no signing key", "tandem serve"],
  [["token", "rotate"], "no signing key", "tandem serve"],
  [["token", "revoke", "--subject", "alpha"], "is not the data folder of a server", "tandem serve"],
  [["carriers", "list"], "no signing key", "tandem serve"],
])(
  "`tandem %s` in an empty folder creates nothing, and says what is missing, where, and what makes it",
  async (args, missing, maker) => {
    await using folder = await makeFolder();
    for (const dataDir of [folder.path, join(folder.path, "absent")]) {
      const { code, stdout, stderr } = await runCli(args, { TANDEM_DATA_DIR: dataDir });
      expect([code, stdout]).toEqual([1, ""]);
      for (const said of [missing, dataDir, maker]) expect(stderr).toContain(said);
    }
    expect(await readdir(folder.path)).toEqual([]);
  },
);

test.each([[["verify"]], [["epoch", "rotate", "--yes"]], [["keys", "list"]]])(
  "`tandem %s` on a database without Tandem's schema leaves it so, and says which command makes it",
  async (args) => {
    await using empty = await createTestDatabase();
    const { code, stdout, stderr } = await runCli(args, { TANDEM_DATABASE_URL: empty.url });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(new URL(empty.url).pathname.slice(1));
    expect(stderr).toContain("tandem migrate");
    // It has not been made since either.
    const again = await runCli(["migrate"], { TANDEM_DATABASE_URL: empty.url });
    expect(again.stdout).toContain("Applied 0001-exchange");
  },
);

test("a revocation goes only to a file that is there", async () => {
  await using folder = await makeFolder();
  const file = join(folder.path, "revoked");
  const { code, stderr } = await runCli(["token", "revoke", "--subject", "alpha"], { TANDEM_REVOKED_FILE: file });
  expect(code).toBe(1);
  expect(stderr).toContain(file);
  expect(await readdir(folder.path)).toEqual([]);
});

test("every command says on standard error which database, server and key it used", async () => {
  // In processes of their own, which end by themselves.
  const database = new URL(exchange.databaseUrl);
  const onDatabase = { TANDEM_DATABASE_URL: exchange.databaseUrl };
  const named = `database: ${database.hostname}:${database.port}${database.pathname}`;
  for (const args of [["verify", "--json"], ["keys", "list", "--json"], ["migrate"]]) {
    const { stdout, stderr } = await spawnCli(args, onDatabase);
    expect(stderr.split("\n").filter((line) => line.includes(named))).toHaveLength(1);
    expect(stderr).not.toContain(database.password);
    expect(stdout).not.toContain(named);
  }
  const folder = { TANDEM_DATA_DIR: exchange.dataDir, TANDEM_URL: exchange.url };
  const kid = exchange.signingKey?.keySet.keys[0]?.kid ?? "";
  const listed = await spawnCli(["carriers", "list", "--json"], folder);
  expect(JSON.parse(listed.stdout).carriers).toHaveLength(1);
  expect(listed.stderr).toContain(`server: ${exchange.url}`);
  for (const said of ["as the platform", kid, exchange.dataDir]) expect(listed.stderr).toContain(said);
  const token = await spawnCli(["token", "--carrier", "alpha"], folder);
  expect(token.stdout).toMatch(/^[^ ]+\n$/);
  for (const said of [kid, exchange.dataDir]) expect(token.stderr).toContain(said);
});

async function makeFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "tandem-finds-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
