import { mkdir, open, readFile, rename, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder and the missing ones above it. `mkdir`'s recursive way tries again for ever if the
 * system says that a folder it just looked at is not there, as in /proc.
 * @returns the first folder that was made; undefined when it was there.
 */
export async function makeFolder(path: string, mode?: number): Promise<string | undefined> {
  const missing: string[] = [];
  for (let folder = resolve(path); !(await exists(folder)); folder = dirname(folder)) missing.unshift(folder);
  for (const folder of missing) {
    await mkdir(folder, { mode }).catch(async (error: NodeJS.ErrnoException) => {
      // Made by another at the same moment.
      if (error.code !== "EEXIST" || !(await exists(folder))) throw error;
    });
  }
  if (missing.length === 0 && !(await stat(path)).isDirectory()) throw new Error(`${path} is a file, not a folder`);
  return missing[0];
}

/** Sees to it that a folder's entries are on the disk: a new file is in its folder only then. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Replaces a file of its owner alone: a crash leaves the old one or the new one, both whole. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const ownerOnly = 0o600;
  const file = await open(`${path}.new`, "w", ownerOnly);
  try {
    // One that a crash of a version that let others read it has left keeps its mode.
    await file.chmod(ownerOnly);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

/** The lines of a file that are not empty; none when it is not there. Throws beyond `maxBytes`. */
export async function readLines(path: string, maxBytes: number): Promise<string[]> {
  const text = (await ifThere(readFile(path, "utf8"))) ?? "";
  if (text.length > maxBytes) throw new Error(`${path}: expected at most ${maxBytes} bytes`);
  return text.split("\n").filter((line) => line !== "");
}

/** Whether there is a file or folder. */
export async function exists(path: string): Promise<boolean> {
  return (await ifThere(stat(path))) !== undefined;
}

/** What is found of a file or folder; undefined when it is not there. */
export async function ifThere<T>(found: Promise<T>): Promise<T | undefined> {
  return await found.catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}
