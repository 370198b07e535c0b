import { chmod, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { ifThere, makeFolder, syncFolder } from "../files/files.ts";
import { takeBaseBackup } from "../store/postgres/base-backup.ts";
import { type ClusterFiles, listClusterFiles, listWalFiles } from "../store/postgres/cluster-files.ts";
import { POSTGRES_VERSION } from "../store/postgres/postgres-cluster.ts";
import { assertRoom, type CopiedFile, copyFile, eachOf, emptyFolder, writeText } from "./copy-files.ts";
import { type Manifest, writeManifest } from "./manifest.ts";

/** A data folder whose server runs, and what belongs to it. */
export interface BackupSource {
  readonly dataDir: string;
  /** As the cluster's superuser. Never log it. */
  readonly adminUrl: string;
  readonly erasureJournal: string;
  readonly erasureKeyFile: string;
  readonly revokedFile: string;
  readonly tandemVersion: string;
}

export interface BackupOptions {
  readonly to: string;
  readonly signal: AbortSignal;
  readonly onFile?: (file: CopiedFile) => void;
}

export const CLUSTER_PATH = "postgres/cluster";

/**
 * Copies the embedded database while it serves, with the keys and the journal of erasures, into a
 * folder for its owner only. A failure empties the folder. A kill leaves a folder without a
 * manifest, which is no backup.
 */
export async function makeBackup(source: BackupSource, { to, signal, onFile }: BackupOptions): Promise<Manifest> {
  const folder = await makeTarget(to, source.dataDir);
  try {
    return await fillBackup(source, folder, signal, onFile);
  } catch (error) {
    await emptyFolder(folder);
    throw error;
  }
}

async function makeTarget(to: string, dataDir: string): Promise<string> {
  await makeFolder(to, 0o700);
  const folder = await realpath(to);
  const [name] = await readdir(folder);
  if (name !== undefined) throw new Error(`${to} is not empty (${name}): use a folder for this backup alone`);
  const below = relative(join(await realpath(dataDir), "postgres"), folder);
  if (!below.startsWith("..")) throw new Error(`${to} is inside the database's own folder`);
  await chmod(folder, 0o700);
  return folder;
}

async function fillBackup(
  source: BackupSource,
  folder: string,
  signal: AbortSignal,
  onFile: BackupOptions["onFile"],
): Promise<Manifest> {
  const { dataDir, adminUrl, erasureJournal, revokedFile } = source;
  const clusterDir = join(dataDir, CLUSTER_PATH);
  const copies = new Copies(folder, onFile);
  const copyCluster = async ({ folders, files }: ClusterFiles, until: AbortSignal) => {
    await assertRoom(folder, await sizeOf(clusterDir, files));
    const copy = (file: string) => copies.copy(join(clusterDir, file), `${CLUSTER_PATH}/${file}`, until);
    for (const path of folders) await copies.makeFolder(`${CLUSTER_PATH}/${path}`);
    await eachOf(files.slice(0, -1), copy);
    // The control file, or the end of the log.
    for (const last of files.slice(-1)) await copy(last);
  };
  const { label, throughTime, systemIdentifier } = await takeBaseBackup(
    adminUrl,
    {
      copyFiles: async (until) => copyCluster(await listClusterFiles(clusterDir), until),
      copyWal: async (range, until) =>
        copyCluster({ folders: [], files: await listWalFiles(clusterDir, range) }, until),
    },
    signal,
  );
  const labelPath = `${CLUSTER_PATH}/backup_label`;
  copies.add(labelPath, await writeText(join(folder, labelPath), label));
  // After the database, so the journal has every erasure of the copy.
  for (const [from, to] of await filesBeside(source)) await copies.copy(from, to, signal);
  signal.throwIfAborted();
  for (const path of copies.folders) await syncFolder(join(folder, path));
  const manifest: Manifest = {
    tandemVersion: source.tandemVersion,
    postgresVersion: POSTGRES_VERSION,
    systemIdentifier,
    throughTime,
    erasureJournal: resolve(erasureJournal),
    revokedFile: resolve(revokedFile),
    folders: [...copies.folders].sort(),
    files: copies.files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
  };
  await writeManifest(folder, manifest);
  return manifest;
}

/** What lies beside the database: where it is, and where in the backup it goes. */
async function filesBeside({ dataDir, erasureJournal, erasureKeyFile, revokedFile }: BackupSource) {
  const keys = join(dataDir, "keys");
  // A server that trusts another issuer has no keys of its own.
  const names = (await ifThere(readdir(keys))) ?? [];
  const copied = names.filter((name) => !name.startsWith("lock") && name !== "revoked");
  return [
    ...["password", "password-service"].map((name) => [join(dataDir, "postgres", name), `postgres/${name}`] as const),
    ...copied.map((name) => [join(keys, name), `keys/${name}`] as const),
    [revokedFile, "keys/revoked"] as const,
    [erasureJournal, "erasures.journal"] as const,
    [erasureKeyFile, "erasures.key"] as const,
  ];
}

/** The folders and files of a backup. */
class Copies {
  readonly folders = new Set<string>();
  readonly files: CopiedFile[] = [];
  readonly #folder: string;
  readonly #onFile: BackupOptions["onFile"];

  constructor(folder: string, onFile: BackupOptions["onFile"]) {
    this.#folder = folder;
    this.#onFile = onFile;
  }

  async copy(from: string, path: string, signal: AbortSignal): Promise<void> {
    await this.makeFolder(dirname(path));
    const copied = await copyFile({ from, to: join(this.#folder, path), signal });
    if (copied) this.add(path, copied);
  }

  add(path: string, copied: Omit<CopiedFile, "path">): void {
    const file = { path, ...copied };
    this.files.push(file);
    this.#onFile?.(file);
  }

  async makeFolder(path: string): Promise<void> {
    if (path === "." || this.folders.has(path)) return;
    await this.makeFolder(dirname(path));
    await makeFolder(join(this.#folder, path), 0o700);
    this.folders.add(path);
  }
}

async function sizeOf(folder: string, files: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const file of files)
    bytes += await stat(join(folder, file)).then(
      ({ size }) => size,
      () => 0,
    );
  return bytes;
}
