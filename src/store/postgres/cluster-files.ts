import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ifThere } from "../../files/files.ts";
import type { WalRange } from "./base-backup.ts";

/** A cluster's folders and files, as paths below it. */
export interface ClusterFiles {
  readonly folders: readonly string[];
  readonly files: readonly string[];
}

/** Folders whose contents a server makes anew, or that belong to the one that runs. */
const EMPTIED: ReadonlySet<string> = new Set([
  "pg_dynshmem",
  "pg_notify",
  "pg_replslot",
  "pg_serial",
  "pg_snapshots",
  "pg_stat_tmp",
  "pg_subtrans",
]);
const LEFT_OUT = /^(postmaster\.(pid|opts)|backup_label(\.old)?|tablespace_map(\.old)?|.*\.signal)$/;
/** Temporary files and tables, and caches. */
const TEMPORARY = /^(pgsql_tmp|pg_internal\.init|t\d+_\d)/;
const WAL = "pg_wal";
const CONTROL = "global/pg_control";

/** What of a cluster a backup copies, the log aside; its control file last. */
export async function listClusterFiles(clusterDir: string): Promise<ClusterFiles> {
  const folders: string[] = [];
  const files: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    for (const { entry, path } of await readEntries(clusterDir, folder)) {
      if (entry.isFile()) files.push(path);
      if (!entry.isDirectory()) continue;
      folders.push(path);
      if (!EMPTIED.has(path)) await visit(path);
    }
  };
  await visit("");
  return { folders, files: [...files.filter(isCopied), CONTROL] };
}

async function readEntries(clusterDir: string, folder: string) {
  // A table, or a partition with its folder, may be dropped meanwhile.
  const entries = (await ifThere(readdir(join(clusterDir, folder), { withFileTypes: true }))) ?? [];
  const lasting = entries.filter(({ name }) => !TEMPORARY.test(name));
  return lasting.map((entry) => ({ entry, path: folder === "" ? entry.name : `${folder}/${entry.name}` }));
}

function isCopied(path: string): boolean {
  return path !== CONTROL && !path.startsWith(`${WAL}/`) && !LEFT_OUT.test(path);
}

/** The files of the log that a backup needs. @throws Error when one is not there. */
export async function listWalFiles(clusterDir: string, { first, last }: WalRange): Promise<string[]> {
  const names = await readdir(join(clusterDir, WAL));
  // One timeline: a server changes to another only when it starts. The rest of a name counts up.
  const needed = names.filter((name) => /^[0-9A-F]{24}$/.test(name) && name >= first && name <= last).sort();
  if (needed[0] !== first || needed.at(-1) !== last)
    throw new Error(`PostgreSQL's log lacks a part between ${first} and ${last}: the backup cannot be used`);
  const histories = names.filter((name) => /^[0-9A-F]{8}\.history$/.test(name));
  return [...histories, ...needed].map((name) => `${WAL}/${name}`);
}
