import { wallMs } from "../../domain/time/wall-clock.ts";
import { untilInterrupted } from "../shared/following.ts";
import { formatJson } from "../shared/output.ts";
import { openProgress } from "../shared/progress.ts";
import { openDemoExchange } from "./exchange.ts";
import { judge } from "./judge.ts";
import { tellHowToTalk } from "./keep.ts";
import { type DemoOptions, makePlan } from "./plan.ts";
import { runDemo } from "./run.ts";
import { tellStory } from "./story.ts";
import { summarize } from "./summary.ts";

/** As shells count an end by Ctrl-C. */
const EXIT_INTERRUPTED = 130;

/** Plays the demo and tells it; the exit code says whether all of it holds. */
export async function playDemo(options: DemoOptions): Promise<void> {
  const started = performance.now();
  const signal = untilInterrupted();
  try {
    const plan = await makePlan(options, wallMs());
    using progress = openProgress();
    progress.say("starting PostgreSQL and Tandem in a temporary folder");
    await using exchange = await openDemoExchange(signal);
    const verdict = judge(await runDemo(exchange, plan, progress, signal));
    progress[Symbol.dispose]();
    const seconds = (performance.now() - started) / 1000;
    if (options.json) console.log(formatJson(summarize(verdict)));
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
