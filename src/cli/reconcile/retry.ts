import { Command } from "commander";
import { commandLineActor } from "../shared/actor.ts";
import { formatJson } from "../shared/output.ts";
import { openStoreOnly, type StoreOptions, withStoreOptions } from "../shared/store-options.ts";

/** `tandem reconcile retry` */
export function retryCommand(): Command {
  return withStoreOptions(new Command("retry"))
    .description("Judge calls again that did not settle and were set aside.")
    .argument("<carrier>", "the carrier that `tandem reconcile status` shows with minutes set aside")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Minutes are set aside if judging their calls keeps leading to judging them again. New records of the carrier take them up
automatically. This command needs the database and may run beside servers, which then judge the calls.

Example:
  tandem reconcile retry nordlys-tele`,
    )
    .action(async (carrierId: string, options: StoreOptions & { json?: true }) => {
      await using store = await openStoreOnly(options);
      const { retrySetAside } = await import("../../reconcile/retry-set-aside.ts");
      const minutes = await retrySetAside(store.db, carrierId, commandLineActor());
      console.log(options.json ? formatJson({ minutes }) : `${minutes} minutes of ${carrierId} will be judged again.`);
    });
}
