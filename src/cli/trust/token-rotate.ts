import { Command } from "commander";
import { loadConfig } from "../../config/config.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { rotateSigningKey } from "../../trust/signing-key.ts";
import { formatJson } from "../shared/output.ts";
import { keyUsed, sayUsed } from "../shared/used.ts";
import { parseSeconds } from "../shared/values.ts";

/** `tandem token rotate`: a new signing key, while the tokens of the old one run out. */
export function tokenRotateCommand(): Command {
  return new Command("rotate")
    .description("Make a new signing key. Servers on this data folder use it within seconds, without a restart.")
    .option(
      "--overlap <time>",
      "how long tokens of the old key stay valid: 24h; 0s if the key was stolen, which also ends their streams",
      parseSeconds,
      86_400,
    )
    .option("--json", "print JSON: {keyId, oldKeysUntil}")
    .option("--data-dir <folder>", "data folder (TANDEM_DATA_DIR)")
    .addHelpText(
      "after",
      `
Tokens of the old key end with the overlap, even if they would be valid for longer.

Example:
  tandem token rotate --overlap 7d`,
    )
    .action(async (_: object, command: Command) => {
      // The parent has --data-dir too, and takes it.
      const { overlap, dataDir, json } = command.optsWithGlobals<{ overlap: number; dataDir?: string; json?: true }>();
      const config = loadConfig(undefined, { dataDir });
      const kid = await rotateSigningKey(config.dataDir, overlap);
      sayUsed({ key: keyUsed(kid, config.dataDir) });
      const until = `${new Date(wallMs() + overlap * 1_000).toISOString().slice(0, 19)}Z`;
      const old = overlap === 0 ? "are no longer valid" : `stay valid until ${until}`;
      if (json) console.log(formatJson({ keyId: kid, ...(overlap > 0 && { oldKeysUntil: until }) }));
      else console.log(`Tokens are now signed with key ${kid}. Tokens of the old key ${old}.`);
    });
}
