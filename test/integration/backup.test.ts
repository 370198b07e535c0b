import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFile,
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assertRoom } from "../../src/backup/copy-files.ts";
import { type BackupSource, makeBackup } from "../../src/backup/make-backup.ts";
import { restoreBackup } from "../../src/backup/restore-backup.ts";
import { openDatabase } from "../../src/store/database/database.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import { type EmbeddedServer, startEmbeddedPostgres } from "../../src/store/postgres/embedded-postgres.ts";
import { addCarrier } from "../support/carriers.ts";
import { runCli, spawnCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { makeWidePartitions } from "../support/wide-partitions.ts";

const CLI = join(import.meta.dirname, "../../src/cli.ts");
const NEVER = new AbortController().signal;

let folder: string;
let dataDir: string;
let backup: string;
let server: EmbeddedServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-backup-"));
  await chmod(folder, 0o755);
  dataDir = place("data");
  await mkdir(dataDir);
  server = await startEmbeddedPostgres({ dataDir: join(dataDir, "postgres") });
  await using db = openDatabase({ url: server.url });
  await migrate(db, makeWidePartitions);
  await addCarrier(db, "alpha");
  await mkdir(join(dataDir, "keys"), { mode: 0o700 });
  await writeFile(join(dataDir, "keys", "signing.jwk"), "a key\n", { mode: 0o644 });
  await writeFile(join(dataDir, "keys", "revoked"), '{"id":"one"}\n');
  backup = place("backup");
  await makeBackup(source(), { to: backup, signal: NEVER });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

test("everything in a backup is its owner's alone, whatever the modes were, and so are the restored secrets", async () => {
  const restored = place("modes");
  await restore(backup, restored);
  expect(await modesBelow(backup)).toEqual(new Set(["file 600", "folder 700"]));
  expect((await stat(backup)).mode & 0o777).toBe(0o700);
  for (const part of ["keys", "postgres"]) expect((await stat(join(restored, part))).mode & 0o777).toBe(0o700);
  expect(await modesBelow(join(restored, "keys"))).toEqual(new Set(["file 600"]));
  expect(await readFile(join(restored, "keys", "signing.jwk"), "utf8")).toBe("a key\n");
  // Nothing of the restore itself is left, and the server of before is another.
  expect((await readdir(restored)).sort()).toEqual(["keys", "postgres"]);
  await using again = await startEmbeddedPostgres({ dataDir: join(restored, "postgres") });
  expect(await ask(again.url, "SELECT epoch::int FROM feed_head WHERE feed = 2")).toEqual([{ epoch: 2 }]);
  expect(await ask(again.adminUrl, "SHOW restore_command")).toEqual([{ restore_command: "" }]);
  expect(await ask(again.adminUrl, "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline")).toEqual([
    { timeline: "00000002" },
  ]);
});

test("what was revoked after the backup stays revoked", async () => {
  await appendFile(join(dataDir, "keys", "revoked"), '{"id":"two"}\n');
  const restored = place("revoked");
  await restore(backup, restored);
  expect(await readFile(join(restored, "keys", "revoked"), "utf8")).toBe('{"id":"one"}\n{"id":"two"}\n');
});

test("the log that a backup needs is kept while it is made, however much is written and however often it is recycled", async () => {
  const to = place("recycled");
  const admin = new pg.Client({ connectionString: server.adminUrl });
  await admin.connect();
  await admin.query("CREATE TABLE churn (n int)");
  let turns = 0;
  let churned = Promise.resolve();
  const churn = async () => {
    await admin.query("INSERT INTO churn SELECT generate_series(1, 1000)");
    await admin.query("SELECT pg_switch_wal()");
    await admin.query("CHECKPOINT");
  };
  await makeBackup(source(), {
    to,
    signal: NEVER,
    onFile: () => {
      if (turns++ % 200 === 0) churned = churned.then(churn);
    },
  });
  await churned;
  await admin.query("DROP TABLE churn");
  expect(await ask(server.adminUrl, "SELECT count(*)::int AS slots FROM pg_replication_slots")).toEqual([{ slots: 0 }]);
  await admin.end();
  const restored = place("recycled-restored");
  await restore(to, restored);
  await using again = await startEmbeddedPostgres({ dataDir: join(restored, "postgres") });
  const [row] = await ask(again.adminUrl, "SELECT count(*)::int % 1000 AS rest, count(*)::int > 0 AS some FROM churn");
  expect(row).toEqual({ rest: 0, some: true });
});

test("a backup that is interrupted leaves an empty folder, and one that is killed leaves none that is taken for a backup", async () => {
  const to = place("interrupted");
  const stop = new AbortController();
  let files = 0;
  const interrupted = makeBackup(source(), {
    to,
    signal: stop.signal,
    onFile: () => {
      if (++files === 20) stop.abort();
    },
  });
  await expect(interrupted).rejects.toThrow("aborted");
  expect(await readdir(to)).toEqual([]);

  const killed = place("killed");
  const child = spawn(process.execPath, [CLI, "backup", "--to", killed, "--data-dir", dataDir], { stdio: "ignore" });
  await kill(child, async () => expect(await readdir(join(killed, "postgres", "cluster"))).toContain("base"));
  await expect(restore(killed, place("of-killed"))).rejects.toThrow(/no complete backup: .*manifest\.json/);
  expect(await exists(place("of-killed"))).toBe(false);
  const again = await runCli(["backup", "--to", killed, "--data-dir", dataDir]);
  expect([again.code, again.messages]).toEqual([1, expect.stringContaining("is not empty")]);
});

const DAMAGES: [string, (copy: string) => Promise<void>, string][] = [
  ["lacks a file", (copy) => rm(join(copy, "postgres/cluster/global/pg_control")), "global/pg_control is missing"],
  [
    "has a file that is shorter",
    (copy) => truncate(join(copy, "postgres/password"), 7),
    "postgres/password has 7 bytes of 32",
  ],
  [
    "has a file with another byte",
    (copy) => changeByte(join(copy, "postgres/cluster/backup_label")),
    "backup_label has changed",
  ],
  ["has half a manifest", (copy) => truncate(join(copy, "manifest.json"), 1_000), "its manifest.json is damaged"],
  [
    "has a manifest that leads elsewhere",
    (copy) => editManifest(copy, /"postgres\/password"/, '"../password"'),
    "is damaged",
  ],
  ["has no manifest", (copy) => rm(join(copy, "manifest.json")), "holds no complete backup"],
  [
    "is of another PostgreSQL",
    (copy) => editManifest(copy, /"postgresVersion": "\d+"/, '"postgresVersion": "17"'),
    "is of PostgreSQL 17",
  ],
  ["is of a later format", (copy) => editManifest(copy, /"format": 1/, '"format": 2'), "has format 2"],
];

test.each(DAMAGES)("a backup that %s is refused by name, and nothing is left of it", async (_, damage, told) => {
  const copy = place("damaged");
  await cp(backup, copy, { recursive: true });
  const to = place("of-damaged");
  await damage(copy);
  await expect(restore(copy, to)).rejects.toThrow(told);
  expect(await readdir(to).catch(() => [])).toEqual([]);
  await rm(copy, { recursive: true });
  await rm(to, { recursive: true, force: true });
});

test("a restore goes only into a folder that is empty or new, and never onto a server that runs", async () => {
  const full = place("full");
  await mkdir(full);
  await writeFile(join(full, "notes.txt"), "mine");
  await expect(restore(backup, full)).rejects.toThrow("is not empty (notes.txt)");
  expect(await readdir(full)).toEqual(["notes.txt"]);
  await expect(restore(backup, dataDir)).rejects.toThrow(`a server runs on ${dataDir}`);
  await expect(restore(place("nothing"), place("new"))).rejects.toThrow("holds no complete backup");
});

test("a restore that is interrupted leaves nothing; one that is killed leaves a folder on which no server and no command begins", async () => {
  const to = place("half");
  const stop = new AbortController();
  let files = 0;
  const interrupted = restoreBackup({
    ...options(backup, to),
    signal: stop.signal,
    onFile: () => {
      if (++files === 20) stop.abort();
    },
  });
  await expect(interrupted).rejects.toThrow("aborted");
  expect(await readdir(to)).toEqual([]);

  const child = spawn(process.execPath, [CLI, "restore", "--from", backup, "--data-dir", to], { stdio: "ignore" });
  await kill(child, async () => expect(await readdir(join(to, "restoring", "postgres"))).toContain("cluster"));
  for (const args of [["serve", "--port", "0"], ["verify"], ["migrate"], ["backup", "--to", place("of-half")]]) {
    const { code, messages } = await (args[0] === "serve" ? spawnCli : runCli)([...args, "--data-dir", to]);
    expect([args[0], code, messages]).toEqual([args[0], 1, expect.stringContaining("has not finished")]);
  }
  expect(await readdir(to)).toEqual(["restoring"]);
});

test("a disk without room is told before anything is copied, with what is free and what is needed", async () => {
  await expect(assertRoom(folder, 2 ** 60)).rejects.toThrow(/no room in .*: \d+ MiB are free, \d+ needed/);
  await assertRoom(folder, 1);
});

test("a backup is of the PostgreSQL that comes with Tandem; of none and of one's own it says what to do", async () => {
  const empty = await runCli(["backup", "--to", place("of-none"), "--data-dir", place("none")]);
  expect([empty.code, empty.messages]).toEqual([1, expect.stringContaining("there is no PostgreSQL of Tandem in")]);
  const own = await runCli(["backup", "--to", place("of-own")], { TANDEM_DATABASE_URL: "postgresql://127.0.0.1:1/x" });
  expect([own.code, own.messages]).toEqual([1, expect.stringContaining("use pg_basebackup")]);
  const within = await runCli(["backup", "--to", join(dataDir, "postgres", "b"), "--data-dir", dataDir]);
  expect([within.code, within.messages]).toEqual([1, expect.stringContaining("is inside the database's own folder")]);
  for (const name of ["of-none", "of-own", "none"]) expect(await exists(place(name))).toBe(false);
});

function place(name: string): string {
  return join(folder, name);
}

function source(): BackupSource {
  return {
    dataDir,
    adminUrl: server.adminUrl,
    erasureJournal: join(dataDir, "erasures.journal"),
    erasureKeyFile: join(dataDir, "erasures.key"),
    revokedFile: join(dataDir, "keys", "revoked"),
    tandemVersion: "0.0.0",
  };
}

function options(from: string, to: string) {
  return { from, dataDir: to, journals: [], actor: "cli:test", signal: NEVER };
}

function restore(from: string, to: string) {
  return restoreBackup(options(from, to));
}

/** Kills a process once something is so. */
async function kill(child: ChildProcess, isSo: () => Promise<void>): Promise<void> {
  const ended = once(child, "exit");
  await eventually(isSo);
  child.kill("SIGKILL");
  expect(await ended).toEqual([null, "SIGKILL"]);
}

async function modesBelow(path: string): Promise<Set<string>> {
  const modes = new Set<string>();
  for (const name of await readdir(path, { recursive: true })) {
    const found = await stat(join(path, name));
    modes.add(`${found.isDirectory() ? "folder" : "file"} ${(found.mode & 0o777).toString(8)}`);
  }
  return modes;
}

async function changeByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

async function editManifest(copy: string, from: RegExp, to: string): Promise<void> {
  const path = join(copy, "manifest.json");
  await writeFile(path, (await readFile(path, "utf8")).replace(from, to));
}

async function ask(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
