#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

// What Node compiled stays from one command to the next, in a folder of the user's own.
enableCompileCache(join(homedir(), ".cache", "tandem"));
if (!("AsyncDisposableStack" in globalThis)) await import("./node-22.ts");
const { runCommand } = await import("./cli/shared/run-command.ts");
const { createProgram } = await import("./cli/program.ts");
await runCommand(async () => (await createProgram(process.argv.slice(2))).parseAsync());
