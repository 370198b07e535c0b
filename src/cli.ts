#!/usr/bin/env node
import { createProgram } from "./cli/program.ts";
import { runCommand } from "./cli/shared/run-command.ts";

if (!("AsyncDisposableStack" in globalThis)) await import("./node-22.ts");
await runCommand(async () => (await createProgram(process.argv.slice(2))).parseAsync());
