import { once } from "node:events";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { assignedNumbers } from "../../simulator/world.ts";
import { untilInterrupted } from "../shared/following.ts";
import { formatJson } from "../shared/output.ts";
import { openProgress } from "../shared/progress.ts";
import { type DemoExchange, openDemoExchange } from "./exchange.ts";
import { judge } from "./judge.ts";
import { type DemoOptions, type DemoPlan, makePlan } from "./plan.ts";
import { runDemo } from "./run.ts";
import { tellStory } from "./story.ts";
import { summarize } from "./summary.ts";

/** The shells' exit code for Ctrl-C. */
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
    if (!signal.aborted) await once(signal, "abort");
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

/** How to talk to the kept server: lines to paste into a shell. */
export async function tellHowToTalk(exchange: DemoExchange, plan: DemoPlan): Promise<string[]> {
  const { url } = exchange.app;
  const carrierId = plan.carriers[0]?.carrier.carrierId ?? "";
  const { carrier: reconciled, truths, startDate, endDate } = plan.reconciliation;
  const stuck = truths.find(({ platformRecordId, causes }) => platformRecordId && causes.includes("STUCK_CALL"));
  const [assigned] = assignedNumbers(reconciled);
  const customerId = assigned?.assignment.customerId;
  // From a checkout there is no `tandem` to call.
  const tandem = process.argv[1]?.endsWith(".ts") ? "npm run -s tandem --" : "npx tandem";
  return [
    "",
    `The server stays at ${url} until Ctrl-C. In another shell:`,
    "",
    `  export TANDEM_URL=${url} TANDEM_DATA_DIR=${exchange.folder}`,
    `  ${tandem} cdrs list --carrier ${carrierId} --from 90d --limit 5`,
    `  ${tandem} cdrs follow --carrier ${carrierId} --from earliest`,
    `  ${tandem} cdrs quality --carrier ${carrierId} --from 90d --group direction`,
    `  ${tandem} reconcile summary --carrier ${reconciled.carrierId}`,
    `  ${tandem} reconcile list --carrier ${reconciled.carrierId} --cause stuck-call`,
    `  ${tandem} reconcile explain ${stuck?.platformRecordId} --carrier ${reconciled.carrierId}`,
    `  ${tandem} usage ${customerId} --from ${startDate} --to ${endDate} --time-zone UTC --by carrier`,
    `  ${tandem} privacy export ${assigned?.phoneNumber} --from 90d --to now --role subscriber --case DSR-1 --verified-by demo --csv`,
    `  ${tandem} privacy audit verify`,
    "",
    "With nothing but curl, as that carrier: the agreement, and the feed from its first entry on, live.",
    "(A stream's request is one message: a zero byte, its length in four bytes, its JSON.)",
    "",
    `  TOKEN=${await exchange.carrierToken(carrierId)}`,
    `  curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{}' \\`,
    `    ${url}/tandem.carrier.v1.AgreementService/GetAgreement`,
    `  printf '${envelope('{"start":{"earliest":{}}}')}' |`,
    `    curl -sN -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/connect+json' --data-binary @- \\`,
    `      ${url}/tandem.carrier.v1.CdrService/StreamCdrs`,
  ];
}

/** A message as Connect frames it in a stream, for printf. */
function envelope(json: string): string {
  return `\\0\\0\\0\\0\\${json.length.toString(8)}${json}`;
}
