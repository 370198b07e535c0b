import type { Command } from "commander";
import { type Config, loadConfig } from "../../config/config.ts";
import { openLog } from "../../log.ts";
import { databaseUsed, sayUsed } from "./used.ts";

/** Which database a command opens. */
export interface StoreOptions {
  readonly dataDir?: string;
  readonly databaseUrl?: string;
}

/** The options of commands that open the database themselves, beside a server or without one. */
export function withStoreOptions(command: Command): Command {
  return command
    .option("--data-dir <folder>", "data folder (TANDEM_DATA_DIR); works beside a running server")
    .option(
      "--database-url <url>",
      "your own PostgreSQL; if the URL has a password, use TANDEM_DATABASE_URL",
      parseDatabaseUrl,
    );
}

/** The settings of the database. Who may call does not matter. */
export function loadStoreConfig({ dataDir, databaseUrl }: StoreOptions): Config {
  return loadConfig(undefined, { dataDir, databaseUrl, jwksUrl: "", jwksFile: "", issueTokens: true });
}

/** `--database-url` without a password: every account of the machine can read command lines. */
export function parseDatabaseUrl(text: string): string {
  const url = URL.parse(text);
  if (url?.password || url?.searchParams.has("password") || /:[^/@]*@/.test(text)) {
    // Not an argument error of commander's: that would print the argument.
    throw new Error("anybody on this machine can read a password on the command line: set TANDEM_DATABASE_URL");
  }
  return text;
}

/**
 * Opens the database, which must be there with the newest schema. `applied` are the migrations that
 * it needed.
 * @param mayMake for `migrate` only: makes what is missing.
 */
export async function openStoreOnly(options: StoreOptions, { mayMake = false }: { mayMake?: boolean } = {}) {
  const config = loadStoreConfig(options);
  // Loaded only here: the commands that talk to a server need not wait for all of one.
  const { openStore } = await import("../../start/store.ts");
  await using opening = new AsyncDisposableStack();
  // The default level tells a server's story; a command tells its own.
  const log = openLog(config.logLevel === "info" ? "warn" : config.logLevel);
  sayUsed({ database: databaseUsed(config.databaseUrl, config.dataDir) });
  const { db, applied } = await openStore(config, log, opening, { mayMake });
  const opened = opening.move();
  return { db, applied, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
