import { chmod, mkdtemp, readdir, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MEMORY = "/dev/shm";
/** What a run may need, several times over, bytes. */
const ROOM = 8 * 2 ** 30;
const NAME = /^tandem-run-(\d+)-/;

/**
 * Makes the folder that is this run's TMPDIR, in memory where there is much of it: to copy a
 * database of 1,300 small files there costs a tenth of what it costs on a disk. Removes it when
 * disposed, and first what runs that were killed have left.
 */
export async function makeRunFolder(): Promise<AsyncDisposable> {
  const before = process.env["TMPDIR"];
  const base = (await hasRoom()) ? MEMORY : tmpdir();
  for (const name of await readdir(base)) {
    const pid = NAME.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await remove(join(base, name));
  }
  const folder = await mkdtemp(join(base, `tandem-run-${process.pid}-`));
  // PostgreSQL's own account walks through it.
  await chmod(folder, 0o755);
  process.env["TMPDIR"] = folder;
  return {
    [Symbol.asyncDispose]: async () => {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
      await remove(folder);
    },
  };
}

async function hasRoom(): Promise<boolean> {
  const free = await statfs(MEMORY).catch(() => undefined);
  return free !== undefined && free.bavail * free.bsize >= ROOM;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function remove(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 5 });
}
