import { Command } from "commander";

/** `tandem privacy erase` */
export function eraseCommand(): Command {
  return new Command("erase").description("Erase a person's number from every record of a period.");
}
