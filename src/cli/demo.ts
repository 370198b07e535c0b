import { Command } from "commander";
import { openDemoExchange } from "./demo/exchange.ts";
import { judge } from "./demo/judge.ts";
import { tellHowToTalk } from "./demo/keep.ts";
import { type DemoOptions, makePlan } from "./demo/plan.ts";
import { runDemo } from "./demo/run.ts";
import { tellStory } from "./demo/story.ts";
import { summarize } from "./demo/summary.ts";
import { untilInterrupted } from "./following.ts";
import { openProgress } from "./progress.ts";
import { parseWhole } from "./values.ts";

/** As shells count an end by Ctrl-C. */
const EXIT_INTERRUPTED = 130;

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
the calls while the carriers follow them, uploads durations among which faults were planted, and then checks the logs of
what each side was told and applied. Exit code 0: all of it holds. Nothing is left behind.

In a calls file: timestamp in seconds from the start, callers and callees as numbers, duration in seconds, -1 for missed.

Examples:
  tandem demo
  tandem demo --json --calls copenhagen-calls.csv
  tandem demo --keep`,
    )
    .action(demo);
}

async function demo(options: DemoOptions): Promise<void> {
  const started = performance.now();
  const signal = untilInterrupted();
  try {
    const plan = await makePlan(options, Date.now());
    using progress = openProgress();
    progress.say("starting PostgreSQL and Tandem in a temporary folder");
    await using exchange = await openDemoExchange(signal);
    const verdict = judge(await runDemo(exchange, plan, progress, signal));
    progress[Symbol.dispose]();
    const seconds = (performance.now() - started) / 1000;
    if (options.json) console.log(JSON.stringify(summarize(verdict)));
    else console.log(tellStory(plan, verdict, seconds).join("\n"));
    if (!verdict.ok) process.exitCode = 1;
    if (options.json) for (const failure of failuresOf(verdict)) console.error(failure);
    if (!options.keep) return;
    // Not into the JSON.
    const tell = options.json ? console.error : console.log;
    for (const line of await tellHowToTalk(exchange, plan)) tell(line);
    await aborted(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = EXIT_INTERRUPTED;
  }
}

function failuresOf({ checks }: ReturnType<typeof judge>): string[] {
  return checks.flatMap(({ promise, failures }) =>
    failures.slice(0, 10).map((failure) => `${promise}: NO: ${failure}`),
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
