import { Command } from "commander";
import { commandLineActor } from "./actor.ts";
import { formatJson } from "./output.ts";
import { openStoreOnly, type StoreOptions, withStoreOptions } from "./store-options.ts";

/** `tandem epoch`: what a restore needs. */
export function epochCommand(): Command {
  return new Command("epoch").description("Feed epochs: a step of every restore.").addCommand(rotateCommand());
}

function rotateCommand(): Command {
  return withStoreOptions(new Command("rotate"))
    .description("Begin a new epoch of every feed: the last step of every restore and of every lossy failover.")
    .option("--yes", "do it")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
After a restore, feeds may lack entries that clients have seen. With a new epoch the cursors of before are refused with
FEED_EPOCH_CHANGED, and clients begin again from an ingest time before the restore point. Stop the servers first.

Example:
  tandem epoch rotate --yes`,
    )
    .action(async (options: StoreOptions & { yes?: true; json?: true }, command: Command) => {
      if (!options.yes) {
        command.error("error: every client will have to begin its feeds again; if that is meant, add --yes");
      }
      await using store = await openStoreOnly(options);
      const { rotateEpochs } = await import("../store/installation.ts");
      const { carriers } = await rotateEpochs(store.db, commandLineActor());
      console.log(options.json ? formatJson({ carriers }) : `The feeds of ${carriers} carriers are in a new epoch.`);
    });
}
