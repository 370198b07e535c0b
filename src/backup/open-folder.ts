import { chmod } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "../files/files.ts";

/**
 * PostgreSQL's own account, when we run as root, must be able to walk through, whatever the umask;
 * what is secret has folders of its own.
 */
export async function makeOpenFolder(path: string): Promise<void> {
  const firstMade = await makeFolder(path);
  if (firstMade === undefined) return;
  for (let folder = path; folder.length >= firstMade.length; folder = dirname(folder)) await chmod(folder, 0o755);
}
