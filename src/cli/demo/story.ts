import type { ReconciliationSummaryRow, ThresholdResult } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { RecordIssueSchema, type RecordOutcome, Verdict, VerdictSchema } from "../../gen/tandem/type/v1/upload_pb.js";
import { type Column, formatCount, formatTable, styled } from "../shared/output.ts";
import { enumName } from "../shared/values.ts";
import type { CarrierVerdict, DemoVerdict } from "./judge.ts";
import type { DemoPlan } from "./plan.ts";
import type { CustomerUsage } from "./reconciliation.ts";
import type { ReconciliationVerdict } from "./reconciliation-verdict.ts";

/** Every line fits in so many columns, except failures and what is to be pasted. */
const MIN_WIDTH = 80;
const MAX_FAILURES = 5;
const CHECK_INDENT = " ".repeat(6);

export function tellStory(plan: DemoPlan, verdict: DemoVerdict, seconds: number): string[] {
  const { carriers } = verdict;
  return [
    "",
    `${styled("bold", "Tandem demo")}: ${plan.title}`,
    "A real server with its own PostgreSQL, in a temporary folder. Every stream was",
    "cut off on the way.",
    ...section(
      "Numbers",
      "carriers provision, the platform assigns, carriers mirror",
      figuresTable(carriers, "numbers"),
    ),
    ...section("Calls", "the platform ingests, carriers follow live", figuresTable(carriers, "calls")),
    ...section("Durations", "carriers upload what their own switches recorded", durationsTable(carriers)),
    ...section("Refused", "planted faults, and what the carriers were told", refusedTable(carriers)),
    ...section(
      "Reconciliation",
      `${verdict.reconciliation.carrierId}: both sides' records, compared call by call`,
      reconciliationLines(verdict.reconciliation),
    ),
    ...section("Usage", "what customers see, over all their carriers", usageTable(verdict.usage)),
    ...section("Checks", "from the logs of what each side was told and applied", checkLines(verdict)),
    "",
    verdict.ok
      ? `${styled("green", "All checks passed.")} ${seconds.toFixed(1)} s.`
      : `${styled("red", "Some checks failed.")} ${seconds.toFixed(1)} s.`,
  ];
}

function section(title: string, about: string, lines: readonly string[]): string[] {
  return ["", `${styled("bold", title)}  ${styled("dim", about)}`, ...lines];
}

/** A table of which every column but the first is of numbers. */
function countsTable(
  titles: readonly string[],
  rows: readonly (readonly [string, ...(number | string)[]])[],
): string[] {
  const columns = titles.map((title, index): Column => (index === 0 ? { title } : { title, align: "right" }));
  const cells = rows.map((row) => row.map((cell) => (typeof cell === "number" ? formatCount(cell) : cell)));
  return formatTable(columns, cells, "  ");
}

function figuresTable(carriers: readonly CarrierVerdict[], what: "numbers" | "calls"): string[] {
  return countsTable(
    ["carrier", ...Object.keys(carriers[0]?.figures[what] ?? {})],
    carriers.map((carrier) => [nameOf(carrier), ...Object.values(carrier.figures[what])]),
  );
}

// With a column for each carrier: there are more counts than fit beside each other.
function durationsTable(carriers: readonly CarrierVerdict[]): string[] {
  const columns = carriers.map(({ figures }) => new Map(Object.entries(figures.durations)));
  const titles = [...(columns[0]?.keys() ?? [])];
  return countsTable(
    ["", ...carriers.map(nameOf)],
    titles.map((title) => [title, ...columns.map((counts) => counts.get(title) ?? 0)]),
  );
}

function nameOf({ trace }: CarrierVerdict): string {
  const { carrierId, legalCountry } = trace.plan.carrier;
  return `${carrierId} ${legalCountry}`;
}

/** One line for each reason, with how often each carrier met it and one of the messages. */
function refusedTable(carriers: readonly CarrierVerdict[]): string[] {
  const refused = carriers.flatMap((carrier) =>
    carrier.trace.upload.outcomes.filter(isRefused).map((outcome) => ({ carrier, outcome })),
  );
  const reasons = Map.groupBy(refused, ({ outcome }) => `${outcome.verdict}/${outcome.issue}`);
  const columns: Column[] = [
    { title: "verdict" },
    { title: "issue" },
    ...carriers.map(({ trace }) => ({ title: trace.plan.carrier.legalCountry, align: "right" }) as const),
    { title: "such as" },
  ];
  const rows = [...reasons.values()]
    .map((group) => ({ group, outcome: (group[0] as (typeof group)[number]).outcome }))
    .sort((a, b) => b.outcome.verdict - a.outcome.verdict || a.outcome.issue - b.outcome.issue)
    .map(({ group, outcome }) => [
      enumName(VerdictSchema, outcome.verdict) ?? "",
      enumName(RecordIssueSchema, outcome.issue) ?? "",
      ...carriers.map((each) => formatCount(group.filter(({ carrier }) => carrier === each).length)),
      outcome.message,
    ]);
  const width = Math.max(MIN_WIDTH, process.stdout.columns ?? 0);
  return formatTable(columns, rows, "  ").map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line));
}

function isRefused({ verdict }: RecordOutcome): boolean {
  return verdict !== Verdict.ACCEPTED && verdict !== Verdict.DUPLICATE;
}

function checkLines({ checks }: DemoVerdict): string[] {
  return checks.flatMap(({ promise, failures }) => {
    const [first = "", ...rest] = wrapped(promise, MIN_WIDTH - CHECK_INDENT.length).map(
      (line, index) => `${index === 0 ? "" : CHECK_INDENT}${line}`,
    );
    if (failures.length === 0) return [`  ${styled("green", "ok")}  ${first}`, ...rest];
    const more = failures.length > MAX_FAILURES ? [`      and ${failures.length - MAX_FAILURES} more`] : [];
    return [
      `  ${styled("red", "NO")}  ${first}`,
      ...rest,
      ...failures.slice(0, MAX_FAILURES).map((failure) => `      ${failure}`),
      ...more,
    ];
  });
}

/** Text in lines, broken between words. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** What was planted and found, what all calls came to, and the day that differs most. */
function reconciliationLines(verdict: ReconciliationVerdict): string[] {
  const { callsByStatus, callsByCause, plantedByStatus, plantedByCause } = verdict;
  return [
    ...totalsTable("status", callsByStatus, plantedByStatus),
    ...totalsTable("cause", callsByCause, plantedByCause),
    `  planted ${formatCount(verdict.planted)}, found ${formatCount(verdict.found)}, wrong ${formatCount(verdict.wrong.length)}`,
    ...worstDayTable(verdict.days),
  ];
}

function usageTable(usage: readonly CustomerUsage[]): string[] {
  return countsTable(
    ["customer", "calls", "answered", "minutes", "by the carrier's clock"],
    usage.map(({ customerId, calls, answered, connectedMs, carrierSourcedMs }) => [
      customerId,
      calls,
      answered,
      // Rounded for display only.
      Math.round(connectedMs / 60_000),
      connectedMs === 0 ? "" : formatRatio(carrierSourcedMs / connectedMs),
    ]),
  );
}

function totalsTable(
  title: string,
  calls: ReadonlyMap<string, number>,
  planted: ReconciliationVerdict["plantedByStatus"],
): string[] {
  return countsTable(
    [title, "calls", "planted", "found"],
    [...calls].map(([name, count]) => {
      const fault = planted.get(name);
      return [name.toLowerCase().replaceAll("_", "-"), count, fault?.planted ?? "", fault?.found ?? ""];
    }),
  );
}

function worstDayTable(days: readonly ReconciliationSummaryRow[]): string[] {
  const [worst] = days.toSorted((a, b) => (b.gross?.ratio ?? 0) - (a.gross?.ratio ?? 0));
  if (worst === undefined) return [];
  const { callDate, net, gross, unmatched } = worst;
  return countsTable(
    [`most on ${callDate}`, "share", "agreed"],
    Object.entries({ net, gross, unmatched }).map(([name, result]) => [name, ...told(result)]),
  );
}

function told(result: ThresholdResult | undefined): [share: string, agreed: string] {
  const { ratio, thresholdRatio } = result ?? {};
  const share = ratio === undefined ? "unknown" : formatRatio(ratio);
  return [share, thresholdRatio === undefined ? "" : formatRatio(thresholdRatio)];
}

function formatRatio(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
