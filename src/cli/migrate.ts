import { Command } from "commander";
import { openStore } from "../app.ts";
import { loadConfig } from "../config.ts";
import { openLog } from "../log.ts";

/** `tandem migrate`: brings the database to the newest schema; `serve` does the same at its start. */
export function migrateCommand(): Command {
  return new Command("migrate")
    .description(
      "Bring the database to the newest schema, and prove that carriers are isolated in it. `serve` does so by itself.",
    )
    .option("--data-dir <folder>", "data folder (TANDEM_DATA_DIR)")
    .option("--database-url <url>", "an outside PostgreSQL (TANDEM_DATABASE_URL)")
    .action(async (options: { dataDir?: string; databaseUrl?: string }) => {
      // Who may call does not matter here.
      const config = loadConfig(undefined, { ...options, jwksUrl: "", jwksFile: "", issueTokens: true });
      await using closers = new AsyncDisposableStack();
      const { applied } = await openStore(config, openLog(config.logLevel), closers);
      console.log(applied.length === 0 ? "The database has the newest schema." : `Applied ${applied.join(", ")}.`);
    });
}
