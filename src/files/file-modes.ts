import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";

/**
 * The mode of a file, as `0644`, if anyone but its owner and root can read (or change) it.
 *
 * A group may, if the file is root's and the group is one of ours. Orchestrators hand out secrets
 * so to processes that are not root (fsGroup), and such a process has no other way to read them.
 */
export async function findOpenMode(file: string | undefined, to: "read" | "write"): Promise<string | undefined> {
  const found = file === undefined ? undefined : await stat(file).catch(() => undefined);
  if (!found || !isOpen(found, to === "read" ? 0o6 : 0o2)) return undefined;
  return (found.mode & 0o777).toString(8).padStart(4, "0");
}

// What others could write they could also make readable.
function isOpen({ mode, uid, gid }: Stats, rights: number): boolean {
  if ((mode & rights) !== 0) return true;
  return (mode & (rights << 3)) !== 0 && !(uid === 0 && isOurGroup(gid));
}

// Where there are no groups, as on Windows, modes say nothing of others.
function isOurGroup(gid: number): boolean {
  return process.getgid === undefined || process.getgid() === gid || (process.getgroups?.() ?? []).includes(gid);
}
