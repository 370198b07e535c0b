import { Command } from "commander";

/** `tandem privacy export` */
export function exportCommand(): Command {
  return new Command("export").description("Everything kept about a person's number in a period.");
}
