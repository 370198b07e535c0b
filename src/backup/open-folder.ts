import { chmod } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "../files/files.ts";

/** Makes a folder that PostgreSQL's account can enter, if we are root. Secrets have others. */
export async function makeOpenFolder(path: string): Promise<void> {
  const firstMade = await makeFolder(path);
  if (firstMade === undefined) return;
  for (let folder = path; folder.length >= firstMade.length; folder = dirname(folder)) await chmod(folder, 0o755);
}
