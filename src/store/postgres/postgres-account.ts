import type { Stats } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** The system account that PostgreSQL runs as when Tandem itself runs as root. */
export interface PostgresAccount {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The account that PostgreSQL runs as. It refuses to run as root, so if we are root it runs as the
 * owner of the existing cluster, else as `postgres`, else as `nobody`: starting an exchange makes
 * no accounts. Undefined if we are not root: PostgreSQL then runs as we do.
 */
export async function choosePostgresAccount(clusterDir: string): Promise<PostgresAccount | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(clusterDir).catch(() => undefined);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const accounts = await readFile("/etc/passwd", "utf8");
  for (const name of ["postgres", "nobody"]) {
    const fields = accounts.match(new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, "m"));
    if (fields) return { uid: Number(fields[1]), gid: Number(fields[2]) };
  }
  throw new Error("PostgreSQL refuses to run as root, and there is no account postgres or nobody to run it as");
}

/** Finds the first folder above `path` that `account` may not enter. */
export async function findClosedFolder(path: string, account: PostgresAccount): Promise<string | undefined> {
  const folders: string[] = [];
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    folders.unshift(folder);
    if (folder === dirname(folder)) break;
  }
  for (const folder of folders) {
    if (!mayEnter(await stat(folder), account)) return folder;
  }
  return undefined;
}

function mayEnter(folder: Stats, account: PostgresAccount): boolean {
  if (folder.uid === account.uid) return (folder.mode & 0o100) !== 0;
  if (folder.gid === account.gid) return (folder.mode & 0o010) !== 0;
  return (folder.mode & 0o001) !== 0;
}
