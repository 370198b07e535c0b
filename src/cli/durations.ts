import { Command } from "commander";
import { getCommand, listCommand } from "./durations/list.ts";
import { uploadCommand } from "./durations/upload.ts";
import { rejectsCommand, uploadsCommand } from "./durations/uploads.ts";

/** `tandem durations`: what a carrier's own switch says of its calls. */
export function durationsCommand(): Command {
  return new Command("durations")
    .addCommand(uploadCommand())
    .addCommand(uploadsCommand())
    .addCommand(rejectsCommand())
    .addCommand(listCommand())
    .addCommand(getCommand());
}
