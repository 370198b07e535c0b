import { Command } from "commander";
import { formatJson } from "./shared/output.ts";
import { openStoreOnly, type StoreOptions, withStoreOptions } from "./shared/store-options.ts";

/** `tandem migrate`: brings the database to the newest schema, as `serve` does at its start. */
export function migrateCommand(): Command {
  return withStoreOptions(new Command("migrate"))
    .option("--json", "print JSON: {applied}")
    .addHelpText("after", "\nExample:\n  tandem migrate")
    .action(async (options: StoreOptions & { json?: true }) => {
      await using store = await openStoreOnly(options, { mayMake: true });
      const { applied } = store;
      if (options.json) console.log(formatJson({ applied }));
      else console.log(applied.length === 0 ? "The database has the newest schema." : `Applied ${applied.join(", ")}.`);
    });
}
