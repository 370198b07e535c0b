import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile, realpath, rm, stat } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "../../files/files.ts";
import { addHold, endHold, withFolderLock } from "../../files/folder-lock.ts";
import { ensureRoles, SERVICE_USER } from "./embedded-roles.ts";
import { CLUSTER_USER, type Cluster, openCluster, spawnOptions } from "./postgres-cluster.ts";
import { findPostmaster, isPostmasterOf, type Postmaster, stopPostmaster } from "./postmaster.ts";

const DATABASE = "tandem";
const START_WAIT_MS = 60_000;
const START_ATTEMPTS = 5;
const POLL_MS = 10;
const MAX_LOG_BYTES = 8 * 1024 * 1024;

export interface EmbeddedPostgresOptions {
  /** The folder of the cluster, its passwords and its log; private to PostgreSQL's account. */
  readonly dataDir: string;
  /** The port on 127.0.0.1. Default: a free one at each start. An adopted server keeps its port. */
  readonly port?: number;
  /** For tests and demos: fast, not durable, ends with this process, removes the folder. */
  readonly ephemeral?: boolean;
  /** Whether a commit is on disk when it returns. Default: unless ephemeral. */
  readonly durable?: boolean;
  /** Ends the wait for a start. */
  readonly signal?: AbortSignal;
  /** Longest wait for a start, milliseconds. Default: a minute. A recovery may take longer. */
  readonly startWaitMs?: number;
}

export interface EmbeddedServer extends AsyncDisposable {
  /** As the service, with password and database; never log it. */
  readonly url: string;
  /** As the superuser, whom row security does not bind: for repairs and tests. Never log it. */
  readonly adminUrl: string;
  readonly port: number;
  readonly pid: number;
  /** Whether the server ran already: its owner died, or another process shares the folder. */
  readonly isAdopted: boolean;
  /** Whether the server's process lives. Whether it answers is not asked. */
  isRunning(): boolean;
  /**
   * Starts the server again after its process ended, or adopts one that another process has
   * started. The port stays the same unless it was taken, and then the URLs change.
   */
  revive(signal: AbortSignal): Promise<void>;
}

/**
 * Starts PostgreSQL on a data folder, or adopts the one that runs there. Processes that share a
 * folder share the server; the last of them to dispose stops it. It listens on 127.0.0.1 only and
 * asks for the folder's password.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedServer> {
  const timeout = AbortSignal.timeout(options.startWaitMs ?? START_WAIT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  signal.throwIfAborted();
  await makeFolder(options.dataDir, 0o700);
  const dataDir = await realpath(options.dataDir);
  return await withFolderLock(dataDir, signal, async () => {
    const { ephemeral: isEphemeral = false, durable: isDurable = !isEphemeral } = options;
    const cluster = await openCluster(dataDir, { isEphemeral, isDurable }, signal);
    return (await adoptRunning(cluster, signal)) ?? (await startAndHold(cluster, options.port, signal));
  });
}

/** Adopts the running server. One that was just killed may have a process that answers nobody. */
async function adoptRunning(cluster: Cluster, signal: AbortSignal): Promise<EmbeddedServer | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    const running = await awaitRunning(cluster, signal);
    if (!running) return undefined;
    try {
      await ensureRoles(accessTo(cluster, running.port), signal);
      return await holdServer(cluster, running, true);
    } catch (error) {
      if (attempt === START_ATTEMPTS) throw error;
      await sleep(100 * attempt, undefined, { signal });
    }
  }
}

async function startAndHold(cluster: Cluster, port: number | undefined, signal: AbortSignal): Promise<EmbeddedServer> {
  const postmaster = await startPostmaster(cluster, () => port, signal);
  try {
    await ensureRoles(accessTo(cluster, postmaster.port), signal);
    return await holdServer(cluster, postmaster, false);
  } catch (error) {
    await stopPostmaster(cluster.clusterDir, postmaster.pid, cluster.isEphemeral);
    throw error;
  }
}

/** Called under the folder's lock. */
async function holdServer(cluster: Cluster, first: Postmaster, isAdopted: boolean): Promise<EmbeddedServer> {
  const hold = await addHold(cluster.dataDir);
  const watch = ({ pid }: Postmaster) => (cluster.isEphemeral ? watchOwner(cluster, pid) : undefined);
  let postmaster = first;
  let watcher = watch(postmaster);
  let disposal: Promise<void> | undefined;
  return {
    get url() {
      return accessTo(cluster, postmaster.port).serviceUrl;
    },
    get adminUrl() {
      return accessTo(cluster, postmaster.port).adminUrl;
    },
    get port() {
      return postmaster.port;
    },
    get pid() {
      return postmaster.pid;
    },
    isAdopted,
    isRunning: () => isPostmasterOf(postmaster.pid, cluster.clusterDir),
    revive: async (signal) => {
      postmaster = await revive(cluster, postmaster.port, signal);
      watcher?.kill("SIGKILL");
      watcher = watch(postmaster);
    },
    [Symbol.asyncDispose]: () => {
      disposal ??= release(cluster, hold, watcher);
      return disposal;
    },
  };
}

/**
 * A server on a cluster that had one. It makes no cluster: an empty one would look like the loss of
 * everything.
 */
function revive(cluster: Cluster, port: number, signal: AbortSignal): Promise<Postmaster> {
  return withFolderLock(cluster.dataDir, signal, async () => {
    const running = await awaitRunning(cluster, signal);
    // Whoever knows the port should find the server there again.
    const portOf = (attempt: number) => (attempt < START_ATTEMPTS ? port : undefined);
    return running ?? (await startPostmaster(cluster, portOf, signal));
  });
}

async function release(cluster: Cluster, hold: string, watcher?: ChildProcess): Promise<void> {
  watcher?.kill("SIGKILL");
  const isLast = await withFolderLock(cluster.dataDir, AbortSignal.timeout(START_WAIT_MS), async () => {
    if ((await endHold(cluster.dataDir, hold)) > 0) return false;
    // It may be another server than the one that this process opened: that one may have crashed.
    const postmaster = await findPostmaster(cluster.clusterDir);
    if (postmaster) await stopPostmaster(cluster.clusterDir, postmaster.pid, cluster.isEphemeral);
    return true;
  });
  if (isLast && cluster.isEphemeral) await rm(cluster.dataDir, { recursive: true, force: true, maxRetries: 3 });
}

/** A shell that reads our pipe until it closes, even because we are killed, and then cleans up. */
function watchOwner(cluster: Cluster, pid: number): ChildProcess {
  const script = `
    while read -r _; do :; done
    kill -INT "$0" 2>/dev/null
    for _ in $(seq 50); do kill -0 "$0" 2>/dev/null || break; sleep 0.1; done
    rm -rf "$1"`;
  const watcher = spawn("/bin/sh", ["-c", script, String(pid), cluster.dataDir], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watcher.unref();
  (watcher.stdin as Socket).unref();
  return watcher;
}

/** The server that is running on the cluster, once it is ready; undefined when there is none. */
async function awaitRunning(cluster: Cluster, signal: AbortSignal): Promise<Postmaster | undefined> {
  for (;;) {
    const postmaster = await findPostmaster(cluster.clusterDir);
    if (!postmaster || postmaster.isReady) return postmaster;
    await sleep(POLL_MS, undefined, { signal });
  }
}

/**
 * Several attempts: a port may be taken meanwhile, and a killed server's processes leave slowly.
 */
async function startPostmaster(
  cluster: Cluster,
  portOf: (attempt: number) => number | undefined,
  signal: AbortSignal,
): Promise<Postmaster> {
  for (let attempt = 1; ; attempt += 1) {
    const postmaster = await spawnPostmaster(cluster, portOf(attempt) ?? (await findFreePort()), signal);
    if (postmaster) return postmaster;
    if (attempt === START_ATTEMPTS) {
      const log = await readFile(cluster.logPath, "utf8");
      throw new Error(`PostgreSQL does not start; the end of ${cluster.logPath}:\n${log.slice(-2000)}`);
    }
    await sleep(100 * attempt, undefined, { signal });
  }
}

/** One attempt; undefined when the process ended before it was ready. */
async function spawnPostmaster(cluster: Cluster, port: number, signal: AbortSignal): Promise<Postmaster | undefined> {
  const log = await openLog(cluster);
  // Its own process group, so that Ctrl-C in a terminal reaches us only and we stop it in order.
  const child = spawn(join(cluster.binDir, "postgres"), ["-D", cluster.clusterDir, ...serverSettings(cluster, port)], {
    ...spawnOptions(cluster),
    stdio: ["ignore", log.fd, log.fd],
    detached: true,
  });
  child.unref();
  try {
    await once(child, "spawn", { signal });
  } finally {
    await log.close();
  }
  try {
    while (child.exitCode === null && child.signalCode === null) {
      const postmaster = await findPostmaster(cluster.clusterDir);
      if (postmaster?.pid === child.pid && postmaster?.isReady) return postmaster;
      await sleep(POLL_MS, undefined, { signal });
    }
    return undefined;
  } catch (error) {
    child.kill("SIGQUIT");
    throw error;
  }
}

function serverSettings(cluster: Cluster, port: number): string[] {
  const settings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    max_connections: "100",
    shared_buffers: "128MB",
    timezone: "UTC",
    log_timezone: "UTC",
    jit: "off",
  };
  if (!cluster.isDurable) Object.assign(settings, { fsync: "off", synchronous_commit: "off", full_page_writes: "off" });
  return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/** Starts the log anew when it has grown past its limit. */
async function openLog(cluster: Cluster) {
  const size = await stat(cluster.logPath).then(
    (file) => file.size,
    () => 0,
  );
  return await open(cluster.logPath, size > MAX_LOG_BYTES ? "w" : "a", 0o600);
}

function accessTo({ password, servicePassword }: Cluster, port: number) {
  const url = (user: string, secret: string) => `postgresql://${user}:${secret}@127.0.0.1:${port}/${DATABASE}`;
  return { adminUrl: url(CLUSTER_USER, password), serviceUrl: url(SERVICE_USER, servicePassword), servicePassword };
}

/** A port of this machine that nobody listens on. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
