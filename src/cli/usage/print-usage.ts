import {
  type UsageCompleteness,
  UsageDimension,
  type UsageKey,
  UsagePart,
  UsagePartSchema,
  type UsageRow,
  type UsageTotals,
} from "../../gen/tandem/platform/v1/usage_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { ReportingState, ReportingStateSchema } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import type { CsvColumn } from "../shared/csv-output.ts";
import { type Column, formatCount, printTable } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";

/** What a line of figures is about, by dimension: how it is titled and read. */
export const USAGE_KEYS: readonly {
  of: UsageDimension;
  title: string;
  name: string;
  read: (key: UsageKey) => string;
  /** In CSV, where it is another. */
  spell?: (key: UsageKey) => string;
}[] = [
  { of: UsageDimension.DAY, title: "day", name: "usage_date", read: ({ usageDate }) => usageDate ?? "" },
  { of: UsageDimension.NUMBER, title: "number", name: "phone_number", read: ({ phoneNumber }) => phoneNumber ?? "" },
  {
    of: UsageDimension.DIRECTION,
    title: "way",
    name: "direction",
    read: ({ direction }) => enumName(DirectionSchema, direction)?.replace("bound", "") ?? "",
    spell: ({ direction }) => enumName(DirectionSchema, direction) ?? "",
  },
  { of: UsageDimension.COUNTRY, title: "country", name: "country_code", read: ({ countryCode }) => countryCode ?? "" },
  { of: UsageDimension.CARRIER, title: "carrier", name: "carrier_id", read: ({ carrierId }) => carrierId ?? "" },
  {
    of: UsageDimension.OTHER_PARTY,
    title: "other party",
    name: "other_party_number",
    read: ({ otherPartyNumber }) => otherPartyNumber ?? "",
  },
];

/** Parts that a reader should know of: what agrees needs no column. */
const NOTABLE_PARTS = [
  UsagePart.DISPUTED,
  UsagePart.UNCONFIRMED,
  UsagePart.PENDING,
  UsagePart.NOT_REPORTED,
  UsagePart.CARRIER_ONLY,
];

/** Prints rows as a table, with the calls of each part that is not agreed, and the sums below. */
export function printUsage(
  rows: readonly UsageRow[],
  totals: UsageTotals | undefined,
  groupBy: readonly UsageDimension[],
): void {
  const keys = groupBy.flatMap((dimension) => USAGE_KEYS.filter(({ of }) => of === dimension));
  const parts = NOTABLE_PARTS.filter((part) =>
    rows.some((row) => row.parts.some(({ usagePart }) => usagePart === part)),
  );
  const lengths = totals?.unmeasuredCount ? ["no length"] : [];
  const columns: Column[] = [
    ...keys.map(({ title }) => ({ title })),
    ...["calls", "answered", "minutes", ...lengths, ...parts.map((part) => partName(part).replaceAll("-", " "))].map(
      (title) => ({ title, align: "right" }) as const,
    ),
  ];
  const cells = rows.map((row) => [
    ...keys.map(({ read }) => (row.key ? read(row.key) : "")),
    ...figuresOf(row.totals),
    ...lengths.map(() => formatCount(row.totals?.unmeasuredCount ?? 0n)),
    ...parts.map((part) => callsOf(row, part)),
  ]);
  const sum = [
    ...keys.map((_, index) => (index === 0 ? "all" : "")),
    ...figuresOf(totals),
    ...lengths.map(() => formatCount(totals?.unmeasuredCount ?? 0n)),
    ...parts.map((part) =>
      formatCount(rows.reduce((calls, row) => calls + (partOf(row, part)?.attemptCount ?? 0n), 0n)),
    ),
  ];
  printTable(columns, rows.length === 0 ? [] : [...cells, sum], "No calls.");
}

/** Says what figures lack: what is pending, who does not report. */
export function describeCompleteness({ pendingRatio, carriers }: UsageCompleteness): string[] {
  const pending = pendingRatio ? [`${formatShare(pendingRatio)} of the calls are pending.`] : [];
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

/** Rows as CSV: the key, the sums, and the calls and milliseconds of every part. */
export function usageCsv(groupBy: readonly UsageDimension[]): CsvColumn<UsageRow>[] {
  const keys = groupBy.flatMap((dimension) => USAGE_KEYS.filter(({ of }) => of === dimension));
  const otherKey: CsvColumn<UsageRow> = { title: "other_party_key", read: ({ key }) => key?.otherPartyKey };
  return [
    ...usageKeyCsv(keys, ({ key }: UsageRow) => key),
    ...(groupBy.includes(UsageDimension.OTHER_PARTY) ? [otherKey] : []),
    { title: "attempt_count", read: ({ totals }) => totals?.attemptCount },
    { title: "answered_count", read: ({ totals }) => totals?.answeredCount },
    { title: "connected_duration_ms", read: ({ totals }) => totals?.connectedDurationMs },
    { title: "billed_count", read: ({ totals }) => totals?.billedCount },
    { title: "billed_duration_s", read: ({ totals }) => totals?.billedDurationS },
    ...[UsagePart.AGREED, ...NOTABLE_PARTS].flatMap((part): CsvColumn<UsageRow>[] => {
      const name = partName(part).replaceAll("-", "_");
      return [
        { title: `${name}_attempt_count`, read: (row) => partOf(row, part)?.attemptCount ?? 0n },
        { title: `${name}_connected_duration_ms`, read: (row) => partOf(row, part)?.connectedDurationMs ?? 0n },
      ];
    }),
    { title: "unmeasured_count", read: ({ totals }) => totals?.unmeasuredCount },
  ];
}

/** The columns of keys. */
export function usageKeyCsv<Row>(keys: typeof USAGE_KEYS, keyOf: (row: Row) => UsageKey | undefined): CsvColumn<Row>[] {
  return keys.map(({ name, read, spell = read }) => ({
    title: name,
    read: (row) => {
      const key = keyOf(row);
      return key && spell(key);
    },
  }));
}

/** Minutes to a tenth: rounded for display only. */
export function formatMinutes(totals: UsageTotals | undefined): string {
  const minutes = Number(totals?.connectedDurationMs ?? 0n) / 60_000;
  return minutes.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

/** A share in percent. */
export function formatShare(ratio: number): string {
  return `${(100 * ratio).toFixed(1)} %`;
}

function figuresOf(totals: UsageTotals | undefined): string[] {
  return [formatCount(totals?.attemptCount ?? 0n), formatCount(totals?.answeredCount ?? 0n), formatMinutes(totals)];
}

function callsOf(row: UsageRow, part: UsagePart): string {
  const calls = partOf(row, part)?.attemptCount;
  return calls === undefined ? "" : formatCount(calls);
}

function partOf(row: UsageRow, part: UsagePart): UsageTotals | undefined {
  return row.parts.find(({ usagePart }) => usagePart === part)?.totals;
}

function partName(part: UsagePart): string {
  return enumName(UsagePartSchema, part) ?? "";
}
