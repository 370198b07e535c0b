import {
  type UsageCompleteness,
  UsageDimension,
  type UsageKey,
  UsageKeySchema,
  UsagePart,
  UsagePartSchema,
  type UsageRow,
  type UsageTotals,
  UsageTotalsSchema,
} from "../../gen/tandem/platform/v1/usage_pb.js";
import { ReportingState, ReportingStateSchema } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { type CsvColumn, csvOf } from "../shared/csv-output.ts";
import { formatCount, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatMinutes, formatTime, formatWay } from "../shared/values.ts";

/** Dimensions of a row: column, and field in the contract. */
export const USAGE_KEYS: readonly (RowColumn<UsageKey> & { of: UsageDimension; field: string })[] = [
  { of: UsageDimension.DAY, title: "day", field: "usage_date", read: ({ usageDate }) => usageDate },
  { of: UsageDimension.NUMBER, title: "number", field: "phone_number", read: ({ phoneNumber }) => phoneNumber },
  { of: UsageDimension.DIRECTION, title: "way", field: "direction", read: ({ direction }) => formatWay(direction) },
  { of: UsageDimension.COUNTRY, title: "country", field: "country_code", read: ({ countryCode }) => countryCode },
  { of: UsageDimension.CARRIER, title: "carrier", field: "carrier_id", read: ({ carrierId }) => carrierId },
  {
    of: UsageDimension.OTHER_PARTY,
    title: "other party",
    field: "other_party_number",
    read: ({ otherPartyNumber }) => otherPartyNumber,
  },
];

/** What agrees needs no column. */
const NOTABLE_PARTS = [
  UsagePart.DISPUTED,
  UsagePart.UNCONFIRMED,
  UsagePart.PENDING,
  UsagePart.NOT_REPORTED,
  UsagePart.CARRIER_ONLY,
];

interface Line {
  readonly key: UsageKey | undefined;
  readonly totals: UsageTotals | undefined;
  readonly callsOf: (part: UsagePart) => bigint | undefined;
}

/** Prints rows, the calls of each part that does not agree, and the sums. */
export function printUsage(
  rows: readonly UsageRow[],
  totals: UsageTotals | undefined,
  groupBy: readonly UsageDimension[],
): void {
  const keys = keysOf(groupBy).map(
    ({ title, read }, index): RowColumn<Line> => ({
      title,
      read: ({ key }) => (key ? read(key) : index === 0 && "all") || "",
    }),
  );
  const parts = NOTABLE_PARTS.filter((part) => rows.some((row) => partOf(row, part)));
  const counted = (title: string, count: (line: Line) => bigint | undefined): RowColumn<Line> => ({
    title,
    align: "right",
    read: (line) => {
      const calls = count(line);
      return calls === undefined ? "" : formatCount(calls);
    },
  });
  const columns = [
    ...keys,
    counted("calls", (line) => line.totals?.attemptCount ?? 0n),
    counted("answered", (line) => line.totals?.answeredCount ?? 0n),
    {
      title: "minutes",
      align: "right",
      read: (line: Line) => formatMinutes(line.totals?.connectedDurationMs),
    } as const,
    ...(totals?.unmeasuredCount ? [counted("no length", (line) => line.totals?.unmeasuredCount ?? 0n)] : []),
    ...parts.map((part) => counted(partName(part).replaceAll("-", " "), ({ callsOf }) => callsOf(part))),
  ];
  const lines = rows.map(
    (row): Line => ({ key: row.key, totals: row.totals, callsOf: (part) => partOf(row, part)?.attemptCount }),
  );
  const sumOf = (part: UsagePart) => rows.reduce((sum, row) => sum + (partOf(row, part)?.attemptCount ?? 0n), 0n);
  const sum: Line = { key: undefined, totals, callsOf: sumOf };
  printRows(columns, rows.length === 0 ? [] : [...lines, sum], "No calls.");
}

function keysOf(groupBy: readonly UsageDimension[]) {
  return groupBy.flatMap((dimension) => USAGE_KEYS.filter(({ of }) => of === dimension));
}

/** Prints what is pending and who does not report. */
export function describeCompleteness({ pendingRatio, carriers }: UsageCompleteness): string[] {
  const pending = pendingRatio ? [`${(100 * pendingRatio).toFixed(1)} % of the calls are pending.`] : [];
  return [
    ...pending,
    ...carriers.flatMap(({ carrierId, reportingState, reconciledThroughTime, pendingTotals }) => {
      const isComplete = reportingState === ReportingState.REPORTED;
      const unsaid = pendingTotals?.attemptCount ? "not judged yet" : "no calls";
      const state = isComplete ? undefined : (enumName(ReportingStateSchema, reportingState) ?? unsaid);
      const through = reconciledThroughTime
        ? `reconciled to ${formatTime(reconciledThroughTime)}`
        : "not reconciled yet";
      return state === undefined ? [] : [`${carrierId}: ${state.replaceAll("-", " ")}, ${through}.`];
    }),
  ];
}

/** CSV: the key, the sums, and calls and milliseconds of every part. */
export function usageCsv(groupBy: readonly UsageDimension[]): CsvColumn<UsageRow>[] {
  const fields = keysOf(groupBy).map(({ field }) => field);
  const otherKey = groupBy.includes(UsageDimension.OTHER_PARTY) ? ["other_party_key"] : [];
  const sums = ["attempt_count", "answered_count", "connected_duration_ms", "billed_count", "billed_duration_s"];
  return [
    ...csvOf(UsageKeySchema, [...fields, ...otherKey], ({ key }: UsageRow) => key),
    ...csvOf(UsageTotalsSchema, sums, ({ totals }: UsageRow) => totals),
    ...[UsagePart.AGREED, ...NOTABLE_PARTS].flatMap((part): CsvColumn<UsageRow>[] => {
      const name = partName(part).replaceAll("-", "_");
      return [
        { title: `${name}_attempt_count`, read: (row) => partOf(row, part)?.attemptCount ?? 0n },
        { title: `${name}_connected_duration_ms`, read: (row) => partOf(row, part)?.connectedDurationMs ?? 0n },
      ];
    }),
    ...csvOf(UsageTotalsSchema, ["unmeasured_count"], ({ totals }: UsageRow) => totals),
  ];
}

function partOf(row: UsageRow, part: UsagePart): UsageTotals | undefined {
  return row.parts.find(({ usagePart }) => usagePart === part)?.totals;
}

function partName(part: UsagePart): string {
  return enumName(UsagePartSchema, part) ?? "";
}
