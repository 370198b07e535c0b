import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { vi } from "vitest";
import { choosePostgresAccount, type PostgresAccount } from "../../src/store/postgres/postgres-account.ts";
import { replaceIn } from "../support/proxies.ts";
import { findFreePort } from "../support/server-process.ts";
import { findToolchain, installPackages } from "./toolchain.ts";

const BIN = "/usr/lib/postgresql/15/bin";
const POOLERS = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];

/**
 * PostgreSQL 15 and PgBouncer, as Debian has them.
 */
export function findReplicatedPostgres() {
  return findToolchain("a promoted replica behind PgBouncer", async () => {
    if (missingPackages().length > 0) await installPackages(missingPackages());
    return { open: () => ReplicatedPostgres.open() };
  });
}

function missingPackages(): string[] {
  const isThere = { "postgresql-15": existsSync(join(BIN, "postgres")), pgbouncer: POOLERS.some(existsSync) };
  return Object.entries(isThere).flatMap(([name, there]) => (there ? [] : [name]));
}

const WAIT = { timeout: 60_000, interval: 50 };
const USER = "tandem_test";

/** PostgreSQL 15 with an asynchronous replica, behind PgBouncer in transaction mode. */
export class ReplicatedPostgres implements AsyncDisposable {
  readonly #folder: string;
  readonly #account: PostgresAccount | undefined;
  readonly #poolerPort: number;
  readonly #closers = new AsyncDisposableStack();
  #primary: Node | undefined;
  #nodes = 0;

  private constructor(folder: string, account: PostgresAccount | undefined, poolerPort: number) {
    this.#folder = folder;
    this.#account = account;
    this.#poolerPort = poolerPort;
  }

  static async open(): Promise<ReplicatedPostgres> {
    const folder = await mkdtemp(join(tmpdir(), "tandem-replicated-"));
    await chmod(folder, 0o755);
    const account = await choosePostgresAccount(join(folder, "none"));
    const servers = new ReplicatedPostgres(folder, account, await findFreePort());
    await servers.#start();
    return servers;
  }

  /** Through the pooler, as the login that serves, which is no superuser. */
  get url(): string {
    return `postgresql://${USER}@127.0.0.1:${this.#poolerPort}/tandem`;
  }

  /**
   * Makes a replica that receives everything, and then stops receiving: what is committed
   * afterwards it lacks.
   */
  async replicate(): Promise<Replica> {
    const primary = this.#node;
    const node = new Node(this.#folder, `node-${++this.#nodes}`, this.#account, await findFreePort());
    await node.run("pg_basebackup", [
      "-h",
      "127.0.0.1",
      "-p",
      String(primary.port),
      "-U",
      "postgres",
      "-R",
      "-c",
      "fast",
      "-D",
      node.data,
    ]);
    await node.start();
    this.#closers.use(node);
    return {
      fallBehind: async () => {
        const [end] = await primary.ask("SELECT pg_current_wal_lsn()::text AS lsn");
        await vi.waitFor(async () => {
          const [reached] = await node.ask(`SELECT pg_last_wal_replay_lsn() >= '${end?.["lsn"]}'::pg_lsn AS ok`);
          if (!reached?.["ok"]) throw new Error("the replica has not caught up");
        }, WAIT);
        await node.ask("ALTER SYSTEM SET primary_conninfo = ''");
        await node.ask("SELECT pg_reload_conf()");
        await vi.waitFor(async () => {
          if ((await node.ask("SELECT FROM pg_stat_wal_receiver")).length > 0) throw new Error("it still receives");
        }, WAIT);
      },
      // As docs/operations.md has it: PAUSE, the primary is killed, the replica promoted, RESUME.
      takeOver: async () => {
        const paused = this.#pooler("PAUSE tandem").catch(() => {});
        await primary.kill();
        await node.ask("SELECT pg_promote(true, 60)");
        this.#primary = node;
        await this.#writePoolerSettings();
        await this.#pooler("RELOAD");
        await paused;
        await this.#pooler("RESUME tandem").catch(() => {});
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#closers.disposeAsync();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  get #node(): Node {
    if (!this.#primary) throw new Error("there is no primary");
    return this.#primary;
  }

  async #start(): Promise<void> {
    const node = new Node(this.#folder, "node-0", this.#account, await findFreePort());
    await node.run("initdb", [
      "-D",
      node.data,
      "-U",
      "postgres",
      "--auth=trust",
      "--no-sync",
      "--encoding=UTF8",
      "--locale=C",
    ]);
    await node.start();
    this.#closers.use(node);
    this.#primary = node;
    for (const statement of [
      "CREATE ROLE tandem_carrier NOLOGIN NOINHERIT",
      "CREATE ROLE tandem_system NOLOGIN NOINHERIT",
      `CREATE ROLE ${USER} LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS`,
      `GRANT tandem_carrier, tandem_system TO ${USER}`,
      "CREATE DATABASE tandem",
    ])
      await node.ask(statement);
    await node.ask(`GRANT USAGE, CREATE ON SCHEMA public TO ${USER}`, "tandem");
    await node.ask("GRANT USAGE ON SCHEMA public TO tandem_carrier, tandem_system", "tandem");
    await this.#startPooler();
  }

  async #startPooler(): Promise<void> {
    const users = join(this.#folder, "users.txt");
    await writeFile(users, `"${USER}" ""\n"pooler" ""\n`);
    await this.#writePoolerSettings();
    const path = POOLERS.find((candidate) => existsSync(candidate)) ?? "pgbouncer";
    const child = spawn(path, [join(this.#folder, "pgbouncer.ini")], {
      ...this.#account,
      stdio: "ignore",
      cwd: this.#folder,
    });
    this.#closers.defer(() => end(child, "SIGKILL"));
    await vi.waitFor(() => this.#pooler("SHOW VERSION"), WAIT);
  }

  // The file that is shipped, but for where things are and who may log in.
  async #writePoolerSettings(): Promise<void> {
    const shipped = await readFile(new URL("../../deploy/pgbouncer.ini", import.meta.url), "utf8");
    const settings = replaceIn(shipped, {
      "port=5432": `port=${this.#node.port}`,
      "listen_port = 6432": `listen_port = ${this.#poolerPort}`,
      "auth_type = scram-sha-256": "auth_type = trust",
      "/etc/pgbouncer/users.txt": join(this.#folder, "users.txt"),
    });
    await writeFile(join(this.#folder, "pgbouncer.ini"), settings);
  }

  async #pooler(command: string): Promise<void> {
    const client = new pg.Client({ connectionString: `postgresql://pooler@127.0.0.1:${this.#poolerPort}/pgbouncer` });
    client.on("error", () => {});
    await client.connect();
    try {
      await client.query(command);
    } finally {
      await client.end();
    }
  }
}

export interface Replica {
  fallBehind(): Promise<void>;
  takeOver(): Promise<void>;
}

class Node implements AsyncDisposable {
  readonly data: string;
  readonly port: number;
  readonly #account: PostgresAccount | undefined;
  readonly #home: string;
  #child: ChildProcess | undefined;

  constructor(folder: string, name: string, account: PostgresAccount | undefined, port: number) {
    this.#home = join(folder, name);
    this.data = join(this.#home, "data");
    this.#account = account;
    this.port = port;
  }

  async run(program: string, args: readonly string[]): Promise<void> {
    await mkdir(this.#home, { recursive: true });
    if (this.#account) await chown(this.#home, this.#account.uid, this.#account.gid);
    await promisify(execFile)(join(BIN, program), args, { ...this.#account, cwd: this.#home, timeout: 60_000 });
  }

  async start(): Promise<void> {
    const settings = {
      listen_addresses: "127.0.0.1",
      port: this.port,
      unix_socket_directories: "",
      fsync: "off",
      max_connections: 60,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    this.#child = spawn(join(BIN, "postgres"), ["-D", this.data, ...args], {
      ...this.#account,
      stdio: "ignore",
      cwd: this.#home,
    });
    await vi.waitFor(() => this.ask("SELECT 1"), WAIT);
  }

  /** As superuser, past the pooler. */
  async ask(statement: string, database = "postgres"): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: `postgresql://postgres@127.0.0.1:${this.port}/${database}` });
    client.on("error", () => {});
    await client.connect();
    try {
      return (await client.query(statement)).rows;
    } finally {
      await client.end();
    }
  }

  kill(): Promise<void> {
    return end(this.#child, "SIGQUIT");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

async function end(child: ChildProcess | undefined, signal: "SIGQUIT" | "SIGKILL"): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}
