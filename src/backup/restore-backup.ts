import { chmod, chown, mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ErasureJournal, MAX_JOURNAL_BYTES } from "../erasure/journal.ts";
import { readErasureKey } from "../erasure/key-file.ts";
import { ifThere, makeFolder, readLines, syncFolder } from "../files/files.ts";
import { openDatabase } from "../store/database/database.ts";
import { migrate } from "../store/database/migrate.ts";
import { rotateEpochs } from "../store/feeds/epochs.ts";
import { startEmbeddedPostgres } from "../store/postgres/embedded-postgres.ts";
import { choosePostgresAccount } from "../store/postgres/postgres-account.ts";
import { POSTGRES_VERSION } from "../store/postgres/postgres-cluster.ts";
import { findPostmaster } from "../store/postgres/postmaster.ts";
import { assertRoom, type CopiedFile, copyFile, eachOf } from "./copy-files.ts";
import { CLUSTER_PATH } from "./make-backup.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import { makeOpenFolder } from "./open-folder.ts";
import { restoringFolder } from "./restoring.ts";

export interface RestoreOptions {
  readonly from: string;
  readonly dataDir: string;
  /** Further journals that may hold later erasures. */
  readonly journals: readonly string[];
  /** For the audit log. */
  readonly actor: string;
  readonly signal: AbortSignal;
  readonly onFile?: (file: CopiedFile) => void;
}

export interface Restored {
  readonly manifest: Manifest;
  /** Carriers whose feeds began a new epoch. */
  readonly carriers: number;
  /** Erasures in the journal, and those that the backup lacks: they are repeated before serving. */
  readonly erasures: number;
  readonly laterErasures: number;
  /** Further journals that were found. */
  readonly journals: readonly string[];
}

/** Recovery replays the log written during the backup. */
const RECOVERY_WAIT_MS = 24 * 3_600_000;
const JOURNAL = "erasures.journal";
const KEY = "erasures.key";

/**
 * Makes a new data folder from a backup: checks every file, recovers on a new timeline, migrates,
 * begins a new epoch of every feed, and only then moves everything into place. If it ends early, it
 * leaves nothing that could be served.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { from, signal } = options;
  const dataDir = resolve(options.dataDir);
  const manifest = await readManifest(from);
  if (manifest.postgresVersion !== POSTGRES_VERSION)
    throw new Error(
      `the backup in ${from} is of PostgreSQL ${manifest.postgresVersion}, and this Tandem brings ${POSTGRES_VERSION}: restore it with Tandem ${manifest.tandemVersion}`,
    );
  await assertFree(dataDir);
  await makeOpenFolder(dataDir);
  const folder = restoringFolder(dataDir);
  // Not recursive: the second of two simultaneous restores fails here.
  await mkdir(folder, { mode: 0o755 });
  await chmod(folder, 0o755);
  try {
    await copyBack(options, manifest, folder);
    const erasures = await gatherErasures(options, manifest, folder);
    await gatherRevocations(manifest, folder);
    const carriers = await recover(folder, options);
    signal.throwIfAborted();
    await putInPlace(folder, dataDir);
    return { manifest, carriers, ...erasures };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function assertFree(dataDir: string): Promise<void> {
  const running = await findPostmaster(join(dataDir, CLUSTER_PATH));
  if (running) throw new Error(`a server runs on ${dataDir} (process ${running.pid}): restore into a new folder`);
  const [name] = (await ifThere(readdir(dataDir))) ?? [];
  if (name !== undefined)
    throw new Error(`${dataDir} is not empty (${name}): restore into a folder that is empty or does not exist`);
}

async function copyBack({ from, signal, onFile }: RestoreOptions, manifest: Manifest, folder: string): Promise<void> {
  await assertRoom(
    folder,
    manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
  );
  for (const path of manifest.folders) await makeFolder(join(folder, path), 0o700);
  await eachOf(manifest.files, async (file) => {
    const copied = await copyFile({ from: join(from, file.path), to: join(folder, file.path), signal });
    if (!copied) throw notWhole(from, `${file.path} is missing`);
    if (copied.bytes !== file.bytes) throw notWhole(from, `${file.path} has ${copied.bytes} bytes of ${file.bytes}`);
    if (copied.sha256 !== file.sha256) throw notWhole(from, `${file.path} has changed since it was written`);
    onFile?.(file);
  });
}

function notWhole(from: string, why: string): Error {
  return new Error(`the backup in ${from} is not whole: ${why}`);
}

/** Adds entries of other journals. The key must open all of them, or no server could start. */
async function gatherErasures({ journals, from }: RestoreOptions, manifest: Manifest, folder: string) {
  const path = join(folder, JOURNAL);
  const before = new Set((await ErasureJournal.readEntries(path)).map(({ erasureId }) => erasureId));
  const added = await addLines(path, [...journals, manifest.erasureJournal]);
  const entries = await ErasureJournal.readEntries(path);
  if (entries.length > 0) {
    const key = await readErasureKey(join(folder, KEY)).catch((cause: unknown) => {
      throw unusableKey(from, cause);
    });
    if (!key) throw unusableKey(from);
    const journal = new ErasureJournal(path, key);
    for (const entry of entries) journal.unseal(entry);
  }
  const laterErasures = entries.filter(({ erasureId }) => !before.has(erasureId)).length;
  return { erasures: entries.length, laterErasures, journals: added };
}

function unusableKey(from: string, cause?: unknown): Error {
  return new Error(`the backup in ${from} has no usable key of the erasure journal (${KEY})`, { cause });
}

// What was revoked since the backup stays revoked.
async function gatherRevocations({ revokedFile }: Manifest, folder: string): Promise<void> {
  await makeFolder(join(folder, "keys"), 0o700);
  await addLines(join(folder, "keys", "revoked"), [revokedFile]);
}

/** Adds the missing lines of other files. @returns the files that exist. */
async function addLines(path: string, others: readonly string[]): Promise<string[]> {
  const before = await readLines(path, MAX_JOURNAL_BYTES);
  const all = new Set(before);
  const from: string[] = [];
  for (const other of new Set(others.map((each) => resolve(each)))) {
    const lines = await readLines(other, MAX_JOURNAL_BYTES);
    if (lines.length > 0) from.push(other);
    for (const line of lines) all.add(line);
  }
  if (all.size > new Set(before).size) {
    await writeFile(path, `${[...all].join("\n")}\n`, { mode: 0o600, flush: true });
  }
  return from;
}

/** Starts PostgreSQL on the copy and begins new epochs. @returns the number of carriers. */
async function recover(folder: string, { actor, signal }: RestoreOptions): Promise<number> {
  const postgres = join(folder, "postgres");
  const settings = join(postgres, "cluster", "postgresql.auto.conf");
  const kept = await readFile(settings, "utf8");
  // Recovers as from an archive that holds only the copied log. So it ends on a new timeline, and
  // fails if the log ends before the backup did. Nobody can connect before.
  await writeFile(settings, `${kept}\nrestore_command = 'false'\nhot_standby = off\n`, { mode: 0o600 });
  await writeFile(join(postgres, "cluster", "recovery.signal"), "", { mode: 0o600 });
  await giveToPostgres(postgres);
  let carriers: number;
  {
    await using server = await startEmbeddedPostgres({ dataDir: postgres, signal, startWaitMs: RECOVERY_WAIT_MS });
    await using db = openDatabase({ url: server.url });
    await migrate(db);
    ({ carriers } = await rotateEpochs(db, actor));
  }
  await writeFile(settings, kept, { flush: true });
  return carriers;
}

// As root, PostgreSQL has its own account.
async function giveToPostgres(postgres: string): Promise<void> {
  const account = await choosePostgresAccount(join(postgres, "cluster"));
  if (!account) return;
  const { uid, gid } = account;
  for (const entry of await readdir(postgres, { recursive: true })) await chown(join(postgres, entry), uid, gid);
}

/** The database comes last: no server starts while the folder exists. */
async function putInPlace(folder: string, dataDir: string): Promise<void> {
  const names = (await readdir(folder)).sort((a, b) => Number(a === "postgres") - Number(b === "postgres"));
  for (const name of names) await rename(join(folder, name), join(dataDir, name));
  await syncFolder(dataDir);
  await rmdir(folder);
  await syncFolder(dirname(folder));
}
