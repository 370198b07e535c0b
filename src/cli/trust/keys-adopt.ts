import { Command } from "commander";
import type { SharedFile } from "../../store/database/shared-files.ts";
import { commandLineActor } from "../shared/actor.ts";
import { formatJson } from "../shared/output.ts";
import { loadStoreConfig, openStoreOnly, type StoreOptions, withStoreOptions } from "../shared/store-options.ts";

/** `tandem keys adopt`: the way out when a file that all processes share was lost. */
export function adoptCommand(): Command {
  return withStoreOptions(new Command("adopt"))
    .description("Make all processes share this folder's erasure key, erasure journal and signing key.")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
The first process on a database decides which erasure key, erasure journal and signing key all processes share; none starts
with others. Use this command if one of the files was lost. Stop every process first. The files are those of
TANDEM_ERASURE_KEY_FILE, TANDEM_ERASURE_JOURNAL and TANDEM_DATA_DIR; the next process to start makes missing ones. An erasure
key that cannot read earlier erasures is refused.

Example:
  tandem keys adopt`,
    )
    .action(async (_: object, command: Command) => {
      const options = command.optsWithGlobals<StoreOptions & { json?: true }>();
      await using store = await openStoreOnly(options);
      const [{ fingerprintErasureFiles }, { findSigningKey, hasSigningKey }, { replaceSharedFiles }] =
        await Promise.all([
          import("../../erasure/shared-journal.ts"),
          import("../../trust/signing-key.ts"),
          import("../../store/database/shared-files.ts"),
        ]);
      const config = loadStoreConfig(options);
      const found = await fingerprintErasureFiles(store.db, config);
      if (await hasSigningKey(config.dataDir)) found.set("signing-key", (await findSigningKey(config.dataDir)).lineage);
      await replaceSharedFiles(store.db, found, commandLineActor());
      if (options.json) console.log(formatJson(Object.fromEntries(found)));
      else for (const line of tell(found)) console.log(line);
    });
}

const NAMES: Readonly<Record<SharedFile, string>> = {
  "erasure-key": "erasure key",
  "erasure-journal": "erasure journal",
  "signing-key": "signing key",
};

function tell(found: ReadonlyMap<SharedFile, string>): string[] {
  return (Object.keys(NAMES) as SharedFile[]).map((file) => {
    const fingerprint = found.get(file);
    return fingerprint === undefined
      ? `${NAMES[file]}: none here; the next process to start makes it`
      : `${NAMES[file]}: all processes share ${fingerprint}`;
  });
}
