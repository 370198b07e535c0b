import type { ReconciliationSummaryRow, ThresholdResult } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { type Column, formatCount, formatTable } from "../shared/output.ts";
import type { ReconciliationVerdict } from "./reconciliation-verdict.ts";
import type { CustomerUsage } from "./usage.ts";

const RIGHT = { align: "right" } as const;

/**
 * What was planted and found, what all calls came to, and how far the day that differs most is off.
 */
export function reconciliationLines(verdict: ReconciliationVerdict): string[] {
  const { callsByStatus, callsByCause, plantedByStatus, plantedByCause } = verdict;
  return [
    ...totalsTable("status", callsByStatus, plantedByStatus),
    ...totalsTable("cause", callsByCause, plantedByCause),
    `  planted ${formatCount(verdict.planted)}, found ${formatCount(verdict.found)}, wrong ${formatCount(verdict.wrong.length)}`,
    ...worstDayTable(verdict.days),
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

function worstDayTable(days: readonly ReconciliationSummaryRow[]): string[] {
  const [worst] = days.toSorted((a, b) => (b.gross?.ratio ?? 0) - (a.gross?.ratio ?? 0));
  if (worst === undefined) return [];
  const { callDate, net, gross, unmatched } = worst;
  const columns: Column[] = [
    { title: `most on ${callDate}` },
    { title: "share", ...RIGHT },
    { title: "agreed", ...RIGHT },
  ];
  const rows = Object.entries({ net, gross, unmatched }).map(([name, result]) => [name, ...told(result)]);
  return formatTable(columns, rows, "  ");
}

function told(result: ThresholdResult | undefined): [share: string, agreed: string] {
  const { ratio, thresholdRatio } = result ?? {};
  const share = ratio === undefined ? "unknown" : formatRatio(ratio);
  return [share, thresholdRatio === undefined ? "" : formatRatio(thresholdRatio)];
}

function formatRatio(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
