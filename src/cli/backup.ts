import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { Command } from "commander";
import type { CopiedFile } from "../backup/copy-files.ts";
import { given } from "../domain/given.ts";
import { untilInterrupted } from "./shared/following.ts";
import { formatJson } from "./shared/output.ts";
import { tellNowAndThen } from "./shared/progress.ts";
import { loadStoreConfig } from "./shared/store-options.ts";
import { databaseUsed, sayUsed } from "./shared/used.ts";

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

/** `tandem backup`: copies the embedded database while it serves. */
export function backupCommand(): Command {
  return new Command("backup")
    .requiredOption("--to <folder>", "the folder: empty or not existing")
    .option("--data-dir <folder>", "data folder (TANDEM_DATA_DIR); works beside a running server")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
The copy has everything acknowledged before the backup ended. It holds the keys too: protect it like the data folder.
\`tandem restore\` makes a new data folder from it. Back up your own PostgreSQL with its own tools.

Example:
  tandem backup --to /backups/2026-11-30`,
    )
    .action(backUp);
}

async function backUp({ to, json, dataDir }: { to: string; dataDir?: string; json?: true }): Promise<void> {
  const config = loadStoreConfig(given({ dataDir }));
  if (config.databaseUrl !== undefined)
    throw new Error(
      "TANDEM_DATABASE_URL names your own PostgreSQL, but this command copies only Tandem's: use pg_basebackup or your provider's tool",
    );
  // Loaded only here: the commands that talk to a server need not wait for all of one.
  const { assertClusterThere } = await import("../store/postgres/postgres-cluster.ts");
  const { refuseHalfRestored } = await import("../backup/restoring.ts");
  const { startEmbeddedPostgres } = await import("../store/postgres/embedded-postgres.ts");
  const { makeBackup } = await import("../backup/make-backup.ts");
  const postgres = join(config.dataDir, "postgres");
  await refuseHalfRestored(config.dataDir);
  await assertClusterThere(postgres);
  sayUsed({ database: databaseUsed(undefined, config.dataDir) });
  const signal = untilInterrupted();
  await using server = await startEmbeddedPostgres({ dataDir: postgres, signal });
  const { erasureJournal, erasureKeyFile } = config;
  const source = {
    dataDir: config.dataDir,
    adminUrl: server.adminUrl,
    erasureJournal,
    erasureKeyFile,
    revokedFile: config.revokedFile ?? join(config.dataDir, "keys", "revoked"),
    tandemVersion: version,
  };
  const { files, throughTime } = await makeBackup(source, { to, signal, onFile: tellFiles("copied") });
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (json) console.log(formatJson({ folder: resolve(to), files: files.length, bytes, throughTime }));
  else
    console.log(
      `${files.length} files, ${formatMiB(bytes)}. ${resolve(to)} holds everything acknowledged before ${throughTime}.`,
    );
}

/** Says how much is done. */
export function tellFiles(done: string): (file: CopiedFile) => void {
  let files = 0;
  let bytes = 0;
  const tell = tellNowAndThen(() => `${files} files, ${formatMiB(bytes)} ${done}`);
  return (file) => {
    files++;
    bytes += file.bytes;
    tell(file);
  };
}

function formatMiB(bytes: number): string {
  return `${(bytes / (1024 * 1024)).toFixed(1)} MiB`;
}
