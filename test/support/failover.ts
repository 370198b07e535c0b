import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { vi } from "vitest";
import { type EmbeddedServer, startEmbeddedPostgres } from "../../src/store/postgres/embedded-postgres.ts";
import { type Cluster, openCluster, spawnOptions } from "../../src/store/postgres/postgres-cluster.ts";
import { EVENTUALLY_MS } from "./limits.ts";
import { findFreePort } from "./server-process.ts";

/**
 * A PostgreSQL and a standby of it that lacks the newest commits, one after the other on the same
 * port: what a pooler or a virtual address shows to Tandem when an asynchronous replica is
 * promoted. The standby is a copy of the folder, made while the server is down.
 */
export class FailoverServers implements AsyncDisposable {
  readonly #folder: string;
  readonly #port: number;
  #primary: EmbeddedServer;
  #standby: ChildProcess | undefined;

  private constructor(folder: string, port: number, primary: EmbeddedServer) {
    this.#folder = folder;
    this.#port = port;
    this.#primary = primary;
  }

  static async open(): Promise<FailoverServers> {
    const folder = await mkdtemp(join(tmpdir(), "tandem-failover-"));
    await chmod(folder, 0o755);
    const port = await findFreePort();
    return new FailoverServers(folder, port, await startPrimary(folder, port));
  }

  /** As the login that serves. */
  get url(): string {
    return this.#primary.url;
  }

  get adminUrl(): string {
    return this.#primary.adminUrl;
  }

  /** Whatever is committed from now on, the standby will lack. The server is away for a moment. */
  async holdStandbyBack(): Promise<void> {
    await this.#primary[Symbol.asyncDispose]();
    await cp(join(this.#folder, "primary"), join(this.#folder, "standby"), {
      recursive: true,
      preserveTimestamps: true,
    });
    await copyOwners(this.#folder);
    this.#primary = await startPrimary(this.#folder, this.#port);
  }

  /** Ends the server and starts the standby in its place, which is not promoted yet. */
  async startStandby(): Promise<void> {
    await this.#primary[Symbol.asyncDispose]();
    const cluster = await openStandby(this.#folder);
    await writeFile(join(cluster.clusterDir, "standby.signal"), "");
    this.#standby = spawn(join(cluster.binDir, "postgres"), ["-D", cluster.clusterDir, ...settings(this.#port)], {
      ...spawnOptions(cluster),
      stdio: "ignore",
    });
    await vi.waitFor(() => this.#ask("SELECT 1"), { timeout: EVENTUALLY_MS, interval: 50 });
  }

  async promote(): Promise<void> {
    await this.#ask("SELECT pg_promote(true, 60)");
  }

  /** The old server comes back in the place of the one that took over. */
  async bringBackPrimary(): Promise<void> {
    await this.#endStandby();
    this.#primary = await startPrimary(this.#folder, this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#primary[Symbol.asyncDispose]();
    await this.#endStandby();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #endStandby(): Promise<void> {
    if (this.#standby?.exitCode !== null) return;
    const ended = once(this.#standby, "exit");
    this.#standby.kill("SIGQUIT");
    await ended;
  }

  async #ask(statement: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.#primary.adminUrl });
    client.on("error", () => {});
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  }
}

function startPrimary(folder: string, port: number): Promise<EmbeddedServer> {
  return startEmbeddedPostgres({ dataDir: join(folder, "primary"), port, durable: false });
}

function openStandby(folder: string): Promise<Cluster> {
  const life = { isEphemeral: false, isDurable: false };
  return openCluster(join(folder, "standby"), life, AbortSignal.timeout(EVENTUALLY_MS));
}

// As root, PostgreSQL runs as another account, whose the files have to be.
async function copyOwners(folder: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(join(folder, "primary", "cluster"));
  const child = spawn("chown", ["-R", `${uid}:${gid}`, join(folder, "standby")], { stdio: "ignore" });
  await once(child, "exit");
}

function settings(port: number): string[] {
  const values = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    fsync: "off",
    timezone: "UTC",
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}
