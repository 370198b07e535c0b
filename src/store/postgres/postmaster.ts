import { readFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isProcessAlive } from "../../files/folder-lock.ts";

const POLL_MS = 10;
const FAST_SHUTDOWN_MS = 30_000;
const IMMEDIATE_SHUTDOWN_MS = 5_000;

/** What postmaster.pid says of the server on a cluster folder. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly isReady: boolean;
}

/** Finds this cluster folder's running server; removes a pid file that names another process. */
export async function findPostmaster(clusterDir: string): Promise<Postmaster | undefined> {
  const pidPath = join(clusterDir, "postmaster.pid");
  const text = await readFile(pidPath, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  // Lines: pid, folder, start time, port, socket folder, address, shared memory key, status.
  const lines = text.split("\n").map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!(pid > 0) || !isProcessAlive(pid)) return undefined; // PostgreSQL itself clears this on start
  if (!isPostmasterOf(pid, clusterDir)) {
    // After a reboot another process may have the id, and PostgreSQL would refuse to start.
    await rm(pidPath, { force: true });
    return undefined;
  }
  return { pid, port: Number(lines[3] ?? 0), isReady: lines[7] === "ready" };
}

/**
 * Stops a server and waits for its end. Fast shutdown rolls open transactions back and writes what
 * was committed, for seconds. An ephemeral cluster, which nobody reads again, ends at once.
 */
export async function stopPostmaster(clusterDir: string, pid: number, isEphemeral: boolean): Promise<void> {
  if (!isEphemeral && (await endsAfter("SIGINT", clusterDir, pid, FAST_SHUTDOWN_MS))) return;
  if (await endsAfter("SIGQUIT", clusterDir, pid, IMMEDIATE_SHUTDOWN_MS)) return;
  throw new Error(`PostgreSQL (process ${pid}) on ${clusterDir} does not stop`);
}

async function endsAfter(name: "SIGINT" | "SIGQUIT", clusterDir: string, pid: number, waitMs: number) {
  const deadline = performance.now() + waitMs;
  if (isPostmasterOf(pid, clusterDir)) process.kill(pid, name);
  while (isPostmasterOf(pid, clusterDir)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/**
 * Whether a process is this cluster's server. On Linux it reads the command line, so a reused id
 * and a zombie do not count.
 */
export function isPostmasterOf(pid: number, clusterDir: string): boolean {
  if (!isProcessAlive(pid)) return false;
  if (process.platform !== "linux") return true;
  return commandLineOf(pid).split("\0").includes(clusterDir);
}

// Asked four times a second. The kernel answers from memory, so a thread for it would cost more.
function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}
