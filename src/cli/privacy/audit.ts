import { Command } from "commander";

/** `tandem privacy audit` */
export function auditCommand(): Command {
  return new Command("audit").description("The audit log: list it, and verify its chains.");
}
