import { Command } from "commander";

/** `tandem privacy disclosures` */
export function disclosuresCommand(): Command {
  return new Command("disclosures").description(
    "Who may have received a record, a number's records, or those of a period.",
  );
}
