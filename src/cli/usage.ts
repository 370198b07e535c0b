import { Command } from "commander";
import { closeCommand } from "./usage/close.ts";
import { restatementsCommand } from "./usage/restatements.ts";
import { showCommand } from "./usage/show.ts";

/** `tandem usage`: what customers' numbers called and received. */
export function usageCommand(): Command {
  return new Command("usage")
    .addCommand(showCommand(), { isDefault: true })
    .addCommand(closeCommand())
    .addCommand(restatementsCommand());
}
