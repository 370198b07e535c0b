import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import {
  DiscrepancyCauseSchema,
  DiscrepancyStatus,
  DiscrepancyStatusSchema,
  MatchedBySchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import {
  type ReconciliationSummaryRow,
  ReportingStateSchema,
  SummaryDimension,
  type ThresholdResult,
} from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import type { CsvColumn } from "../shared/csv-output.ts";
import { type Column, formatCount, printTable } from "../shared/output.ts";
import { enumName } from "../shared/values.ts";

type Row = ReconciliationSummaryRow;

/** How each dimension is titled and read. */
const DIMENSIONS: readonly { of: SummaryDimension; title: string; read: (row: Row) => string }[] = [
  { of: SummaryDimension.DAY, title: "day", read: ({ callDate }) => callDate ?? "" },
  { of: SummaryDimension.CUSTOMER, title: "customer", read: ({ customerId }) => customerId ?? "-" },
  { of: SummaryDimension.TRUNK, title: "trunk", read: ({ trunkId }) => trunkId ?? "-" },
  {
    of: SummaryDimension.DIRECTION,
    title: "way",
    read: ({ direction }) => enumName(DirectionSchema, direction)?.replace("bound", "") ?? "",
  },
];

const FIGURES = ["calls", "min", "min carrier", "net", "gross", "unmatched", "pending"];

/** Prints the rows of a summary as a table. */
export function printSummary(rows: readonly Row[], groupBy: readonly SummaryDimension[], withCarrier: boolean): void {
  const dimensions = DIMENSIONS.filter(({ of }) => groupBy.includes(of));
  // Beside net and gross, which are without them.
  const unmeasured = rows.some((row) => row.unmeasuredCallCount > 0n) ? ["no length"] : [];
  const columns: Column[] = [
    ...(withCarrier ? [{ title: "carrier" }] : []),
    ...dimensions.map(({ title }) => ({ title })),
    ...[...FIGURES, ...unmeasured].map((title) => ({ title, align: "right" }) as const),
    { title: "reported" },
    { title: "mostly for" },
  ];
  const cells = rows.map((row) => [
    ...(withCarrier ? [row.carrierId] : []),
    ...dimensions.map(({ read }) => read(row)),
    ...figuresOf(row),
    ...unmeasured.map(() => formatCount(row.unmeasuredCallCount)),
    enumName(ReportingStateSchema, row.reportingState) ?? "not yet",
    enumName(DiscrepancyCauseSchema, largestCause(row)) ?? "",
  ]);
  printTable(columns, cells, "No calls.");
}

function figuresOf(row: Row): string[] {
  return [
    formatCount(row.comparedCallCount),
    formatMinutes(row.platformConnectedDurationMs),
    formatMinutes(row.carrierConnectedDurationMs),
    formatRatio(row.net),
    formatRatio(row.gross),
    formatRatio(row.unmatched),
    formatCount(callsOf(row, DiscrepancyStatus.PENDING)),
  ];
}

function largestCause({ causeTotals }: Row): number {
  const [largest] = causeTotals.toSorted((a, b) => Number(b.absoluteDeltaMs - a.absoluteDeltaMs));
  return largest?.cause ?? 0;
}

function callsOf({ statusTotals }: Row, status: DiscrepancyStatus): bigint {
  return statusTotals.find((total) => total.status === status)?.callCount ?? 0n;
}

// Rounded for display only.
function formatMinutes(ms: bigint): string {
  return (Number(ms) / 60_000).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

function formatRatio(result: ThresholdResult | undefined): string {
  if (result?.ratio === undefined) return "";
  return `${(100 * result.ratio).toFixed(2)} %${result.exceeded ? "!" : ""}`;
}

/** The columns of a summary as CSV. */
export const SUMMARY_CSV: readonly CsvColumn<Row>[] = [
  { title: "carrier_id", read: (row) => row.carrierId },
  { title: "call_date", read: (row) => row.callDate },
  { title: "customer_id", read: (row) => row.customerId },
  { title: "trunk_id", read: (row) => row.trunkId },
  { title: "direction", read: (row) => enumName(DirectionSchema, row.direction) },
  { title: "reporting_state", read: (row) => enumName(ReportingStateSchema, row.reportingState) },
  { title: "compared_call_count", read: (row) => row.comparedCallCount },
  { title: "platform_call_count", read: (row) => row.platformCallCount },
  { title: "carrier_call_count", read: (row) => row.carrierCallCount },
  { title: "platform_connected_duration_ms", read: (row) => row.platformConnectedDurationMs },
  { title: "carrier_connected_duration_ms", read: (row) => row.carrierConnectedDurationMs },
  { title: "absolute_delta_ms", read: (row) => row.absoluteDeltaMs },
  ...(["net", "gross", "unmatched"] as const).flatMap((measure) => [
    { title: `${measure}_ratio`, read: (row: Row) => row[measure]?.ratio },
    { title: `${measure}_threshold_ratio`, read: (row: Row) => row[measure]?.thresholdRatio },
    { title: `${measure}_exceeded`, read: (row: Row) => row[measure]?.exceeded },
  ]),
  ...totals(DiscrepancyStatusSchema, "status", (row, number) => callsOf(row, number)),
  ...totals(
    DiscrepancyCauseSchema,
    "cause",
    (row, number) => row.causeTotals.find(({ cause }) => cause === number)?.callCount ?? 0n,
  ),
  ...totals(
    MatchedBySchema,
    "matched_by",
    (row, number) => row.matchedByTotals.find(({ matchedBy }) => matchedBy === number)?.pairCount ?? 0n,
  ),
  { title: "unmeasured_call_count", read: (row) => row.unmeasuredCallCount },
  { title: "unmeasured_platform_duration_ms", read: (row) => row.unmeasuredPlatformDurationMs },
  { title: "unmeasured_carrier_duration_ms", read: (row) => row.unmeasuredCarrierDurationMs },
];

function totals(
  schema: typeof DiscrepancyStatusSchema | typeof DiscrepancyCauseSchema | typeof MatchedBySchema,
  prefix: string,
  read: (row: Row, number: number) => bigint,
): CsvColumn<Row>[] {
  const named = schema.values.filter(({ number }) => number !== 0);
  return named.map(({ number }) => ({
    title: `${prefix}_${(enumName(schema, number) ?? "").replaceAll("-", "_")}`,
    read: (row) => read(row, number),
  }));
}
