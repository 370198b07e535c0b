import { chmod, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { makeFolder, syncFolder } from "../files/files.ts";
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
  /** Empty or not existing. */
  readonly to: string;
  readonly signal: AbortSignal;
  readonly onFile?: (file: CopiedFile) => void;
}

export const CLUSTER_PATH = "postgres/cluster";

/**
 * Copies the embedded database while it serves, with the keys and the journal of erasures, into a
 * folder for its owner only. A failure empties the folder; a kill leaves one without a manifest,
 * which is no backup.
 */
export async function makeBackup(source: BackupSource, { to, signal, onFile }: BackupOptions): Promise<Manifest> {
  const folder = await makeTarget(to, source.dataDir);
  try {
    return await new Backup(source, folder, signal, onFile).make();
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

class Backup {
  readonly #source: BackupSource;
  readonly #folder: string;
  readonly #signal: AbortSignal;
  readonly #onFile: (file: CopiedFile) => void;
  readonly #folders = new Set<string>();
  readonly #files: CopiedFile[] = [];

  constructor(source: BackupSource, folder: string, signal: AbortSignal, onFile: BackupOptions["onFile"]) {
    this.#source = source;
    this.#folder = folder;
    this.#signal = signal;
    this.#onFile = onFile ?? (() => {});
  }

  async make(): Promise<Manifest> {
    const { adminUrl, erasureJournal, revokedFile, tandemVersion } = this.#source;
    const clusterDir = join(this.#source.dataDir, CLUSTER_PATH);
    const { label, throughTime, systemIdentifier } = await takeBaseBackup(
      adminUrl,
      {
        copyFiles: async (signal) => this.#copyCluster(clusterDir, await listClusterFiles(clusterDir), signal),
        copyWal: async (range, signal) =>
          this.#copyCluster(clusterDir, { folders: [], files: await listWalFiles(clusterDir, range) }, signal),
      },
      this.#signal,
    );
    this.#add("postgres/cluster/backup_label", await writeText(this.#place("postgres/cluster/backup_label"), label));
    // After the database, so the journal has every erasure of the copy.
    await this.#copyBeside();
    this.#signal.throwIfAborted();
    for (const folder of this.#folders) await syncFolder(join(this.#folder, folder));
    const manifest: Manifest = {
      tandemVersion,
      postgresVersion: POSTGRES_VERSION,
      systemIdentifier,
      throughTime,
      erasureJournal: resolve(erasureJournal),
      revokedFile: resolve(revokedFile),
      folders: [...this.#folders].sort(),
      files: this.#files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    };
    await writeManifest(this.#folder, manifest);
    return manifest;
  }

  async #copyCluster(clusterDir: string, { folders, files }: ClusterFiles, signal: AbortSignal): Promise<void> {
    await assertRoom(this.#folder, await sizeOf(clusterDir, files));
    for (const folder of folders) await this.#makeFolder(`${CLUSTER_PATH}/${folder}`);
    const control = files.at(-1);
    await eachOf(files.slice(0, -1), (file) => this.#copy(join(clusterDir, file), `${CLUSTER_PATH}/${file}`, signal));
    // The control file, or the end of the log.
    if (control !== undefined) await this.#copy(join(clusterDir, control), `${CLUSTER_PATH}/${control}`, signal);
  }

  async #copyBeside(): Promise<void> {
    const { dataDir, erasureJournal, erasureKeyFile, revokedFile } = this.#source;
    const keys = join(dataDir, "keys");
    const names = (await readdir(keys).catch(nothingIfGone)).filter(
      (name) => !name.startsWith("lock") && name !== "revoked",
    );
    const files = [
      ...["password", "password-service"].map((name) => [join(dataDir, "postgres", name), `postgres/${name}`] as const),
      ...names.map((name) => [join(keys, name), `keys/${name}`] as const),
      [revokedFile, "keys/revoked"] as const,
      [erasureJournal, "erasures.journal"] as const,
      [erasureKeyFile, "erasures.key"] as const,
    ];
    for (const [from, to] of files) await this.#copy(from, to, this.#signal);
  }

  async #copy(from: string, path: string, signal: AbortSignal): Promise<void> {
    await this.#makeFolder(dirname(path));
    const copied = await copyFile({ from, to: this.#place(path), signal });
    if (copied) this.#add(path, copied);
  }

  async #makeFolder(path: string): Promise<void> {
    if (path === "." || this.#folders.has(path)) return;
    await this.#makeFolder(dirname(path));
    await makeFolder(this.#place(path), 0o700);
    this.#folders.add(path);
  }

  #place(path: string): string {
    return join(this.#folder, path);
  }

  #add(path: string, copied: Omit<CopiedFile, "path">): void {
    const file = { path, ...copied };
    this.#files.push(file);
    this.#onFile(file);
  }
}

// A server that trusts another issuer has no keys of its own.
function nothingIfGone(error: NodeJS.ErrnoException): [] {
  if (error.code === "ENOENT") return [];
  throw error;
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
