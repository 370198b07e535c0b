import { Command } from "commander";

/** `tandem privacy retention` */
export function retentionCommand(): Command {
  return new Command("retention").description("How long each part of the records is kept.");
}
