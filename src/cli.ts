#!/usr/bin/env node
import "./node-22.ts";
import { createProgram } from "./cli/program.ts";
import { runCommand } from "./cli/shared/run-command.ts";

await runCommand(async () => (await createProgram(process.argv.slice(2))).parseAsync());
