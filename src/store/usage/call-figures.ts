import { type RawBuilder, sql } from "kysely";
import { PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { SUMS, type UsageTotals } from "../../domain/usage/totals.ts";
import { UsagePart } from "../../gen/tandem/platform/v1/usage_pb.js";
import { snakeCase } from "../database/run.ts";

// What a row of call_result adds to usage: the one place that says it, for calls that are read one
// by one and for sums alike.

/**
 * The part that a call is in; null: it counts nowhere.
 *
 * - Agreed (1 MATCHED_EXACT, 2 WITHIN_TOLERANCE, 3 MATCHED_UNANSWERED).
 * - Disputed (4 DURATION_MISMATCH, 5 ANSWER_STATE_MISMATCH).
 * - Unconfirmed (6 MISSING_AT_CARRIER, 10 AMBIGUOUS): of the ambiguous ones the platform's rows
 *   only. The carrier's rows of the same component are the same calls, and nobody can tell which:
 *   counting both sides would count them twice.
 * - Pending (11) and not reported (13) with a record of the platform's. A carrier's record alone
 *   that waits for its counterpart, or that it did not have to report, is not known to be a call of
 *   ours: it counts once it is MISSING_AT_PLATFORM.
 * - Carrier only (7 MISSING_AT_PLATFORM).
 * - Nowhere: copies (8, 9 DUPLICATE), of which the original is counted; 12 VOIDED; and rows whose
 *   carrier's record is in another row by now.
 *
 * `side` is 1 exactly when the platform has a record.
 */
const PART = sql`
  CASE WHEN r.status IN (1, 2, 3) THEN ${sql.lit(UsagePart.AGREED)}
       WHEN r.status IN (4, 5) THEN ${sql.lit(UsagePart.DISPUTED)}
       WHEN r.status IN (6, 10) AND r.side = ${sql.lit(PLATFORM_SIDE)} THEN ${sql.lit(UsagePart.UNCONFIRMED)}
       WHEN r.status = 11 AND r.side = ${sql.lit(PLATFORM_SIDE)} THEN ${sql.lit(UsagePart.PENDING)}
       WHEN r.status = 13 AND r.side = ${sql.lit(PLATFORM_SIDE)} THEN ${sql.lit(UsagePart.NOT_REPORTED)}
       WHEN r.status = 7 THEN ${sql.lit(UsagePart.CARRIER_ONLY)} END`;

/** Whether the side whose duration counts says answered. */
const ANSWERED = sql`COALESCE(CASE WHEN r.status IN (1, 2, 3, 7) THEN r.carrier_answered ELSE r.platform_answered END, false)`;

/**
 * The connected time that counts. Connected and billed time are never mixed. If a carrier only
 * bills, the platform's time stands for calls that agree, since the bill was compared with it; of a
 * call that only that carrier has, no time is known.
 */
const CONNECTED_MS = sql`
  CASE WHEN r.status IN (1, 2, 3) THEN COALESCE(r.carrier_ms, r.platform_ms)
       WHEN r.status = 7 THEN r.carrier_ms
       ELSE r.platform_ms END`;

/** How a call `r` counts, for FIGURES. */
export const JUDGED = sql`
  ${PART} AS part, ${ANSWERED} AS answered, ${CONNECTED_MS} AS connected_ms, r.billed_s,
  CASE WHEN cardinality(r.carrier_record_ids) > 0 THEN 1 ELSE 0 END::int8 AS reported`;

/** What a call `c` of a part adds. */
export const FIGURES = sql`
  c.part::int2 AS part, 1::int8 AS attempts,
  CASE WHEN c.answered THEN 1 ELSE 0 END::int8 AS answered,
  CASE WHEN c.answered THEN COALESCE(c.connected_ms, 0) ELSE 0 END::int8 AS connected_ms,
  CASE WHEN c.answered AND c.billed_s IS NOT NULL THEN 1 ELSE 0 END::int8 AS billed_count,
  CASE WHEN c.answered THEN COALESCE(c.billed_s, 0) ELSE 0 END::int8 AS billed_s,
  CASE WHEN c.answered AND c.connected_ms IS NULL THEN 1 ELSE 0 END::int8 AS unmeasured, c.reported`;

/** The columns of a call that `figuresOf` rests on. */
export const FIGURE_COLUMNS = [
  ...["summed_customer_id", "start_time", "direction", "other_country", "status", "side", "is_merged"],
  ...["carrier_record_ids", "platform_answered", "carrier_answered", "platform_ms", "carrier_ms", "billed_s"],
];

export function figureColumns(alias: string): RawBuilder<unknown> {
  return sql.raw(FIGURE_COLUMNS.map((name) => `${alias}.${name}`).join(", "));
}

export const USAGE_SUMS = sql.raw(
  SUMS.map(snakeCase)
    .map((name) => `sum(u.${name})::int8 AS ${name}`)
    .join(", "),
);

/** The quarter of an hour in UTC in which a call `r` begins. In every zone, days begin with one. */
export const QUARTER = sql`date_bin('15 minutes', r.start_time, '2000-01-01T00:00:00Z')`;

/** What calls of a customer and a quarter of an hour add. */
export interface CallFigures extends UsageTotals {
  readonly customerId: string | undefined;
  /** The customer of before, if calls were moved. */
  readonly wasCustomerId?: string | undefined;
  readonly quarter: bigint;
  readonly direction: number;
  readonly countryCode: string;
  readonly part: UsagePart;
  readonly reported: bigint;
}

/**
 * Sums calls up, as rows of CallFigures.
 * @param calls has figureColumns, and was_customer_id if they were moved.
 */
export function figuresOf(calls: RawBuilder<unknown>, areMoved = false): RawBuilder<unknown> {
  const was = sql.raw(areMoved ? "was_customer_id, " : "");
  return sql`
    SELECT ${was}customer_id, quarter, direction, country_code, part, ${USAGE_SUMS}, sum(u.reported)::int8 AS reported
    FROM (
      SELECT ${was}c.customer_id, c.quarter, c.direction, c.country_code, ${FIGURES}
      FROM (
        SELECT ${was}r.summed_customer_id AS customer_id, ${QUARTER} AS quarter, r.direction, COALESCE(r.other_country, '') AS country_code, ${JUDGED}
        FROM ${calls} r WHERE NOT r.is_merged) c
      WHERE c.part IS NOT NULL) u
    GROUP BY ${was}customer_id, quarter, direction, country_code, part`;
}
