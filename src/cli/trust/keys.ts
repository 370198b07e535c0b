import { Command } from "commander";
import { given } from "../../domain/given.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { SealKeyInfo } from "../../store/database/seal-keys.ts";
import { commandLineActor } from "../shared/actor.ts";
import { formatJson, printRows, type RowColumn } from "../shared/output.ts";
import { openStoreOnly, type StoreOptions, withStoreOptions } from "../shared/store-options.ts";
import { adoptCommand } from "./keys-adopt.ts";

/**
 * `tandem keys`: what cursors and page tokens are sealed with, and the files that processes share.
 */
export function keysCommand(): Command {
  return new Command("keys")
    .addCommand(listCommand(), { isDefault: true })
    .addCommand(rotateCommand())
    .addCommand(adoptCommand());
}

function listCommand(): Command {
  return withStoreOptions(new Command("list"))
    .description("List the ids of the keys; the last one is in use. No command shows a key itself.")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tandem keys list")
    .action(async (_: object, command: Command) => {
      const options = command.optsWithGlobals<StoreOptions & { json?: true }>();
      await using store = await openStoreOnly(options);
      const [{ systemTransaction }, { listSealKeys }] = await Promise.all([
        import("../../store/database/database.ts"),
        import("../../store/database/seal-keys.ts"),
      ]);
      const keys = await systemTransaction(store.db, listSealKeys);
      if (options.json) console.log(formatJson({ keys: keys.map(jsonOf) }));
      else printRows(COLUMNS, keys, "No keys.");
    });
}

function rotateCommand(): Command {
  return withStoreOptions(new Command("rotate"))
    .description("Make a new key. Every server on the database uses it within seconds, without a restart.")
    .option("--forget-old", "if others may have the old keys: nothing that they sealed opens any more")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
What old keys sealed opens until no feed keeps anything from before the rotation; then retention deletes the keys. With
--forget-old every cursor that they sealed gets CURSOR_EXPIRED with the earliest sequence, and clients begin again from
there. Unsealed cursors of older versions open until 1.0.

Example:
  tandem keys rotate`,
    )
    .action(async (_: object, command: Command) => {
      const options = command.optsWithGlobals<StoreOptions & { json?: true; forgetOld?: true }>();
      await using store = await openStoreOnly(options);
      const { rotateSealKey } = await import("../../store/database/seal-keys.ts");
      const forgetOld = options.forgetOld === true;
      const rotated = await rotateSealKey(store.db, { forgetOld, actor: commandLineActor() });
      if (options.json) console.log(formatJson(rotated));
      else {
        const old = forgetOld ? `${rotated.forgotten} old keys are gone` : "what the old keys sealed still opens";
        console.log(`Key ${rotated.keyId} seals cursors and page tokens from now on; ${old}.`);
      }
    });
}

const COLUMNS: readonly RowColumn<SealKeyInfo>[] = [
  { title: "key", align: "right", read: ({ keyId }) => String(keyId) },
  { title: "made", read: ({ createTime }) => timeOf(createTime) },
  { title: "replaced", read: ({ retireTime }) => (retireTime === undefined ? "in use" : timeOf(retireTime)) },
];

function jsonOf({ keyId, createTime, retireTime }: SealKeyInfo) {
  const times = { createTime: isoFromMicros(createTime), retireTime: retireTime && isoFromMicros(retireTime) };
  return { keyId, ...given(times) };
}

function timeOf(time: Micros): string {
  return `${isoFromMicros(time).slice(0, 19)}Z`;
}
