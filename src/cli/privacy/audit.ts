import { Command } from "commander";
import { auditListCommand } from "./audit-list.ts";
import { auditVerifyCommand } from "./audit-verify.ts";

export function auditCommand(): Command {
  return new Command("audit")
    .description("The audit log: list it, and verify its chains.")
    .addCommand(auditListCommand(), { isDefault: true })
    .addCommand(auditVerifyCommand());
}
