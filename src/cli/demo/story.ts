import { RecordIssueSchema, type RecordOutcome, Verdict, VerdictSchema } from "../../gen/tandem/type/v1/upload_pb.js";
import { type Column, formatCount, formatTable, styled } from "../shared/output.ts";
import { enumName } from "../shared/values.ts";
import type { CarrierVerdict, DemoVerdict } from "./judge.ts";
import type { DemoPlan } from "./plan.ts";
import { reconciliationLines, usageTable } from "./reconciliation-story.ts";
import { countDelivered, countDone, countIngested } from "./summary.ts";

/**
 * Of a terminal that says nothing, or is narrower: what every line fits in, but for failures and
 * what is to be pasted.
 */
const MIN_WIDTH = 80;
const MAX_FAILURES = 5;
const CHECK_INDENT = " ".repeat(6);

/** The story of a demo, line by line. */
export function tellStory(plan: DemoPlan, verdict: DemoVerdict, seconds: number): string[] {
  const { carriers } = verdict;
  return [
    "",
    `${styled("bold", "Tandem demo")}: ${plan.title}`,
    "A real server with its own PostgreSQL, in a temporary folder. Every stream was",
    "cut off on the way.",
    ...section("Numbers", "carriers provision, the platform assigns, carriers mirror", numbersTable(carriers)),
    ...section("Calls", "the platform ingests, carriers follow live", callsTable(carriers)),
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

function numbersTable(carriers: readonly CarrierVerdict[]): string[] {
  return carrierTable(
    ["provisioned", "assigned", "mirrored", "cut off"],
    carriers,
    ({ trace: { carrier, provisioned, assigned, mirrorResumes } }) => [
      countDone(provisioned),
      countDone(assigned),
      carrier.mirror.numbers.size,
      mirrorResumes,
    ],
  );
}

function callsTable(carriers: readonly CarrierVerdict[]): string[] {
  return carrierTable(
    ["calls", "delivered", "entries", "released", "lost", "doubled", "cut off"],
    carriers,
    (carrier) => [
      countIngested(carrier),
      countDelivered(carrier),
      carrier.cdrLog.appliedCount,
      carrier.releasedCdrs,
      carrier.cdrLog.lost.length,
      carrier.cdrLog.duplicated.length,
      carrier.trace.consumerResumes + carrier.trace.ingest.resumes,
    ],
  );
}

// With a column for each carrier: there are more counts than fit beside each other.
function durationsTable(carriers: readonly CarrierVerdict[]): string[] {
  const verdicts = ["accepted", "duplicate", "conflict", "rejected", "quarantined"] as const;
  const counts: [title: string, count: (carrier: CarrierVerdict) => number][] = [
    ["sent", ({ trace }) => Number(trace.upload.receipt.finalOffset)],
    ...verdicts.map((verdict): [string, (carrier: CarrierVerdict) => number] => [
      verdict,
      ({ trace }) => Number(trace.upload.receipt.counts?.[verdict] ?? 0n),
    ]),
    ["released", ({ releasedDurations }) => releasedDurations],
    ["lost", ({ lostDurations }) => lostDurations.length],
    ["cut off", ({ trace }) => trace.upload.resumes],
  ];
  const columns: Column[] = [
    { title: "" },
    ...carriers.map((carrier) => ({ title: nameOf(carrier), align: "right" }) as const),
  ];
  const rows = counts.map(([title, count]) => [title, ...carriers.map((carrier) => formatCount(count(carrier)))]);
  return formatTable(columns, rows, "  ");
}

function carrierTable(
  titles: readonly string[],
  carriers: readonly CarrierVerdict[],
  countsOf: (carrier: CarrierVerdict) => readonly number[],
): string[] {
  const columns: Column[] = [{ title: "carrier" }, ...titles.map((title) => ({ title, align: "right" }) as const)];
  const rows = carriers.map((carrier) => [nameOf(carrier), ...countsOf(carrier).map(formatCount)]);
  return formatTable(columns, rows, "  ");
}

function nameOf({ trace }: CarrierVerdict): string {
  const { carrierId, legalCountry } = trace.carrier.plan.carrier;
  return `${carrierId} ${legalCountry}`;
}

/** One line for each reason, with how often each carrier met it and one of the messages. */
function refusedTable(carriers: readonly CarrierVerdict[]): string[] {
  const reasons = new Map<string, { outcome: RecordOutcome; counts: number[] }>();
  for (const [index, { trace }] of carriers.entries()) {
    for (const outcome of trace.upload.outcomes.filter(isRefused)) {
      const key = `${outcome.verdict}/${outcome.issue}`;
      const reason = reasons.get(key) ?? { outcome, counts: carriers.map(() => 0) };
      reason.counts[index] = (reason.counts[index] ?? 0) + 1;
      reasons.set(key, reason);
    }
  }
  const columns: Column[] = [
    { title: "verdict" },
    { title: "issue" },
    ...carriers.map(({ trace }) => ({ title: trace.carrier.plan.carrier.legalCountry, align: "right" }) as const),
    { title: "such as" },
  ];
  const rows = [...reasons.values()]
    .sort((a, b) => b.outcome.verdict - a.outcome.verdict || a.outcome.issue - b.outcome.issue)
    .map(({ outcome, counts }) => [
      enumName(VerdictSchema, outcome.verdict) ?? "",
      enumName(RecordIssueSchema, outcome.issue) ?? "",
      ...counts.map(formatCount),
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
