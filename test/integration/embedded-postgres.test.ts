import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { expect, test } from "vitest";
import { listCarriers } from "../../src/store/carriers/carriers.ts";
import { openDatabase, systemTransaction } from "../../src/store/database/database.ts";
import { readInstallation } from "../../src/store/database/installation.ts";
import { findExcessRights, proveIsolation } from "../../src/store/database/isolation.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import { startEmbeddedPostgres } from "../../src/store/postgres/embedded-postgres.ts";
import { addCarrier } from "../support/carriers.ts";

const OWNERS = `
  SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = 'public'::regnamespace`;
const modulePath = join(import.meta.dirname, "../../src/store/postgres/embedded-postgres.ts");

test("keeps its data over a restart, and is gone after dispose", async () => {
  await using folder = await makeFolder();
  {
    await using server = await startEmbeddedPostgres({ dataDir: folder.path });
    expect(server.isAdopted).toBe(false);
    await query(server.url, "CREATE TABLE kept AS SELECT 42 AS answer");
  }
  await using server = await startEmbeddedPostgres({ dataDir: folder.path });
  expect(server.isAdopted).toBe(false);
  expect(await query(server.url, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
  await server[Symbol.asyncDispose]();
  await expect(query(server.url, "SELECT 1")).rejects.toThrow("ECONNREFUSED");
});

test("listens on loopback only, durably, and lets nobody in without the folder's password", async () => {
  await using folder = await makeFolder();
  await using server = await startEmbeddedPostgres({ dataDir: folder.path });
  expect(await query(server.url, "SHOW listen_addresses")).toEqual([{ listen_addresses: "127.0.0.1" }]);
  expect(await query(server.adminUrl, "SHOW unix_socket_directories")).toEqual([{ unix_socket_directories: "" }]);
  expect(await query(server.url, "SHOW fsync")).toEqual([{ fsync: "on" }]);
  expect(await query(server.url, "SHOW server_version_num")).toEqual([
    { server_version_num: expect.stringMatching(/^18/) },
  ]);
  const wrong = new URL(server.url);
  wrong.password = "guessed";
  await expect(query(wrong.href, "SELECT 1")).rejects.toThrow("password authentication failed");
  for (const name of ["password", "password-service"])
    expect((await stat(join(folder.path, name))).mode & 0o777, name).toBe(0o600);
});

test("serves as a login that is no superuser, that row security binds, and that has the rights of the documentation only", async () => {
  await using folder = await makeFolder();
  await using server = await startEmbeddedPostgres({ dataDir: folder.path });
  expect(
    await query(
      server.url,
      `SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolinherit,
         ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1) AS member_of
       FROM pg_roles r WHERE rolname = session_user`,
    ),
  ).toEqual([
    {
      rolsuper: false,
      rolbypassrls: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolreplication: false,
      rolinherit: false,
      member_of: ["tandem_carrier", "tandem_system"],
    },
  ]);
});

test("takes over a data folder that was served by its superuser: the service owns what is there, and the superuser's password is not its own", async () => {
  await using folder = await makeFolder();
  {
    await using server = await startEmbeddedPostgres({ dataDir: folder.path });
    await using db = openDatabase({ url: server.adminUrl });
    // As 00d3f3f left it: everything is the superuser's, and there is no other login.
    await query(server.adminUrl, `DROP OWNED BY tandem_service; DROP ROLE tandem_service`);
    await migrate(db);
    await addCarrier(db, "acme");
    expect(await query(server.adminUrl, OWNERS)).toEqual([{ owner: "tandem" }]);
  }
  await rm(join(folder.path, "password-service"));
  const installationOf = async (url: string) => {
    await using db = openDatabase({ url });
    await migrate(db);
    await proveIsolation(db);
    expect(await findExcessRights(db)).toEqual([]);
    const { serverChanged } = await readInstallation(db);
    const carriers = await systemTransaction(db, (tx) => listCarriers(tx, {}, { afterCarrierId: "", limit: 10 }));
    return { serverChanged, carriers: carriers.map(({ carrierId }) => carrierId) };
  };
  const known = { serverChanged: false, carriers: ["acme"] };
  {
    await using server = await startEmbeddedPostgres({ dataDir: folder.path });
    expect(await query(server.url, OWNERS)).toEqual([{ owner: "tandem_service" }]);
    expect(await installationOf(server.url)).toEqual(known);
    expect(new URL(server.url).password).not.toBe(new URL(server.adminUrl).password);
    // A process of before, on the same folder, makes partitions of its own; the next that comes, to
    // the server that runs, takes them over too.
    await query(server.adminUrl, "CREATE TABLE cdr_record_old (LIKE cdr_record)");
    await using adopted = await startEmbeddedPostgres({ dataDir: folder.path });
    expect(adopted).toMatchObject({ isAdopted: true, url: server.url });
    expect(await query(server.url, OWNERS)).toEqual([{ owner: "tandem_service" }]);
    expect(await installationOf(adopted.url)).toEqual(known);
  }
});

test("adopts the server of an owner that was killed, and then stops it", async () => {
  await using folder = await makeFolder();
  const owner = await startOwner(folder.path);
  await query(owner.url, "CREATE TABLE kept AS SELECT 42 AS answer");
  await kill(owner.process);

  await using server = await startEmbeddedPostgres({ dataDir: folder.path });
  expect(server).toMatchObject({ isAdopted: true, pid: owner.pid, url: owner.url });
  expect(await query(server.url, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
  await server[Symbol.asyncDispose]();
  await expect(query(server.url, "SELECT 1")).rejects.toThrow("ECONNREFUSED");
});

test("is started once by processes that start together, and stopped by the last of them", async () => {
  await using folder = await makeFolder();
  const owners = await Promise.all([startOwner(folder.path), startOwner(folder.path), startOwner(folder.path)]);
  const [first, second, third] = owners;
  expect(new Set(owners.map((owner) => owner.pid)).size).toBe(1);
  expect(owners.filter((owner) => !owner.isAdopted)).toHaveLength(1);
  await end(first.process);
  await kill(second.process);
  expect(await query(third.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  await end(third.process);
  await expect(query(third.url, "SELECT 1")).rejects.toThrow("ECONNREFUSED");
});

test("recovers what was committed when the server itself was killed", async () => {
  await using folder = await makeFolder();
  await using killed = await startEmbeddedPostgres({ dataDir: folder.path });
  await query(killed.url, "CREATE TABLE kept AS SELECT 42 AS answer");
  process.kill(killed.pid, "SIGKILL");
  await using server = await startEmbeddedPostgres({ dataDir: folder.path });
  expect(server.isAdopted).toBe(false);
  expect(await query(server.url, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
  await server[Symbol.asyncDispose]();
  await killed[Symbol.asyncDispose]();
  await expect(query(server.url, "SELECT 1")).rejects.toThrow("ECONNREFUSED");
});

test.skipIf(process.platform !== "linux")(
  "starts in spite of a pid file that names another process (skipped off Linux: it takes /proc to tell)",
  async () => {
    await using folder = await makeFolder();
    await (await startEmbeddedPostgres({ dataDir: folder.path }))[Symbol.asyncDispose]();
    const pidPath = join(folder.path, "cluster/postmaster.pid");
    await writeFile(pidPath, `${process.pid}\n${folder.path}\n0\n1\n\n127.0.0.1\n\nready\n`);
    await using server = await startEmbeddedPostgres({ dataDir: folder.path });
    expect(server.isAdopted).toBe(false);
    expect(await readFile(pidPath, "utf8")).toMatch(new RegExp(`^${server.pid}\n`));
  },
);

test("ends with its owner, and leaves nothing, when it is ephemeral", async () => {
  await using folder = await makeFolder();
  const owner = await startOwner(folder.path, true);
  await kill(owner.process);
  await expect
    .poll(() => query(owner.url, "SELECT 1").catch((error: NodeJS.ErrnoException) => error.code))
    .toBe("ECONNREFUSED");
  await expect.poll(() => stat(folder.path).catch((error) => error.code)).toBe("ENOENT");
});

test("refuses a folder that holds something else, and leaves its rights alone", async () => {
  await using folder = await makeFolder();
  await chmod(folder.path, 0o755);
  await writeFile(join(folder.path, "thesis.txt"), "");
  await expect(startEmbeddedPostgres({ dataDir: folder.path })).rejects.toThrow("not empty (thesis.txt)");
  expect((await stat(folder.path)).mode & 0o777).toBe(0o755);
});

test("stops waiting when its signal says so, and leaves the folder usable", async () => {
  await using folder = await makeFolder();
  const controller = new AbortController();
  const start = startEmbeddedPostgres({ dataDir: folder.path, signal: controller.signal });
  // It has begun, and has a while to go.
  await expect.poll(() => readdir(folder.path).catch(() => []), { interval: 5 }).not.toEqual([]);
  controller.abort(new Error("enough"));
  await expect(start).rejects.toThrow();
  await using server = await startEmbeddedPostgres({ dataDir: folder.path });
  expect(await query(server.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

interface Owner {
  readonly process: ChildProcess;
  readonly url: string;
  readonly pid: number;
  readonly isAdopted: boolean;
}

/** Another process that starts a server and disposes it when its standard input ends. */
async function startOwner(dataDir: string, ephemeral = false): Promise<Owner> {
  const source = `
    import { startEmbeddedPostgres } from ${JSON.stringify(modulePath)};
    await using server = await startEmbeddedPostgres(${JSON.stringify({ dataDir, ephemeral })});
    console.log(JSON.stringify(server));
    await new Promise((resolve) => process.stdin.on("end", resolve).resume());`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  return { ...JSON.parse(String(line)), process: child };
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

async function end(child: ChildProcess): Promise<void> {
  child.stdin?.end();
  await once(child, "exit");
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {}); // the server is stopped under it in these tests
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function makeFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "tandem-postgres-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
