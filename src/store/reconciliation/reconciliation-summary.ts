import { type RawBuilder, sql } from "kysely";
import type { ReportingScope } from "../../domain/carriers/carrier.ts";
import { enumValues } from "../../domain/enum-values.ts";
import { isoFromMicros } from "../../domain/time/instant.ts";
import { DiscrepancyCause, DiscrepancyStatus, MatchedBy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { run, type Tx } from "../database/run.ts";
import { ABSOLUTE_DELTA_MS, IS_UNMEASURED } from "./discrepancies.ts";

/** By what calls are summed up, in the order of the rows. */
export const SUMMARY_DIMENSIONS = ["call_date", "customer_id", "trunk_id", "direction"] as const;
export type SummaryDimension = (typeof SUMMARY_DIMENSIONS)[number];

/** What names a row: the values of the dimensions asked for, as text; empty: absent. */
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
  /** What the agreement expects the carrier to report, and how long it has for it. */
  readonly reportingScopes: readonly ReportingScope[];
  readonly graceMs: bigint;
}

/** The figures of one row. Sums in milliseconds. */
export interface SummaryFigures {
  readonly key: SummaryKey;
  readonly statuses: readonly StatusFigures[];
  readonly causes: readonly { readonly cause: number; readonly calls: bigint; readonly absoluteDeltaMs: bigint }[];
  readonly matchedBy: readonly { readonly matchedBy: number; readonly pairs: bigint }[];
  /**
   * Over the compared calls: all but PENDING, VOIDED, NOT_REPORTED and copies of what need not be
   * reported. The times are of those with a length.
   */
  readonly compared: {
    readonly calls: bigint;
    /** Of these, those without a pair. */
    readonly unmatched: bigint;
    readonly platformCalls: bigint;
    readonly carrierCalls: bigint;
    readonly platformMs: bigint;
    readonly carrierMs: bigint;
    readonly absoluteDeltaMs: bigint;
  };
  /** Compared calls of which a side does not know the length, and what is known of it. */
  readonly unmeasured: { readonly calls: bigint; readonly platformMs: bigint; readonly carrierMs: bigint };
  readonly reporting: ReportingFigures;
}

export interface StatusFigures {
  readonly status: number;
  readonly calls: bigint;
  readonly unmeasured: bigint;
  readonly platformMs: bigint;
  readonly carrierMs: bigint;
}

/** What tells whether the carrier reported; over calls of hours that are past their grace. */
export interface ReportingFigures {
  /** Calls of days and directions outside the scope. */
  readonly outside: bigint;
  /** Those, and calls inside that did not have to be reported either, such as unanswered ones. */
  readonly notExpected: bigint;
  /**
   * Days and directions within the scope of which something was expected or came, and those of them
   * with a duration.
   */
  readonly expectedParts: bigint;
  readonly reportedParts: bigint;
}

/** Longest that a summary may take, milliseconds. */
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
 * Sums up a carrier's calls. Rows ascend by their key, after the one that a page ended with; a
 * result that was merged into another counts nowhere.
 */
export async function summarizeReconciliation(
  tx: Tx,
  request: SummaryRequest,
  page: { after: SummaryKey | undefined; limit: number },
): Promise<SummaryFigures[]> {
  const keys = request.groupBy.map((dimension) => sql.ref(dimension));
  const grouping = keys.length > 0 ? sql.join(keys) : sql`()`;
  const order = keys.length > 0 ? sql`ORDER BY ${grouping}` : sql``;
  const { rows } = await run(tx)<SummaryRow>`
    WITH finest AS (${cells(request, page.after)}), cell AS MATERIALIZED (
      SELECT finest.*, status <= ${LAST_COMPARED} AND NOT is_spare AS is_compared, ${lacksLength()} AS is_unmeasured FROM finest
    ), part AS (
      SELECT cell.*, CASE WHEN status = ${DiscrepancyStatus.AMBIGUOUS} THEN 0 ELSE call_delta_ms END AS compared_delta_ms FROM cell
      UNION ALL ${ambiguousParts()}
    )
    SELECT ${sql.join([...keys, ...sums()])} FROM part GROUP BY ${grouping} ${order} LIMIT ${page.limit}`;
  return rows.filter((row) => row.anyCalls !== undefined).map((row) => figuresOf(row, request.groupBy));
}

// Few rows, of which all sums are made: calls that have everything in common that a sum asks for.
function cells(request: SummaryRequest, after: SummaryKey | undefined): RawBuilder<unknown> {
  return sql`
    SELECT ${sql.join(SUMMARY_DIMENSIONS.map((dimension) => sql`${VALUE_OF[dimension]} AS ${sql.ref(dimension)}`))},
      r.status, r.causes, r.matched_by, CASE WHEN r.status = ${DiscrepancyStatus.AMBIGUOUS} THEN r.pair_key END AS pair_key,
      date_trunc('hour', r.start_time) + ${`${request.graceMs} milliseconds`}::interval + interval '1 hour' <= now() AS is_due,
      ${isInScope(request.reportingScopes)} AS in_scope, ${IS_UNMEASURED} AS lacks_length,
      r.status = ${DiscrepancyStatus.DUPLICATE_AT_PLATFORM} AND NOT ${isReported(request.reportingScopes)} AS is_spare,
      count(*) AS calls, count(r.platform_answered) AS platform_calls, count(r.carrier_answered) AS carrier_calls,
      sum(COALESCE(r.platform_ms, 0)) AS platform_ms, sum(COALESCE(r.carrier_ms, r.billed_s * 1000, 0)) AS carrier_ms,
      sum(${ABSOLUTE_DELTA_MS}) AS call_delta_ms
    FROM call_result r WHERE ${sql.join(conditionsOf(request, after), sql` AND `)}
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12`;
}

// Any of the AMBIGUOUS calls of a pair of numbers may be the one without a length.
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

function conditionsOf(request: SummaryRequest, after: SummaryKey | undefined): RawBuilder<unknown>[] {
  const { carrierId, endDate, customerIds, trunkIds, direction, groupBy } = request;
  // The days of the pages before need not be read again.
  const startDate = (groupBy.includes("call_date") && after?.call_date) || request.startDate;
  const wheres = [
    sql`r.carrier_id = ${carrierId} AND NOT r.is_merged AND r.call_date >= ${startDate}::date AND r.call_date < ${endDate}::date`,
    // By index: no time zone is further than 14 hours from UTC.
    sql`r.start_time >= ${startDate}::timestamp AT TIME ZONE 'UTC' - interval '1 day'`,
    sql`r.start_time < ${endDate}::timestamp AT TIME ZONE 'UTC' + interval '1 day'`,
  ];
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

/** Whether the carrier had to report such a call of the platform's, unanswered ones too. */
function isReported(scopes: readonly ReportingScope[]): RawBuilder<unknown> {
  const answered = scopes.filter(({ unanswered }) => !unanswered);
  const whole = scopes.filter(({ unanswered }) => unanswered);
  return sql`(${isInScope(whole)} OR r.platform_answered AND ${isInScope(answered)})`;
}

function isInScope(scopes: readonly ReportingScope[]): RawBuilder<unknown> {
  const each = scopes.map(({ directions, startTime, endTime }) => {
    const from = startTime === undefined ? sql`` : sql` AND r.start_time >= ${isoFromMicros(startTime)}::timestamptz`;
    const until = endTime === undefined ? sql`` : sql` AND r.start_time < ${isoFromMicros(endTime)}::timestamptz`;
    return sql`(r.direction = ANY(${directions}::int2[])${from}${until})`;
  });
  return each.length === 0 ? sql`false` : sql`(${sql.join(each, sql` OR `)})`;
}

// An AMBIGUOUS call has no other to be compared with: those of one direction and pair of numbers
// could pair with each other, and are compared as one. That is near to, and not quite, what was
// judged together, which callers that are restricted may join across numbers. It is done in the
// finest grouping whatever the request's, so that rows add up.
function ambiguousParts(): RawBuilder<unknown> {
  return sql`
    SELECT call_date, customer_id, trunk_id, direction, ${DiscrepancyStatus.AMBIGUOUS}::int2, 0::int2, 0::int2, pair_key, false, false, false, false, 0, 0, 0, 0, 0, 0,
      true, false, abs(sum(carrier_ms) - sum(platform_ms))
    FROM cell WHERE status = ${DiscrepancyStatus.AMBIGUOUS} AND NOT is_unmeasured GROUP BY call_date, customer_id, trunk_id, direction, pair_key`;
}

const STATUSES = enumValues(DiscrepancyStatus);
const CAUSES = enumValues(DiscrepancyCause);
const MATCHES = enumValues(MatchedBy);

function sums(): RawBuilder<unknown>[] {
  const isCompared = sql`is_compared`;
  const isMeasured = sql`is_compared AND NOT is_unmeasured`;
  const isUnmeasured = sql`is_compared AND is_unmeasured`;
  const isExpected = sql`is_due AND in_scope AND (is_compared OR carrier_calls > 0)`;
  const part = sql`(call_date - date '2000-01-01') * 4 + direction`;
  const ofStatuses = (column: RawBuilder<unknown>) =>
    sumArray(
      column,
      STATUSES.map((status) => sql`status = ${status}`),
    );
  const ofCauses = (column: RawBuilder<unknown>) =>
    sumArray(
      column,
      CAUSES.map((cause) => sql`causes & ${1 << cause}::int2 <> 0`),
    );
  return [
    sql`sum(calls) AS any_calls`,
    sql`${ofStatuses(sql`calls`)} AS status_calls`,
    sql`${ofStatuses(sql`CASE WHEN is_unmeasured THEN calls END`)} AS status_unmeasured`,
    sql`${ofStatuses(sql`platform_ms`)} AS status_platform_ms`,
    sql`${ofStatuses(sql`carrier_ms`)} AS status_carrier_ms`,
    sql`${ofCauses(sql`calls`)} AS cause_calls`,
    sql`${ofCauses(sql`call_delta_ms`)} AS cause_delta_ms`,
    sql`${sumArray(
      sql`calls`,
      MATCHES.map((matchedBy) => sql`matched_by = ${matchedBy}`),
    )} AS matched_by_pairs`,
    sql`${sum(sql`calls`, isCompared)} AS compared_calls`,
    sql`${sum(sql`platform_calls`, isCompared)} AS compared_platform_calls`,
    sql`${sum(sql`carrier_calls`, isCompared)} AS compared_carrier_calls`,
    sql`${sum(sql`calls`, sql`is_compared AND status IN (${sql.join(UNMATCHED.map((status) => sql.lit(status)))})`)} AS compared_unmatched`,
    sql`${sum(sql`platform_ms`, isMeasured)} AS compared_platform_ms`,
    sql`${sum(sql`carrier_ms`, isMeasured)} AS compared_carrier_ms`,
    sql`${sum(sql`compared_delta_ms`, isMeasured)} AS compared_delta_ms`,
    sql`${sum(sql`calls`, isUnmeasured)} AS unmeasured_calls`,
    sql`${sum(sql`platform_ms`, isUnmeasured)} AS unmeasured_platform_ms`,
    sql`${sum(sql`carrier_ms`, isUnmeasured)} AS unmeasured_carrier_ms`,
    sql`${sum(sql`calls`, sql`is_due AND NOT in_scope`)} AS outside`,
    sql`${sum(sql`calls`, sql`is_due AND (NOT in_scope OR is_spare OR status = ${DiscrepancyStatus.NOT_REPORTED})`)} AS not_expected`,
    sql`count(DISTINCT ${part}) FILTER (WHERE ${isExpected}) AS expected_parts`,
    sql`count(DISTINCT ${part}) FILTER (WHERE ${isExpected} AND carrier_calls > 0) AS reported_parts`,
  ];
}

function sum(column: RawBuilder<unknown>, condition: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`COALESCE(sum(${column}) FILTER (WHERE ${condition}), 0)`;
}

function sumArray(column: RawBuilder<unknown>, conditions: RawBuilder<unknown>[]): RawBuilder<unknown> {
  return sql`ARRAY[${sql.join(conditions.map((condition) => sum(column, condition)))}]::int8[]`;
}

interface SummaryRow {
  callDate?: string;
  customerId?: string;
  trunkId?: string;
  direction?: number;
  /** Null where a summary in one row has no calls. */
  anyCalls: bigint | undefined;
  // Arrays of int8 are read as text.
  statusCalls: string[];
  statusUnmeasured: string[];
  statusPlatformMs: string[];
  statusCarrierMs: string[];
  causeCalls: string[];
  causeDeltaMs: string[];
  matchedByPairs: string[];
  comparedCalls: bigint;
  comparedPlatformCalls: bigint;
  comparedCarrierCalls: bigint;
  comparedPlatformMs: bigint;
  comparedCarrierMs: bigint;
  comparedDeltaMs: bigint;
  comparedUnmatched: bigint;
  unmeasuredCalls: bigint;
  unmeasuredPlatformMs: bigint;
  unmeasuredCarrierMs: bigint;
  outside: bigint;
  notExpected: bigint;
  expectedParts: bigint;
  reportedParts: bigint;
}

const FIELD_OF = {
  call_date: "callDate",
  customer_id: "customerId",
  trunk_id: "trunkId",
  direction: "direction",
} as const satisfies Record<SummaryDimension, keyof SummaryRow>;

function figuresOf(row: SummaryRow, groupBy: readonly SummaryDimension[]): SummaryFigures {
  const at = (values: readonly string[], index: number) => BigInt(values[index] ?? 0);
  return {
    key: Object.fromEntries(groupBy.map((dimension) => [dimension, String(row[FIELD_OF[dimension]])])),
    statuses: STATUSES.map((status, index) => ({
      status,
      calls: at(row.statusCalls, index),
      unmeasured: at(row.statusUnmeasured, index),
      platformMs: at(row.statusPlatformMs, index),
      carrierMs: at(row.statusCarrierMs, index),
    })).filter(({ calls }) => calls > 0n),
    causes: CAUSES.map((cause, index) => ({
      cause,
      calls: at(row.causeCalls, index),
      absoluteDeltaMs: at(row.causeDeltaMs, index),
    })).filter(({ calls }) => calls > 0n),
    matchedBy: MATCHES.map((matchedBy, index) => ({ matchedBy, pairs: at(row.matchedByPairs, index) })).filter(
      ({ pairs }) => pairs > 0n,
    ),
    compared: {
      calls: row.comparedCalls,
      unmatched: row.comparedUnmatched,
      platformCalls: row.comparedPlatformCalls,
      carrierCalls: row.comparedCarrierCalls,
      platformMs: row.comparedPlatformMs,
      carrierMs: row.comparedCarrierMs,
      absoluteDeltaMs: row.comparedDeltaMs,
    },
    unmeasured: {
      calls: row.unmeasuredCalls,
      platformMs: row.unmeasuredPlatformMs,
      carrierMs: row.unmeasuredCarrierMs,
    },
    reporting: {
      outside: row.outside,
      notExpected: row.notExpected,
      expectedParts: row.expectedParts,
      reportedParts: row.reportedParts,
    },
  };
}
