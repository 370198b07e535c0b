#!/usr/bin/env node
import { Command } from "commander";
import { migrateCommand } from "./cli/migrate.ts";
import { runCommand } from "./cli/run-command.ts";
import { serveCommand } from "./cli/serve.ts";
import { tokenCommand } from "./cli/token.ts";

const program = new Command("tandem")
  .description(
    "A gRPC exchange between a calling platform and its carriers: numbers, calls and call durations, with nothing lost.",
  )
  .addCommand(serveCommand())
  .addCommand(tokenCommand())
  .addCommand(migrateCommand())
  .showHelpAfterError("(`tandem help` lists the commands, `tandem help <command>` explains one)");

await runCommand(() => program.parseAsync());
