import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const STATE_DIR = "/var/lib/tandem";

/**
 * The data folder: the one that was named, else `./.tandem`. PostgreSQL never runs as root, though,
 * and its account cannot walk into a folder that is closed to others, such as /root: then the
 * default is a folder in /var/lib/tandem, one for each working folder, so that two checkouts do not
 * share an exchange unasked.
 */
export function chooseDataDir(
  named: string | undefined,
  { cwd = process.cwd(), isRoot = process.getuid?.() === 0 }: { cwd?: string; isRoot?: boolean } = {},
): { readonly dataDir: string; readonly dataDirReason: string | undefined } {
  if (named !== undefined) return { dataDir: resolve(cwd, named), dataDirReason: undefined };
  const usual = join(cwd, ".tandem");
  // Whoever opened the way once has data there, and wants to find it.
  const closed = isRoot && !existsSync(join(usual, "postgres", "cluster")) ? findFolderClosedToOthers(cwd) : undefined;
  if (closed === undefined) return { dataDir: usual, dataDirReason: undefined };
  return {
    dataDir: join(STATE_DIR, realpathSync(cwd).replaceAll("/", "-").slice(1)),
    dataDirReason: `PostgreSQL does not run as root, and no other account can enter ${closed}`,
  };
}

/**
 * The first folder on the way to `path`, itself included, that others than its owner and group
 * cannot enter.
 */
export function findFolderClosedToOthers(path: string): string | undefined {
  const folders: string[] = [];
  for (let folder = realpathSync(path); ; folder = dirname(folder)) {
    folders.unshift(folder);
    if (folder === dirname(folder)) break;
  }
  return folders.find((folder) => (statSync(folder).mode & 0o001) === 0);
}
