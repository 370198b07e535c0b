import { Command } from "commander";

/** `tandem privacy hold` */
export function holdCommand(): Command {
  return new Command("hold").description("Keep disputed records beyond their retention.");
}
