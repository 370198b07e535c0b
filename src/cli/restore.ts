import { existsSync } from "node:fs";
import { Command } from "commander";
import { tellFiles } from "./backup.ts";
import { commandLineActor } from "./shared/actor.ts";
import { untilInterrupted } from "./shared/following.ts";
import { formatJson } from "./shared/output.ts";
import { loadStoreConfig } from "./shared/store-options.ts";
import { databaseUsed, sayUsed } from "./shared/used.ts";

interface RestoreCommandOptions {
  readonly from: string;
  readonly dataDir: string;
  readonly journal?: string;
  readonly json?: true;
}

/** `tandem restore`: makes a new data folder from what `tandem backup` made. */
export function restoreCommand(): Command {
  return new Command("restore")
    .requiredOption("--from <folder>", "the backup; it is only read")
    .requiredOption("--data-dir <folder>", "the new data folder: empty or not existing")
    .option("--journal <file>", "the newest journal of erasures, if it has moved since the backup was made")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Stop the old servers first, and serve on the new folder afterwards. What was erased since the backup is erased again before
anything is served, by the journal of erasures: it is looked for where it was when the backup was made. Clients get
FEED_EPOCH_CHANGED, and begin again from an ingest time before the end of the backup.

Example:
  tandem restore --from /backups/2026-11-30 --data-dir /srv/tandem-new
  tandem verify --data-dir /srv/tandem-new
  tandem serve --data-dir /srv/tandem-new`,
    )
    .action(restore);
}

async function restore({ from, dataDir, journal, json }: RestoreCommandOptions): Promise<void> {
  const config = loadStoreConfig({ dataDir });
  if (journal !== undefined && !existsSync(journal))
    throw new Error(`the journal of erasures ${journal} does not exist`);
  // Loaded only here: the commands that talk to a server need not wait for all of one.
  const { restoreBackup } = await import("../backup/restore-backup.ts");
  sayUsed({ database: databaseUsed(undefined, config.dataDir) });
  const restored = await restoreBackup({
    from,
    dataDir: config.dataDir,
    journals: [...(journal === undefined ? [] : [journal]), config.erasureJournal],
    actor: commandLineActor(),
    signal: untilInterrupted(),
    onFile: tellFiles("restored"),
  });
  const { manifest, carriers, erasures, laterErasures, journals } = restored;
  const { throughTime } = manifest;
  if (json) {
    console.log(formatJson({ dataDir: config.dataDir, throughTime, carriers, erasures, laterErasures, journals }));
    return;
  }
  console.log(
    `${config.dataDir} holds the exchange as of ${throughTime}. The feeds of ${carriers} carriers are in a new epoch.`,
  );
  console.log(
    journals.length === 0
      ? `Only the backup's own journal of erasures was found. If anything was erased after ${throughTime}, restore again with --journal.`
      : `The journal lists ${erasures} erasures, ${laterErasures} of them after the backup: those are repeated before anything is served.`,
  );
  console.log("Next: tandem verify, then tandem serve, with this data folder.");
}
