import { Command } from "commander";
import { loadConfig } from "../../config/config.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { rotateSigningKey } from "../../trust/signing-key.ts";
import { parseSeconds } from "../shared/seconds.ts";
import { keyUsed, sayUsed } from "../shared/used.ts";

/** `tandem token rotate`: a new signing key, while the tokens of the old one run out. */
export function tokenRotateCommand(): Command {
  return new Command("rotate")
    .description("Make a new signing key. Servers on the data folder take it within seconds, without a restart.")
    .option(
      "--overlap <time>",
      "how long tokens of the old key are still believed: 24h, or 0s when the key was lost: their streams then end",
      parseSeconds,
      86_400,
    )
    .option("--data-dir <folder>", "data folder (TANDEM_DATA_DIR)")
    .addHelpText(
      "after",
      `
A token that is good for longer than the overlap ends with it.

Example:
  tandem token rotate --overlap 7d`,
    )
    .action(async (_: object, command: Command) => {
      // The parent has --data-dir too, and takes it.
      const { overlap, dataDir } = command.optsWithGlobals<{ overlap: number; dataDir?: string }>();
      const config = loadConfig(undefined, { dataDir });
      const kid = await rotateSigningKey(config.dataDir, overlap);
      sayUsed({ key: keyUsed(kid, config.dataDir) });
      const until = `${new Date(wallMs() + overlap * 1_000).toISOString().slice(0, 19)}Z`;
      const old = overlap === 0 ? "are believed no more" : `are believed until ${until}`;
      console.log(`Tokens are now signed with key ${kid}. Those of the old one ${old}.`);
    });
}
