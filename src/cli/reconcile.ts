import { Command } from "commander";
import { explainCommand } from "./reconcile/explain.ts";
import { followCommand } from "./reconcile/follow.ts";
import { listCommand } from "./reconcile/list.ts";
import { retryCommand } from "./reconcile/retry.ts";
import { statusCommand } from "./reconcile/status.ts";
import { summaryCommand } from "./reconcile/summary.ts";

/** `tandem reconcile`: where both sides' records of the calls agree, and where not. */
export function reconcileCommand(): Command {
  return new Command("reconcile")
    .addCommand(summaryCommand())
    .addCommand(listCommand())
    .addCommand(followCommand())
    .addCommand(statusCommand())
    .addCommand(explainCommand())
    .addCommand(retryCommand());
}
