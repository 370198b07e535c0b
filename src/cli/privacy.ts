import { Command } from "commander";
import { auditCommand } from "./privacy/audit.ts";
import { disclosuresCommand } from "./privacy/disclosures.ts";
import { eraseCommand } from "./privacy/erase.ts";
import { exportCommand } from "./privacy/export.ts";
import { holdCommand } from "./privacy/hold.ts";
import { retentionCommand } from "./privacy/retention.ts";

/** `tandem privacy`: what law and the privacy statement ask of the platform. */
export function privacyCommand(): Command {
  return new Command("privacy")
    .addCommand(retentionCommand())
    .addCommand(holdCommand())
    .addCommand(eraseCommand())
    .addCommand(exportCommand())
    .addCommand(disclosuresCommand())
    .addCommand(auditCommand());
}
