import { Command } from "commander";
import { visibleText } from "../domain/privacy/visible-text.ts";
import { commandLineActor } from "./shared/actor.ts";
import { formatJson, printRows, type RowColumn } from "./shared/output.ts";
import { openStoreOnly, type StoreOptions, withStoreOptions } from "./shared/store-options.ts";

/** `tandem clock`: the way out after the database's clock was ahead. */
export function clockCommand(): Command {
  return new Command("clock").addCommand(listCommand()).addCommand(acceptCommand());
}

type ClockOptions = StoreOptions & { json?: true };

function listCommand(): Command {
  return withStoreOptions(new Command("list"))
    .description("List the feeds whose newest ingest time is more than 60 s ahead of the database's clock.")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tandem clock list")
    .action(async (options: ClockOptions) => {
      await using store = await openStoreOnly(options);
      const { systemTransaction } = await import("../store/database/database.ts");
      const { listFeedsAhead } = await import("../store/feeds/feed-clock.ts");
      print(await systemTransaction(store.db, listFeedsAhead), options, "No feed is ahead of the clock.");
    });
}

function acceptCommand(): Command {
  return withStoreOptions(new Command("accept"))
    .description("Allow writes to those feeds before the clock has caught up.")
    .option("--carrier <id>", "only this carrier's feeds")
    .option("--yes", "do it")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Until the clock has caught up, new entries get the feed's newest ingest time. Ingest times never go back, so cursors and
windows by ingest time stay correct; retention counts from that time. Correct the clock first: a feed that runs further
ahead stops again.

Example:
  tandem clock accept --carrier nordlys-tele --yes`,
    )
    .action(async (options: ClockOptions & { carrier?: string; yes?: true }, command: Command) => {
      if (!options.yes) command.error("error: if the database's clock is right by now, add --yes");
      await using store = await openStoreOnly(options);
      const { acceptClock } = await import("../store/feeds/feed-clock.ts");
      const accepted = await acceptClock(store.db, commandLineActor(), options.carrier);
      print(accepted, options, "No feed is ahead of the clock: nothing to accept.");
    });
}

type Ahead = Awaited<ReturnType<typeof import("../store/feeds/feed-clock.ts").listFeedsAhead>>;

const FEED_NAMES: Readonly<Record<number, string>> = { 1: "numbers", 2: "cdrs", 3: "discrepancies", 4: "durations" };

const COLUMNS: readonly RowColumn<Ahead[number]>[] = [
  { title: "carrier", read: ({ carrierId }) => visibleText(carrierId) },
  { title: "feed", read: nameOf },
  { title: "ahead", align: "right", read: ({ aheadSeconds }) => `${aheadSeconds} s` },
  { title: "accepted before", read: ({ isAccepted }) => (isAccepted ? "yes" : "no") },
];

function nameOf({ feed }: Ahead[number]): string {
  return FEED_NAMES[feed] ?? String(feed);
}

function print(feeds: Ahead, { json }: ClockOptions, none: string): void {
  if (!json) printRows(COLUMNS, feeds, none);
  else
    for (const each of feeds) {
      const { carrierId, aheadSeconds, isAccepted } = each;
      console.log(formatJson({ carrierId, feed: nameOf(each), aheadSeconds, isAccepted }));
    }
}
