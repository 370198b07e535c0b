import { randomBytes } from "node:crypto";
import { link, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "./files.ts";

const LOCK_WAIT_MS = 60_000;
const LOCK_POLL_MS = 20;

/** This process's locks and holds: a pid in a file may be ours from an earlier life. */
const ours = new Set<string>();

/** Runs `work` alone for a folder, over all processes. Breaks the lock of a process that died. */
export async function withFolderLock<T>(folder: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const lockPath = join(folder, "lock");
  const token = newToken();
  const tokenPath = join(folder, `lock.${token}`);
  ours.add(token);
  try {
    await writeFile(tokenPath, token);
    await acquire(lockPath, tokenPath, signal);
    try {
      return await work();
    } finally {
      await rm(lockPath, { force: true });
    }
  } finally {
    await rm(tokenPath, { force: true });
    ours.delete(token);
  }
}

/** Records that this process uses the folder's server; the token ends the hold. */
export async function addHold(folder: string): Promise<string> {
  const token = newToken();
  ours.add(token);
  await makeFolder(join(folder, "holds"));
  await writeFile(join(folder, "holds", token), "");
  return token;
}

/** Ends a hold, forgets those of dead processes, and returns how many remain. */
export async function endHold(folder: string, token: string): Promise<number> {
  ours.delete(token);
  let remaining = 0;
  for (const other of await readdir(join(folder, "holds"))) {
    if (isTokenAlive(other)) remaining += 1;
    else await rm(join(folder, "holds", other), { force: true });
  }
  return remaining;
}

/** True unless no process has this id. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function newToken(): string {
  return `${process.pid}-${randomBytes(6).toString("hex")}`;
}

function isTokenAlive(token: string): boolean {
  const pid = Number.parseInt(token, 10);
  return pid === process.pid ? ours.has(token) : pid > 0 && isProcessAlive(pid);
}

async function acquire(lockPath: string, tokenPath: string, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + LOCK_WAIT_MS;
  // A link, unlike an exclusive create, makes the file appear with its content.
  while (!(await tryLink(tokenPath, lockPath))) {
    const holder = await readFile(lockPath, "utf8").catch(() => undefined);
    if (holder !== undefined && !isTokenAlive(holder)) {
      await breakLock(lockPath);
      continue;
    }
    if (performance.now() > deadline)
      throw new Error(`${lockPath} has been held by process ${holder} for ${LOCK_WAIT_MS} ms`);
    await sleep(LOCK_POLL_MS, undefined, { signal });
  }
}

/** Moves a dead process's lock away; puts it back if it is a new one of a living process. */
async function breakLock(lockPath: string): Promise<void> {
  const aside = `${lockPath}.${newToken()}`;
  try {
    await rename(lockPath, aside);
  } catch {
    return; // somebody else broke it
  }
  if (isTokenAlive(await readFile(aside, "utf8"))) await tryLink(aside, lockPath);
  await rm(aside, { force: true });
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
