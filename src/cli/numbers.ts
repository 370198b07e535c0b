import { Command } from "commander";
import { assignCommand, portCommand, unassignCommand } from "./numbers/assign.ts";
import { getCommand, historyCommand, listCommand } from "./numbers/list.ts";
import { provisionCommand, releaseCommand } from "./numbers/provision.ts";
import { watchCommand } from "./numbers/watch.ts";

export function numbersCommand(): Command {
  return new Command("numbers")
    .description("Phone numbers: a carrier provisions and watches them, the platform assigns and ports them.")
    .commandsGroup("Of either side:")
    .addCommand(listCommand())
    .addCommand(getCommand())
    .commandsGroup("Of a carrier (--carrier <id>, or its token):")
    .addCommand(provisionCommand())
    .addCommand(releaseCommand())
    .addCommand(watchCommand())
    .commandsGroup("Of the platform:")
    .addCommand(assignCommand())
    .addCommand(unassignCommand())
    .addCommand(portCommand())
    .addCommand(historyCommand());
}
