import { type RawBuilder, sql } from "kysely";
import type { DatedPeriod, UsageFilter, UsagePeriod } from "../../domain/usage/usage-scope.ts";
import { textArray } from "../database/binary-array.ts";
import { instant, unnest } from "../database/run.ts";
import { dayOf } from "../zone-days/zone-days.ts";
import { FIGURES, JUDGED, USAGE_SUMS } from "./call-figures.ts";

// The relation that usage is summed over: the calls as judged and attributed now, and the lines of
// closed periods. Queries, exports and closings all read it, so they count alike. Its columns:
// usage_date, phone_number, direction, country_code, carrier_id (the finest grouping that is kept;
// empty: none); other_number (null in closed lines); part, a UsagePart; the sums; reported, how
// many calls the carrier has a record of (0 in closed lines).

/** A closed period whose days are shown as they were after a restatement; 0: as closed. */
export interface PeriodVersion {
  readonly periodId: string;
  readonly restatementNumber: number;
  readonly startDate: string;
  readonly endDate: string;
}

/** Usage of a period now, except for the days of these versions of closed periods. */
export function usageRelation(
  period: DatedPeriod,
  filter: UsageFilter,
  versions: readonly PeriodVersion[] = [],
): RawBuilder<unknown> {
  if (versions.length === 0) return liveUsage(period, filter, versions);
  const isCovered = versions.some(
    ({ startDate, endDate }) => startDate <= period.startDate && endDate >= period.endDate,
  );
  if (isCovered) return closedUsage(period, filter, versions);
  return sql`${liveUsage(period, filter, versions)} UNION ALL ${closedUsage(period, filter, versions)}`;
}

export const NO_FILTER: UsageFilter = { phoneNumbers: [], direction: 0, countryCodes: [] };

/** Calls as they are now. */
function liveUsage(period: DatedPeriod, filter: UsageFilter, versions: readonly PeriodVersion[]): RawBuilder<unknown> {
  return callsOf(period, filter, notIn(dayOf(period.days, sql`r.start_time`), versions));
}

/**
 * The customer's calls of a period, by today's history of numbers.
 * @param only more of a condition on calls `r`, with its AND.
 */
export function callsOf(period: DatedPeriod, filter: UsageFilter, only: RawBuilder<unknown>): RawBuilder<unknown> {
  const held = countedCalls(period, filter, {
    source: sql`${heldNumbers(period, filter.phoneNumbers)} held`,
    isMeant: sql`r.phone_number = held.phone_number AND held.times @> r.start_time ${only}`,
  });
  if (filter.phoneNumbers.length > 0 && !filter.phoneNumbers.includes("")) return held;
  // Calls of erased numbers count for the customer that held the number.
  const erased = countedCalls(period, filter, {
    source: sql`(SELECT 1) AS one`,
    isMeant: sql`COALESCE(r.usage_customer_id, r.customer_id) = ${period.customerId} AND r.phone_number IS NULL AND r.customer_id IS NOT NULL ${only}`,
  });
  return sql`${held} UNION ALL ${erased}`;
}

/** Calls `r` that a source names, within a period and a filter. */
export function countedCalls(
  period: DatedPeriod,
  filter: UsageFilter,
  { source, isMeant }: { source: RawBuilder<unknown>; isMeant: RawBuilder<unknown> },
): RawBuilder<unknown> {
  const { start, end } = instantsOf(period);
  // OFFSET 0: by the number. Behind row-level security the planner guesses that a period has few
  // calls and would read those first.
  return sql`
    SELECT c.usage_date, c.phone_number, c.direction, c.country_code, c.carrier_id, c.other_number, ${FIGURES}
    FROM ${source} CROSS JOIN LATERAL (
      SELECT ${dayOf(period.days, sql`r.start_time`)} AS usage_date, COALESCE(r.phone_number, '') AS phone_number, r.direction,
        COALESCE(r.other_country, '') AS country_code, r.carrier_id, r.other_number, ${JUDGED}
      FROM call_result r
      WHERE ${isMeant} AND r.start_time >= ${start} AND r.start_time < ${end} AND NOT r.is_merged
        AND ${otherConditions(sql`r.direction`, sql`COALESCE(r.other_country, '')`, filter)}
      OFFSET 0) c
    WHERE c.part IS NOT NULL`;
}

/**
 * When the customer held which numbers, by today's history. One row a number, so a call counts
 * once. Not by carrier: correcting a past port moves the number, not the calls. What is between the
 * two carriers of a port (stage 2) is in number_port.
 */
export function heldNumbers(period: DatedPeriod, phoneNumbers: readonly string[]): RawBuilder<unknown> {
  const { customerId } = period;
  const { start, end } = instantsOf(period);
  const isWanted = phoneNumbers.length === 0 ? sql`true` : sql`phone_number = ANY(${textArray(phoneNumbers)}::text[])`;
  return sql`(
    SELECT h.phone_number, range_agg(tstzrange(h.start_time, h.end_time)) AS times FROM (
      SELECT phone_number, start_time, end_time FROM number_holding WHERE customer_id = ${customerId} AND ${isWanted}
      UNION ALL
      SELECT phone_number, start_time, end_time FROM (${MOVED_PERIODS}) m WHERE customer_id = ${customerId} AND ${isWanted}) h
    WHERE h.start_time < h.end_time AND h.start_time < ${end} AND h.end_time > ${start}
    GROUP BY h.phone_number)`;
}

export function instantsOf({ startDate, endDate, days }: DatedPeriod) {
  return { start: instant(days.startOf(startDate)), end: instant(days.startOf(endDate)) };
}

// Seconds and rest apart: to_timestamp counts in floating point.
const instantOf = (field: "start" | "end") => {
  const micros = sql`(e->>${sql.lit(field)})::int8`;
  return sql`to_timestamp(${micros} / 1000000) + make_interval(secs => (${micros} % 1000000) / 1000000.0)`;
};

/** Periods of numbers that have left one carrier and not yet reached another. */
export const MOVED_PERIODS = sql`
  SELECT p.phone_number, e->'assignment'->>'customerId' AS customer_id, ${instantOf("start")} AS start_time, ${instantOf("end")} AS end_time
  FROM number_port p CROSS JOIN LATERAL jsonb_array_elements(p.moved) e
  WHERE p.stage = 2 AND p.role = 1 AND p.moved IS NOT NULL`;

/** The newest line of each key up to the restatement. A line that is gone has no parts. */
function closedUsage(
  { startDate, endDate }: UsagePeriod,
  filter: UsageFilter,
  versions: readonly PeriodVersion[],
): RawBuilder<unknown> {
  const { phoneNumbers } = filter;
  const isWanted =
    phoneNumbers.length === 0 ? sql`true` : sql`l.phone_number = ANY(${textArray(phoneNumbers)}::text[])`;
  return sql`
    SELECT l.usage_date, l.phone_number, l.direction, l.country_code, l.carrier_id, NULL::text AS other_number, p.part::int2 AS part,
      (p.sums->>0)::int8 AS attempts, (p.sums->>1)::int8 AS answered, (p.sums->>2)::int8 AS connected_ms,
      (p.sums->>3)::int8 AS billed_count, (p.sums->>4)::int8 AS billed_s,
      COALESCE((p.sums->>5)::int8, 0) AS unmeasured, 0::int8 AS reported
    FROM (
      SELECT DISTINCT ON (l.period_id, l.usage_date, l.phone_number, l.direction, l.country_code, l.carrier_id) l.*
      FROM ${unnest("v", versions, { periodId: "text", restatementNumber: "int4" })}
      JOIN usage_line l ON l.period_id = v.period_id AND l.restatement_number <= v.restatement_number
      WHERE l.usage_date >= ${startDate}::date AND l.usage_date < ${endDate}::date AND ${isWanted}
        AND ${otherConditions(sql`l.direction`, sql`l.country_code`, filter)}
      ORDER BY l.period_id, l.usage_date, l.phone_number, l.direction, l.country_code, l.carrier_id, l.restatement_number DESC) l
    CROSS JOIN LATERAL jsonb_each(l.parts) AS p(part, sums)`;
}

export function otherConditions(
  direction: RawBuilder<unknown>,
  country: RawBuilder<unknown>,
  filter: UsageFilter,
): RawBuilder<unknown> {
  const isDirection = filter.direction === 0 ? sql`true` : sql`${direction} = ${filter.direction}`;
  if (filter.countryCodes.length === 0) return isDirection;
  return sql`${isDirection} AND ${country} = ANY(${textArray(filter.countryCodes)}::text[])`;
}

function notIn(usageDate: RawBuilder<unknown>, versions: readonly PeriodVersion[]): RawBuilder<unknown> {
  if (versions.length === 0) return sql``;
  return sql`AND NOT EXISTS (
    SELECT 1 FROM ${unnest("v", versions, { startDate: "date", endDate: "date" })}
    WHERE ${usageDate} >= v.start_date AND ${usageDate} < v.end_date)`;
}

/**
 * Lines as usage_line has them. The sixth sum is left out if it is 0: lines are compared as they
 * are, and older ones have five.
 */
export function usageLines(relation: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    SELECT s.usage_date, s.phone_number, s.direction, s.country_code, s.carrier_id,
      jsonb_object_agg(s.part::text, jsonb_build_array(s.attempts, s.answered, s.connected_ms, s.billed_count, s.billed_s)
        || CASE WHEN s.unmeasured > 0 THEN jsonb_build_array(s.unmeasured) ELSE '[]' END) AS parts
    FROM (
      SELECT u.usage_date, u.phone_number, u.direction, u.country_code, u.carrier_id, u.part, ${USAGE_SUMS}
      FROM (${relation}) u
      GROUP BY u.usage_date, u.phone_number, u.direction, u.country_code, u.carrier_id, u.part) s
    GROUP BY s.usage_date, s.phone_number, s.direction, s.country_code, s.carrier_id`;
}
