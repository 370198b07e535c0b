import { Command } from "commander";
import type { DemoOptions } from "./demo/plan.ts";
import { parseWhole } from "./shared/values.ts";

/** `tandem demo`: everything at once, on a server of its own. */
export function demoCommand(): Command {
  return new Command("demo")
    .description("See it work: three carriers and a day of calls on a server of its own, with every stream cut off.")
    .option("--calls <file>", "calls from a CSV file, in place of the simulated day: timestamp,caller,callee,duration")
    .option("--seed <text>", "the simulator's seed: the same seed, the same day", "1")
    .option("--calls-per-day <count>", "how many calls the simulated day has", parseWhole(60, 100_000), 3_000)
    .option("--json", "print one JSON object instead of the story")
    .option("--keep", "leave the server running, and say how to talk to it, until Ctrl-C")
    .addHelpText(
      "after",
      `
It starts a PostgreSQL and a server in a temporary folder, onboards three carriers, provisions and assigns numbers, ingests
the calls while the carriers follow them, uploads durations among which faults were planted, lets both sides' records of a
fourth carrier be compared, and then checks the logs of what each side was told and applied, and what reconciliation found
against what was planted. Exit code 0: all of it holds. Nothing is left behind.

In a calls file: timestamp in seconds from the start, callers and callees as numbers, duration in seconds, -1 for missed.

Examples:
  tandem demo
  tandem demo --json --calls copenhagen-calls.csv     (in a checkout: npm run -s demo -- --json ..., as npm prints too)
  tandem demo --keep`,
    )
    .action(async (options: DemoOptions) => {
      // Loaded only here: the other commands need not wait for a server.
      const { playDemo } = await import("./demo/play.ts");
      await playDemo(options);
    });
}
