import { type RawBuilder, sql } from "kysely";
import type { ReportingScope } from "../../domain/carriers/carrier.ts";
import { enumValues } from "../../domain/enum-values.ts";
import { isoFromMicros } from "../../domain/time/instant.ts";
import { DiscrepancyCause, DiscrepancyStatus, MatchedBy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { readRows, type Tx } from "../database/run.ts";
import { KIND_COLUMNS, TRAITS } from "./summary-cells.ts";
import { readSummarySource, type SummarySource, summaryRows } from "./summary-source.ts";

/** What calls are summed up by, in the order of the rows. */
export const SUMMARY_DIMENSIONS = ["call_date", "customer_id", "trunk_id", "direction"] as const;
export type SummaryDimension = (typeof SUMMARY_DIMENSIONS)[number];

/** The key of a row: the values of its dimensions as texts; empty: absent. */
export type SummaryKey = Readonly<Partial<Record<SummaryDimension, string>>>;

export interface SummaryRequest {
  readonly carrierId: string;
  /** Days in the carrier's time zone, the last not included. */
  readonly startDate: string;
  readonly endDate: string;
  readonly customerIds: readonly string[];
  readonly trunkIds: readonly string[];
  readonly direction: number | undefined;
  /** Empty: everything in one row. */
  readonly groupBy: readonly SummaryDimension[];
  /** What the carrier has to report, and within which time. */
  readonly reportingScopes: readonly ReportingScope[];
  readonly graceMs: bigint;
}

/** The figures of a row, in the contract's names. Sums in milliseconds. */
export interface SummaryFigures extends SummaryTotals {
  readonly key: SummaryKey;
  readonly statusTotals: readonly {
    readonly status: number;
    readonly callCount: bigint;
    readonly unmeasuredCallCount: bigint;
    readonly platformConnectedDurationMs: bigint;
    readonly carrierConnectedDurationMs: bigint;
  }[];
  readonly causeTotals: readonly {
    readonly cause: number;
    readonly callCount: bigint;
    readonly absoluteDeltaMs: bigint;
  }[];
  readonly matchedByTotals: readonly { readonly matchedBy: number; readonly pairCount: bigint }[];
}

/** Longest statement of a summary, milliseconds. */
export const SUMMARY_TIMEOUT_MS = 30_000;

const LAST_COMPARED = DiscrepancyStatus.AMBIGUOUS;

const UNMATCHED: readonly number[] = [
  DiscrepancyStatus.MISSING_AT_CARRIER,
  DiscrepancyStatus.MISSING_AT_PLATFORM,
  DiscrepancyStatus.DUPLICATE_AT_CARRIER,
  DiscrepancyStatus.DUPLICATE_AT_PLATFORM,
  DiscrepancyStatus.AMBIGUOUS,
];

/**
 * Sums up a carrier's calls, by key after the last of a page. Merged results do not count. In a
 * transaction with a snapshot.
 * @param source which days are read from calls. Default: those that sums do not tell.
 */
export async function summarizeReconciliation(
  tx: Tx,
  request: SummaryRequest,
  page: { after: SummaryKey | undefined; limit: number },
  source?: SummarySource,
): Promise<SummaryFigures[]> {
  const { groupBy } = request;
  // The days of earlier pages are not read again.
  const startDate = (groupBy.includes("call_date") && page.after?.call_date) || request.startDate;
  const asked = { ...request, startDate };
  const found = source ?? (await readSummarySource(tx, asked));
  const keys = groupBy.map((dimension) => sql.ref(dimension));
  const grouping = keys.length > 0 ? sql.join(keys) : sql`()`;
  const order = keys.length > 0 ? sql`ORDER BY ${grouping}` : sql``;
  const rows = await readRows(tx)<SummaryRow>`
    WITH finest AS (${cells(asked, found, page.after)}), cell AS MATERIALIZED (
      SELECT finest.*, status <= ${LAST_COMPARED} AND NOT is_spare AS is_compared, ${lacksLength()} AS is_unmeasured FROM finest
    ), part AS (
      SELECT cell.*, CASE WHEN status = ${DiscrepancyStatus.AMBIGUOUS} THEN 0 ELSE call_delta_ms END AS compared_delta_ms FROM cell
      UNION ALL ${ambiguousParts()}
    )
    SELECT ${sql.join([...keys, ...sums()])} FROM part GROUP BY ${grouping} ${order} LIMIT ${page.limit}`;
  return rows.filter((row) => row.anyCalls !== undefined).map((row) => figuresOf(row, groupBy));
}

// The few kinds of calls that all sums are made of.
function cells(request: SummaryRequest, source: SummarySource, after: SummaryKey | undefined): RawBuilder<unknown> {
  const has = (trait: number) => sql`r.traits & ${sql.lit(trait)} <> 0`;
  return sql`
    SELECT ${KIND_COLUMNS}, date_trunc('hour', r.start_time) + ${`${request.graceMs} milliseconds`}::interval + interval '1 hour' <= now() AS is_due,
      ${isInScope(request.reportingScopes)} AS in_scope, ${has(TRAITS.UNMEASURED)} AS lacks_length,
      r.status = ${DiscrepancyStatus.DUPLICATE_AT_PLATFORM} AND NOT ${isReported(request.reportingScopes)} AS is_spare,
      sum(r.calls) AS calls, sum(CASE WHEN ${has(TRAITS.PLATFORM)} THEN r.calls ELSE 0 END) AS platform_calls,
      sum(CASE WHEN ${has(TRAITS.CARRIER)} THEN r.calls ELSE 0 END) AS carrier_calls, sum(r.platform_ms) AS platform_ms,
      sum(r.carrier_ms) AS carrier_ms, sum(r.call_delta_ms) AS call_delta_ms
    FROM (${summaryRows(request, source, sql.join(conditionsOf(request, after), sql` AND `))}) r
    GROUP BY ${KIND_COLUMNS}, is_due, in_scope, lacks_length, is_spare`;
}

// Any AMBIGUOUS call of two parties may be the one without a length.
function lacksLength(): RawBuilder<unknown> {
  return sql`CASE WHEN status = ${DiscrepancyStatus.AMBIGUOUS}
    THEN bool_or(lacks_length) OVER (PARTITION BY status, ${sql.join(SUMMARY_DIMENSIONS.map((each) => sql.ref(each)))}, pair_key)
    ELSE lacks_length END`;
}

const VALUE_OF: Readonly<Record<SummaryDimension, RawBuilder<unknown>>> = {
  call_date: sql`r.call_date`,
  customer_id: sql`COALESCE(r.customer_id, '') COLLATE "C"`,
  trunk_id: sql`COALESCE(r.trunk_id, '') COLLATE "C"`,
  direction: sql`r.direction`,
};

// On calls or sums `r`.
function conditionsOf(request: SummaryRequest, after: SummaryKey | undefined): RawBuilder<unknown>[] {
  const { customerIds, trunkIds, direction, groupBy } = request;
  const wheres = [sql`true`];
  if (customerIds.length > 0) wheres.push(sql`r.customer_id = ANY(${customerIds}::text[])`);
  if (trunkIds.length > 0) wheres.push(sql`r.trunk_id = ANY(${trunkIds}::text[])`);
  if (direction !== undefined) wheres.push(sql`r.direction = ${direction}`);
  if (after && groupBy.length > 0) {
    const values = groupBy.map((dimension) => VALUE_OF[dimension]);
    const last = groupBy.map((dimension) => typed(dimension, after[dimension] ?? ""));
    wheres.push(sql`(${sql.join(values)}) > (${sql.join(last)})`);
  }
  return wheres;
}

function typed(dimension: SummaryDimension, value: string): RawBuilder<unknown> {
  if (dimension === "call_date") return sql`${value}::date`;
  return dimension === "direction" ? sql`${Number(value)}::int2` : sql`${value}::text`;
}

/** Whether the carrier had to report such a copy of the platform's. */
function isReported(scopes: readonly ReportingScope[]): RawBuilder<unknown> {
  const answered = scopes.filter(({ unanswered }) => !unanswered);
  const whole = scopes.filter(({ unanswered }) => unanswered);
  return sql`(${isInScope(whole)} OR r.traits & ${sql.lit(TRAITS.ANSWERED_COPY)} <> 0 AND ${isInScope(answered)})`;
}

function isInScope(scopes: readonly ReportingScope[]): RawBuilder<unknown> {
  const each = scopes.map(({ directions, startTime, endTime }) => {
    const from = startTime === undefined ? sql`` : sql` AND r.start_time >= ${isoFromMicros(startTime)}::timestamptz`;
    const until = endTime === undefined ? sql`` : sql` AND r.start_time < ${isoFromMicros(endTime)}::timestamptz`;
    return sql`(r.direction = ANY(${directions}::int2[])${from}${until})`;
  });
  return each.length === 0 ? sql`false` : sql`(${sql.join(each, sql` OR `)})`;
}

// An AMBIGUOUS call has no counterpart. All of one direction and two parties are compared as one.
// Hidden callers may have been judged together across numbers, so this is an approximation. It uses
// the finest grouping for every request, so that rows add up.
function ambiguousParts(): RawBuilder<unknown> {
  return sql`
    SELECT call_date, customer_id, trunk_id, direction, ${DiscrepancyStatus.AMBIGUOUS}::int2, 0::int2, 0::int2, pair_key, 0::int2,
      false, false, false, false, 0, 0, 0, 0, 0, 0, true, false, abs(sum(carrier_ms) - sum(platform_ms))
    FROM cell WHERE status = ${DiscrepancyStatus.AMBIGUOUS} AND NOT is_unmeasured GROUP BY call_date, customer_id, trunk_id, direction, pair_key`;
}

const CALLS = sql`calls`;
const MEASURED = sql`is_compared AND NOT is_unmeasured`;
const UNMEASURED = sql`is_compared AND is_unmeasured`;
const EXPECTED = sql`is_due AND in_scope AND (is_compared OR carrier_calls > 0)`;

/**
 * Compared are all calls except PENDING, VOIDED, NOT_REPORTED, and copies that need not be
 * reported. Times are of compared calls with a length, and as far as known of those without. The
 * last four tell whether the carrier reported.
 */
const TOTALS = {
  comparedCallCount: sum(CALLS, sql`is_compared`),
  platformCallCount: sum(sql`platform_calls`, sql`is_compared`),
  carrierCallCount: sum(sql`carrier_calls`, sql`is_compared`),
  /** Compared calls without a pair. */
  unmatchedCallCount: sum(CALLS, sql`is_compared AND status IN (${sql.join(UNMATCHED.map((each) => sql.lit(each)))})`),
  platformConnectedDurationMs: sum(sql`platform_ms`, MEASURED),
  carrierConnectedDurationMs: sum(sql`carrier_ms`, MEASURED),
  absoluteDeltaMs: sum(sql`compared_delta_ms`, MEASURED),
  unmeasuredCallCount: sum(CALLS, UNMEASURED),
  unmeasuredPlatformDurationMs: sum(sql`platform_ms`, UNMEASURED),
  unmeasuredCarrierDurationMs: sum(sql`carrier_ms`, UNMEASURED),
  /** Days and directions with calls outside the scope. */
  outsideParts: parts(sql`is_due AND NOT in_scope`),
  /** Those, and others with calls inside the scope that need not be reported. */
  notExpectedParts: parts(
    sql`is_due AND (NOT in_scope OR is_spare OR status = ${sql.lit(DiscrepancyStatus.NOT_REPORTED)})`,
  ),
  /** Days and directions in scope with expected or reported calls. */
  expectedParts: parts(EXPECTED),
  /** Those with a duration. */
  reportedParts: parts(sql`${EXPECTED} AND carrier_calls > 0`),
};
export type SummaryTotals = Readonly<Record<keyof typeof TOTALS, bigint>>;

/** Sums by value of an enum, an array each. Values without calls are left out. */
const BY_VALUE = {
  status: {
    values: enumValues(DiscrepancyStatus),
    holds: (status: number) => sql`status = ${status}`,
    sums: {
      callCount: CALLS,
      unmeasuredCallCount: sql`CASE WHEN is_unmeasured THEN calls END`,
      platformConnectedDurationMs: sql`platform_ms`,
      carrierConnectedDurationMs: sql`carrier_ms`,
    },
  },
  cause: {
    values: enumValues(DiscrepancyCause),
    holds: (cause: number) => sql`causes & ${1 << cause}::int2 <> 0`,
    sums: { callCount: CALLS, absoluteDeltaMs: sql`call_delta_ms` },
  },
  matchedBy: {
    values: enumValues(MatchedBy),
    holds: (matchedBy: number) => sql`matched_by = ${matchedBy}`,
    sums: { pairCount: CALLS },
  },
};
type ByValue = keyof typeof BY_VALUE;

function sums(): RawBuilder<unknown>[] {
  const byValue = Object.entries(BY_VALUE).flatMap(([of, { values, holds, sums: each }]) =>
    Object.entries(each).map(([name, column]) => {
      const found = values.map((value) => sum(column, holds(value)));
      return sql`ARRAY[${sql.join(found)}]::int8[] AS ${sql.ref(`${of}/${name}`)}`;
    }),
  );
  const totals = Object.entries(TOTALS).map(([name, total]) => sql`${total} AS ${sql.ref(name)}`);
  return [sql`sum(calls) AS any_calls`, ...byValue, ...totals];
}

/** On how many days and in how many directions there are such calls. */
function parts(condition: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`count(DISTINCT (call_date - date '2000-01-01') * 4 + direction) FILTER (WHERE ${condition})`;
}

function sum(column: RawBuilder<unknown>, condition: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`COALESCE(sum(${column}) FILTER (WHERE ${condition}), 0)`;
}

/** Arrays of int8 are read as text. */
type SummaryRow = SummaryTotals &
  Record<`${ByValue}/${string}`, string[]> & {
    readonly callDate?: string;
    readonly customerId?: string;
    readonly trunkId?: string;
    readonly direction?: number;
    /** Undefined: no calls at all. */
    readonly anyCalls: bigint | undefined;
  };

const FIELD_OF = {
  call_date: "callDate",
  customer_id: "customerId",
  trunk_id: "trunkId",
  direction: "direction",
} as const satisfies Record<SummaryDimension, keyof SummaryRow>;

function figuresOf(row: SummaryRow, groupBy: readonly SummaryDimension[]): SummaryFigures {
  const totalsBy = (of: ByValue) => {
    const { values, sums: each } = BY_VALUE[of];
    const totals = values.map((value, index) => ({
      [of]: value,
      ...Object.fromEntries(Object.keys(each).map((name) => [name, BigInt(row[`${of}/${name}`]?.[index] ?? 0)])),
    }));
    const [counted = ""] = Object.keys(each);
    return totals.filter((total) => total[counted]) as never[];
  };
  return {
    ...row,
    key: Object.fromEntries(groupBy.map((dimension) => [dimension, String(row[FIELD_OF[dimension]])])),
    statusTotals: totalsBy("status"),
    causeTotals: totalsBy("cause"),
    matchedByTotals: totalsBy("matchedBy"),
  };
}
