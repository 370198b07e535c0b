import { Command } from "commander";
import { commitCommand, resolveCommand } from "./cdrs/cursors.ts";
import { consumersCommand, feedCommand } from "./cdrs/feed.ts";
import { followCommand } from "./cdrs/follow.ts";
import { ingestCommand } from "./cdrs/ingest.ts";
import { getCommand, listCommand } from "./cdrs/list.ts";
import { qualityCommand } from "./cdrs/quality.ts";
import { showCommand } from "./cdrs/show.ts";

/** `tandem cdrs`: a carrier's call detail records. */
export function cdrsCommand(): Command {
  return new Command("cdrs")
    .addCommand(followCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(getCommand())
    .addCommand(ingestCommand())
    .addCommand(feedCommand())
    .addCommand(consumersCommand())
    .addCommand(resolveCommand())
    .addCommand(commitCommand())
    .addCommand(qualityCommand());
}
