import {
  DiscrepancyCauseSchema,
  DiscrepancyStatus,
  DiscrepancyStatusSchema,
  MatchedBySchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import {
  type ReconciliationSummaryRow,
  ReconciliationSummaryRowSchema,
  ReportingStateSchema,
  SummaryDimension,
  type ThresholdResult,
} from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { type CsvColumn, fieldColumns } from "../shared/csv-output.ts";
import { formatCount, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatMinutes, formatWay } from "../shared/values.ts";

type Row = ReconciliationSummaryRow;

/** The column of each dimension. */
const DIMENSIONS: Readonly<Partial<Record<SummaryDimension, RowColumn<Row>>>> = {
  [SummaryDimension.DAY]: { title: "day", read: ({ callDate }) => callDate },
  [SummaryDimension.CUSTOMER]: { title: "customer", read: ({ customerId }) => customerId ?? "-" },
  [SummaryDimension.TRUNK]: { title: "trunk", read: ({ trunkId }) => trunkId ?? "-" },
  [SummaryDimension.DIRECTION]: { title: "way", read: ({ direction }) => formatWay(direction) },
};

const FIGURES: readonly RowColumn<Row>[] = [
  { title: "calls", align: "right", read: (row) => formatCount(row.comparedCallCount) },
  { title: "min", align: "right", read: (row) => formatMinutes(row.platformConnectedDurationMs) },
  { title: "min carrier", align: "right", read: (row) => formatMinutes(row.carrierConnectedDurationMs) },
  { title: "net", align: "right", read: (row) => formatRatio(row.net) },
  { title: "gross", align: "right", read: (row) => formatRatio(row.gross) },
  { title: "unmatched", align: "right", read: (row) => formatRatio(row.unmatched) },
  { title: "pending", align: "right", read: (row) => formatCount(callsOf(row, DiscrepancyStatus.PENDING)) },
];
/** Beside net and gross, which are without them. */
const UNMEASURED: RowColumn<Row> = {
  title: "no length",
  align: "right",
  read: (row) => formatCount(row.unmeasuredCallCount),
};
const NOTES: readonly RowColumn<Row>[] = [
  { title: "reported", read: (row) => enumName(ReportingStateSchema, row.reportingState) ?? "not yet" },
  { title: "mostly for", read: (row) => enumName(DiscrepancyCauseSchema, largestCause(row)) },
];

/** Prints the rows of a summary as a table. */
export function printSummary(rows: readonly Row[], groupBy: readonly SummaryDimension[], withCarrier: boolean): void {
  const columns: RowColumn<Row>[] = [
    ...(withCarrier ? [{ title: "carrier", read: ({ carrierId }: Row) => carrierId }] : []),
    ...Object.entries(DIMENSIONS).flatMap(([of, column]) => (groupBy.includes(Number(of)) ? [column] : [])),
    ...FIGURES,
    ...(rows.some((row) => row.unmeasuredCallCount > 0n) ? [UNMEASURED] : []),
    ...NOTES,
  ];
  printRows(columns, rows, "No calls.");
}

function largestCause({ causeTotals }: Row): number {
  const [largest] = causeTotals.toSorted((a, b) => Number(b.absoluteDeltaMs - a.absoluteDeltaMs));
  return largest?.cause ?? 0;
}

function callsOf({ statusTotals }: Row, status: DiscrepancyStatus): bigint {
  return statusTotals.find((total) => total.status === status)?.callCount ?? 0n;
}

function formatRatio(result: ThresholdResult | undefined): string {
  if (result?.ratio === undefined) return "";
  return `${(100 * result.ratio).toFixed(2)} %${result.exceeded ? "!" : ""}`;
}

/** The columns of a summary as CSV. */
export const SUMMARY_CSV: readonly CsvColumn<Row>[] = [
  ...fieldColumns(
    ReconciliationSummaryRowSchema,
    ...["carrier_id", "call_date", "customer_id", "trunk_id", "direction", "reporting_state", "compared_call_count"],
    ...["platform_call_count", "carrier_call_count", "platform_connected_duration_ms"],
    ...["carrier_connected_duration_ms", "absolute_delta_ms"],
  ),
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
  ...fieldColumns(
    ReconciliationSummaryRowSchema,
    ...["unmeasured_call_count", "unmeasured_platform_duration_ms", "unmeasured_carrier_duration_ms"],
  ),
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
