import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { microsFromTimestamp } from "../domain/time/instant.ts";
import { commandLineActor } from "./shared/actor.ts";
import { formatJson } from "./shared/output.ts";
import { openStoreOnly, type StoreOptions, withStoreOptions } from "./shared/store-options.ts";
import { parseTime } from "./shared/values.ts";

/** `tandem epoch`: what a restore needs. */
export function epochCommand(): Command {
  return new Command("epoch").addCommand(rotateCommand()).addCommand(confirmCommand());
}

function rotateCommand(): Command {
  return withStoreOptions(new Command("rotate"))
    .description("Begin a new epoch of every feed: the last step after a restore or a failover that lost data.")
    .option("--yes", "do it")
    .option(
      "--lost-since <time>",
      "what was acknowledged since then may be lost (default: each feed's newest entry)",
      parseTime,
    )
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
After a restore, feeds may lack entries that clients have seen. A new epoch refuses older cursors with FEED_EPOCH_CHANGED, and
clients begin again from an ingest time before the restore point. Stop the servers first. Opened and GetAgreement tell clients
since when something may be lost: set --lost-since if servers have run since the restore.

Example:
  tandem epoch rotate --yes --lost-since 2026-03-01T12:00:00Z`,
    )
    .action(async (options: StoreOptions & { yes?: true; lostSince?: Timestamp; json?: true }, command: Command) => {
      if (!options.yes) {
        command.error("error: every client will have to begin its feeds again; to do it, add --yes");
      }
      await using store = await openStoreOnly(options);
      const { rotateEpochs } = await import("../store/feeds/epochs.ts");
      const { carriers } = await rotateEpochs(
        store.db,
        commandLineActor(),
        options.lostSince && microsFromTimestamp(options.lostSince),
      );
      console.log(options.json ? formatJson({ carriers }) : `The feeds of ${carriers} carriers are in a new epoch.`);
    });
}

function confirmCommand(): Command {
  return withStoreOptions(new Command("confirm"))
    .description(
      "Confirm the database's new timeline: after a failover that lost nothing, or whose losses clients know of.",
    )
    .option("--yes", "do it")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
No feed begins a new epoch. Until you confirm, each start warns of the failover, and health says NOT_SERVING for the name
tandem.database.timeline only.

Example:
  tandem epoch confirm --yes`,
    )
    .action(async (options: StoreOptions & { yes?: true; json?: true }, command: Command) => {
      if (!options.yes) command.error("error: if nothing was lost, or clients know what was, add --yes");
      await using store = await openStoreOnly(options);
      const { confirmServer } = await import("../store/feeds/epochs.ts");
      const { timeline } = await confirmServer(store.db, commandLineActor());
      const told = { timeline: String(timeline) };
      console.log(options.json ? formatJson(told) : `Timeline ${timeline} of the database is confirmed.`);
    });
}
