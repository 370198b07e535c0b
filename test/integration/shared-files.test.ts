import { randomBytes } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { openLog } from "../../src/log.ts";
import { openSigningKey, rotateSigningKey } from "../../src/trust/signing-key.ts";
import { runCli } from "../support/cli.ts";
import { erase } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, runSql } from "../support/feed.ts";

// What all processes on one database must have lies in files beside it: a copy of the database must
// not bring it along.

const OWN = "+4532123400";

let exchange: Exchange;
let other: string;
let logged: string[];

beforeEach(async () => {
  logged = [];
  exchange = await startExchange(
    { reloadIntervalMs: 20 },
    openLog("info", (line) => logged.push(line)),
  );
  other = await mkdtemp(join(tmpdir(), "tandem-other-"));
});
afterEach(async () => {
  await exchange[Symbol.asyncDispose]();
  await rm(other, { recursive: true, force: true });
});

test("a process with an erasure key of its own does not start, and is told which file it needs", async () => {
  const erasureKeyFile = join(other, "erasures.key");
  await expect(exchange.openSecondApp({ erasureKeyFile })).rejects.toThrow(
    /^TANDEM_ERASURE_KEY_FILE: .*, is missing, .* share one key: copy it from a process that has it/,
  );
  // It made none that would be in the way.
  expect(await readdir(other)).toEqual([]);
  await writeFile(erasureKeyFile, someKey());
  await expect(exchange.openSecondApp({ erasureKeyFile })).rejects.toThrow(
    /^TANDEM_ERASURE_KEY_FILE: .*erasures\.key holds key [0-9a-f]{16}, and .* share key [0-9a-f]{16}: copy it/,
  );
  await cp(join(exchange.dataDir, "erasures.key"), erasureKeyFile);
  await exchange.openSecondApp({ erasureKeyFile });
});

test("a process with an erasure journal of its own does not start, and makes none", async () => {
  const erasureJournal = join(other, "erasures.journal");
  await expect(exchange.openSecondApp({ erasureJournal })).rejects.toThrow(
    /^TANDEM_ERASURE_JOURNAL: .*erasures\.journal is missing or new, and .* share journal [0-9a-f-]{36}: name the file/,
  );
  expect(await readdir(other)).toEqual([]);
  // Where the same file is reached by another way, it is the same file.
  await cp(join(exchange.dataDir, "erasures.journal"), erasureJournal);
  await exchange.openSecondApp({ erasureJournal });
});

test("a process with a signing key of its own does not start; rotations do not make the key another", async () => {
  const shared = {
    erasureKeyFile: join(exchange.dataDir, "erasures.key"),
    erasureJournal: join(exchange.dataDir, "erasures.journal"),
  };
  await expect(exchange.openSecondApp({ ...shared, dataDir: other })).rejects.toThrow(
    /^TANDEM_DATA_DIR: .*signing\.jwk is missing, .* copy the folder `keys` from a process that has it/,
  );
  expect(await readdir(other)).toEqual([]);
  await openSigningKey(other);
  await expect(exchange.openSecondApp({ ...shared, dataDir: other })).rejects.toThrow(
    /^TANDEM_DATA_DIR: .*signing\.jwk descends from /,
  );
  for (const overlap of [3_600, 0]) await rotateSigningKey(exchange.dataDir, overlap);
  await rm(other, { recursive: true });
  await cp(join(exchange.dataDir, "keys"), join(other, "keys"), { recursive: true });
  await exchange.openSecondApp({ ...shared, dataDir: other });
  // With tokens of an identity provider it needs none.
  const published = await readFile(join(exchange.dataDir, "keys", "jwks.json"), "utf8");
  expect(published).not.toContain("lineage");
});

test("what is erased at one process is erased at another as it arrives", async () => {
  await exchange.addCarrier("alpha", { legalCountry: "DK" });
  await exchange.assignNumbers("alpha", [OWN]);
  const second = await exchange.openSecondApp();
  await erase(exchange, "+4541000001");
  const e164 = (value: string) => ({ kind: PartyKind.E164, value });
  const parties = { calling: e164(OWN), called: e164("+4541000001") };
  await ingest(second, "alpha", [call("late-1", { parties }, Date.now() - 3_600_000)]);
  const stored = sql`SELECT called_number FROM cdr_record WHERE record_id = 'late-1'`;
  expect(await runSql(exchange, stored)).toEqual([{ called_number: null }]);
});

test("another key that is put in the place of a shared one is refused while a process runs, and the log says so", async () => {
  const keyFile = join(exchange.dataDir, "erasures.key");
  const shared = await readFile(keyFile, "utf8");
  await writeFile(keyFile, someKey());
  await expect
    .poll(() => find("erasure key: the new ones are refused"))
    .toMatchObject({
      files: [keyFile],
      why: expect.stringMatching(/^TANDEM_ERASURE_KEY_FILE: .* holds key/),
    });
  await rm(keyFile);
  await expect.poll(() => logged.join()).toContain("it is gone, but no process starts without it");
  await writeFile(keyFile, shared);
  await expect.poll(() => find("erasure key: the new ones are in use")).toBeDefined();

  const strange = await openSigningKey(other);
  await cp(join(other, "keys", "signing.jwk"), join(exchange.dataDir, "keys", "signing.jwk"));
  await expect
    .poll(() => find("token keys: cannot be read again"))
    .toMatchObject({
      why: expect.stringMatching(/signing\.jwk was not made by .* put back the key that all processes share/),
    });
  expect(exchange.signingKey?.keyId).not.toBe(strange.keyId);
});

test("the first process that says which erasure key is shared must be able to read what was erased before", async () => {
  await erase(exchange, "+4541000002");
  await exchange.app[Symbol.asyncDispose]();
  await readOwner("DELETE FROM shared_file");
  const erasureKeyFile = join(other, "erasures.key");
  await writeFile(erasureKeyFile, someKey());
  await expect(exchange.openSecondApp({ erasureKeyFile })).rejects.toThrow(
    /^TANDEM_ERASURE_KEY_FILE: .* holds key .*, which cannot read earlier erasures/,
  );
  expect(await readOwner("SELECT file FROM shared_file WHERE file = 'erasure-key'")).toEqual([]);
  await exchange.openSecondApp();
});

test("`keys adopt` makes what is there the files of all, when no process serves and nothing erased is lost by it", async () => {
  const settings = { TANDEM_DATABASE_URL: exchange.databaseUrl, TANDEM_DATA_DIR: exchange.dataDir };
  const adopt = () => runCli(["keys", "adopt"], settings);
  const keyFile = join(exchange.dataDir, "erasures.key");
  expect(await adopt()).toMatchObject({ code: 1, stderr: expect.stringContaining("1 processes still serve") });
  await erase(exchange, "+4541000003");
  await exchange.app[Symbol.asyncDispose]();

  const shared = await readFile(keyFile, "utf8");
  await writeFile(keyFile, someKey());
  expect(await adopt()).toMatchObject({ code: 1, stderr: expect.stringContaining("cannot read earlier erasures") });
  await writeFile(keyFile, shared);

  // The journal and the signing key are lost: the database has what was in the one, and the other
  // is made anew.
  await rm(join(exchange.dataDir, "erasures.journal"));
  await rm(join(exchange.dataDir, "keys"), { recursive: true });
  await expect(exchange.openSecondApp()).rejects.toThrow("tandem keys adopt");
  const { code, stdout } = await adopt();
  expect([code, stdout.split("\n")]).toEqual([
    0,
    [
      expect.stringMatching(/^erasure key: all processes share [0-9a-f]{16}$/),
      "erasure journal: none here; the next process to start makes it",
      "signing key: none here; the next process to start makes it",
      "",
    ],
  ]);
  await exchange.openSecondApp();
  // Three commands are started: on a busy machine that takes a while.
  const lines = (await readFile(join(exchange.dataDir, "erasures.journal"), "utf8")).trim().split("\n");
  expect(lines.map((line) => Object.keys(JSON.parse(line)))).toEqual([["journal"], ["erasureId", "sealed"]]);
});

async function readOwner(statement: string): Promise<unknown[]> {
  await using client = Object.assign(new pg.Client({ connectionString: exchange.databaseUrl }), {
    async [Symbol.asyncDispose](this: pg.Client) {
      await this.end();
    },
  });
  await client.connect();
  return (await client.query(statement)).rows;
}

function someKey(): string {
  return `${randomBytes(32).toString("base64")}\n`;
}

/** A line of the log. */
/** The newest line of the log that begins so: a look may find a file half written. */
function find(message: string): Record<string, unknown> | undefined {
  return logged.map((line) => JSON.parse(line)).findLast(({ msg }) => String(msg).startsWith(message));
}
