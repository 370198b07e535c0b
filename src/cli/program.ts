import { createRequire } from "node:module";
import { Command } from "commander";
import { backupCommand } from "./backup.ts";
import { carriersCommand } from "./carriers.ts";
import { cdrsCommand } from "./cdrs.ts";
import { clockCommand } from "./clock.ts";
import { demoCommand } from "./demo.ts";
import { durationsCommand } from "./durations.ts";
import { epochCommand } from "./epoch.ts";
import { migrateCommand } from "./migrate.ts";
import { numbersCommand } from "./numbers.ts";
import { privacyCommand } from "./privacy.ts";
import { reconcileCommand } from "./reconcile.ts";
import { restoreCommand } from "./restore.ts";
import { serveCommand } from "./serve.ts";
import { keysCommand } from "./trust/keys.ts";
import { tokenCommand } from "./trust/token.ts";
import { usageCommand } from "./usage.ts";
import { verifyCommand } from "./verify.ts";

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

/** The command `tandem`, with all that it can do. */
export function createProgram(): Command {
  const program = new Command("tandem")
    .description(
      "A gRPC exchange between a calling platform and its carriers: numbers, calls and call durations, with nothing lost.",
    )
    .version(version)
    .commandsGroup("See it:")
    .addCommand(demoCommand())
    .commandsGroup("Run it:")
    .addCommand(serveCommand())
    .addCommand(tokenCommand())
    .addCommand(migrateCommand())
    .addCommand(verifyCommand())
    .addCommand(epochCommand())
    .addCommand(clockCommand())
    .addCommand(keysCommand())
    .addCommand(backupCommand())
    .addCommand(restoreCommand())
    .commandsGroup("Talk to a running server:")
    .addCommand(carriersCommand())
    .addCommand(numbersCommand())
    .addCommand(cdrsCommand())
    .addCommand(durationsCommand())
    .addCommand(reconcileCommand())
    .addCommand(usageCommand())
    .addCommand(privacyCommand())
    .addHelpText(
      "after",
      `
From nothing to a followed feed, next to a server started by \`tandem serve\`:
  tandem carriers create nordlys-tele --country DK --time-zone Europe/Copenhagen
  tandem numbers provision +4510000001 --carrier nordlys-tele --country DK
  tandem numbers assign +4510000001 --carrier nordlys-tele --customer cedar-bank
  tandem cdrs follow --carrier nordlys-tele --from earliest

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 durations uploaded and some refused.`,
    );
  prepare(program);
  return program;
}

/** What commander does not hand down to commands that were added whole. */
function prepare(command: Command): void {
  command.exitOverride().showHelpAfterError(`(\`${pathOf(command)} --help\` explains it)`);
  for (const child of command.commands) prepare(child);
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
