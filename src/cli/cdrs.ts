import { Command } from "commander";
import { consumersCommand, feedCommand } from "./cdrs/feed.ts";
import { followCommand } from "./cdrs/follow.ts";
import { getCommand, listCommand } from "./cdrs/list.ts";
import { qualityCommand } from "./cdrs/quality.ts";

/** `tandem cdrs`: a carrier's call detail records. */
export function cdrsCommand(): Command {
  return new Command("cdrs")
    .addCommand(followCommand())
    .addCommand(listCommand())
    .addCommand(getCommand())
    .addCommand(feedCommand())
    .addCommand(consumersCommand())
    .addCommand(qualityCommand());
}
