import type { ReconciliationSummaryRow, ThresholdResult } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { type Column, formatCount, formatTable } from "../output.ts";
import type { ReconciliationVerdict } from "./reconciliation-verdict.ts";
import type { CustomerUsage } from "./usage.ts";

const RIGHT = { align: "right" } as const;

/** What was planted and found, what all calls came to, and how far the day that differs most is off. */
export function reconciliationLines(verdict: ReconciliationVerdict): string[] {
  const { callsByStatus, callsByCause, plantedByStatus, plantedByCause } = verdict;
  return [
    ...tableBeside(
      totalsTable("status", callsByStatus, plantedByStatus),
      totalsTable("cause", callsByCause, plantedByCause),
    ),
    `  planted ${formatCount(verdict.planted)}, found ${formatCount(verdict.found)}, wrong ${formatCount(verdict.wrong.length)}`,
    ...worstDayLine(verdict.days),
  ];
}

/** A line for each customer. */
export function usageTable(usage: readonly CustomerUsage[]): string[] {
  const columns: Column[] = [
    { title: "customer" },
    ...["calls", "answered", "minutes", "by the carrier's clock"].map((title) => ({ title, ...RIGHT })),
  ];
  const rows = usage.map(({ customerId, calls, answered, connectedMs, carrierSourcedMs }) => [
    customerId,
    formatCount(calls),
    formatCount(answered),
    // Rounded for display only.
    formatCount(Math.round(connectedMs / 60_000)),
    connectedMs === 0 ? "" : formatRatio(carrierSourcedMs / connectedMs),
  ]);
  return formatTable(columns, rows, "  ");
}

function totalsTable(
  title: string,
  calls: ReadonlyMap<string, number>,
  planted: ReconciliationVerdict["plantedByStatus"],
): string[] {
  const columns: Column[] = [{ title }, ...["calls", "planted", "found"].map((name) => ({ title: name, ...RIGHT }))];
  const rows = [...calls].map(([name, count]) => {
    const fault = planted.get(name);
    const faultCounts = fault === undefined ? ["", ""] : [formatCount(fault.planted), formatCount(fault.found)];
    return [name.toLowerCase().replaceAll("_", "-"), formatCount(count), ...faultCounts];
  });
  return formatTable(columns, rows, "  ");
}

function tableBeside(left: readonly string[], right: readonly string[]): string[] {
  const width = Math.max(...left.map(({ length }) => length));
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index) =>
    `${(left[index] ?? "").padEnd(width)}   ${right[index] ?? ""}`.trimEnd(),
  );
}

function worstDayLine(days: readonly ReconciliationSummaryRow[]): string[] {
  const [worst] = days.toSorted((a, b) => (b.gross?.ratio ?? 0) - (a.gross?.ratio ?? 0));
  if (worst === undefined) return [];
  const { callDate, net, gross, unmatched } = worst;
  return [`  most on ${callDate}: net ${told(net)}, gross ${told(gross)}, unmatched ${told(unmatched)}`];
}

function told(result: ThresholdResult | undefined): string {
  if (result?.ratio === undefined) return "unknown";
  const agreed = result.thresholdRatio === undefined ? "" : ` (agreed ${formatRatio(result.thresholdRatio)})`;
  return `${formatRatio(result.ratio)}${agreed}`;
}

function formatRatio(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
