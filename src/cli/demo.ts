import { Command } from "commander";
import type { DemoOptions } from "./demo/plan.ts";
import { parseWhole } from "./shared/values.ts";

/** `tandem demo`: everything at once, on a server of its own. */
export function demoCommand(): Command {
  return new Command("demo")
    .option("--calls <file>", "calls from a CSV file instead of the simulated day: timestamp,caller,callee,duration")
    .option("--seed <text>", "the simulator's seed: the same seed, the same day", "1")
    .option("--calls-per-day <count>", "how many calls the simulated day has", parseWhole(60, 100_000), 3_000)
    .option("--json", "print one JSON object instead of text")
    .option("--keep", "leave the server running until Ctrl-C, and print how to talk to it")
    .addHelpText(
      "after",
      `
It starts PostgreSQL and a server in a temporary folder, onboards three carriers, provisions and assigns numbers, ingests
calls while the carriers follow them, uploads durations with planted faults, and reconciles a fourth carrier's records.
Then it checks what each side was told and applied, and whether reconciliation found what was planted. Exit code 0: all
checks passed. Nothing is left behind.

In a calls file: timestamp in seconds from the start, callers and callees as integers, duration in seconds, -1 for missed.

Examples:
  tandem demo
  tandem demo --json --calls copenhagen-calls.csv
  tandem demo --keep

In a checkout: npm run -s demo -- --json, as npm prints too.`,
    )
    .action(async (options: DemoOptions) => {
      // Loaded only here: the other commands need not wait for a server.
      const { playDemo } = await import("./demo/play.ts");
      await playDemo(options);
    });
}
