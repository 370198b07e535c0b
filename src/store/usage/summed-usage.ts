import { type RawBuilder, sql } from "kysely";
import { addDays } from "../../domain/time/instant.ts";
import type { DatedPeriod, UsageFilter } from "../../domain/usage/usage-scope.ts";
import { textArray } from "../database/binary-array.ts";
import { instant, readRows, type Tx } from "../database/run.ts";
import { type NumberSpan, readMarksIn, unnestSpans } from "./usage-marks.ts";
import { callsOf, countedCalls, heldNumbers, otherConditions } from "./usage-source.ts";

/** Which sums of a period tell a customer's usage. */
export interface SumSource {
  /** Carriers whose sums tell all. */
  readonly summed: readonly string[];
  /** Carriers whose calls are read one by one. */
  readonly read: readonly string[];
  /** Numbers whose calls may be in the wrong sums. */
  readonly marks: readonly NumberSpan[];
}

/** Most marked numbers whose calls are read beside sums. */
const MOST_MARKS = 10_000;
/** Days around a period that hold its calls in any zone. */
const DAYS_AROUND = 2;

/**
 * Finds out whose sums tell a period's usage: those of carriers whose sums in its time zone are
 * filled, and of carriers without any call of the customer by sums in another zone. In a system
 * transaction with a snapshot.
 * @returns undefined: so many numbers were just changed that all calls may as well be read.
 */
export async function readSumSource(
  tx: Tx,
  { customerId, startDate, endDate, timeZone, days }: DatedPeriod,
): Promise<SumSource | undefined> {
  const [start, end] = [days.startOf(startDate), days.startOf(endDate)];
  const marks = await readMarksIn(tx, { start, end }, MOST_MARKS + 1);
  if (marks.length > MOST_MARKS) return undefined;
  // OFFSET 0: by the carrier, not all at once.
  const rows = await readRows(tx)<{ carrierId: string; isSummed: boolean }>`
    SELECT c.carrier_id, COALESCE(bool_or(z.is_summed), false) OR NOT EXISTS (
      SELECT FROM call_result r WHERE r.carrier_id = c.carrier_id AND r.start_time >= ${instant(start)} AND r.start_time < ${instant(end)} OFFSET 0) AS is_summed
    FROM carrier c LEFT JOIN LATERAL (
      SELECT u.time_zone = ${timeZone} AND u.filled_from <= ${instant(start)}
        OR u.filled_from <= ${instant(start)} - make_interval(days => ${DAYS_AROUND}) AND NOT EXISTS (
          SELECT FROM usage_sum s WHERE s.carrier_id = c.carrier_id AND s.customer_id = ${customerId} AND s.time_zone = u.time_zone
            AND s.usage_date >= ${addDays(startDate, -DAYS_AROUND)}::date AND s.usage_date <= ${addDays(endDate, DAYS_AROUND)}::date OFFSET 0) AS is_summed
      FROM usage_zone u WHERE u.carrier_id = c.carrier_id) z ON true
    GROUP BY c.carrier_id`;
  const of = (isSummed: boolean) => rows.flatMap((row) => (row.isSummed === isSummed ? [row.carrierId] : []));
  return { summed: of(true), read: of(false), marks };
}

/**
 * Usage of a period now, by day, direction, country and carrier: as `usageRelation` has it, without
 * numbers. For marked numbers, what their calls gave to the sums is taken away, and what they give
 * today is added.
 */
export function summedUsage(period: DatedPeriod, filter: UsageFilter, source: SumSource): RawBuilder<unknown> {
  const { customerId, startDate, endDate, timeZone } = period;
  const { summed, read, marks } = source;
  const of = (alias: string, carriers: readonly string[]) =>
    sql`${sql.ref(`${alias}.carrier_id`)} = ANY(${textArray(carriers)}::text[])`;
  const sums = sql`
    SELECT s.usage_date, ''::text AS phone_number, s.direction, s.country_code, s.carrier_id, NULL::text AS other_number, s.part, s.attempts,
      s.answered, s.connected_ms, s.billed_count, s.billed_s, s.unmeasured, s.reported
    FROM usage_sum s
    WHERE ${of("s", summed)} AND s.customer_id = ${customerId} AND s.time_zone = ${timeZone}
      AND s.usage_date >= ${startDate}::date AND s.usage_date < ${endDate}::date AND ${otherConditions(sql`s.direction`, sql`s.country_code`, filter)}`;
  const relations = [sums];
  if (marks.length > 0) {
    const numbers = [...new Set(marks.map(({ phoneNumber }) => phoneNumber))];
    const marked = sql`(
      SELECT w.phone_number, range_agg(tstzrange(w.start_time, w.end_time)) AS times FROM ${unnestSpans(marks)} GROUP BY w.phone_number)`;
    const calls = (source: RawBuilder<unknown>, times: RawBuilder<unknown>, more: RawBuilder<unknown>) =>
      countedCalls(period, filter, {
        source,
        isMeant: sql`r.phone_number = m.phone_number AND ${times} @> r.start_time AND ${of("r", summed)} ${more}`,
      });
    const held = sql`${marked} m JOIN ${heldNumbers(period, numbers)} held ON held.phone_number = m.phone_number`;
    relations.push(
      negated(calls(sql`${marked} m`, sql`m.times`, sql`AND r.summed_customer_id = ${customerId}`)),
      calls(held, sql`m.times * held.times`, sql``),
    );
  }
  if (read.length > 0) relations.push(callsOf(period, filter, sql`AND ${of("r", read)}`));
  return sql`${sql.join(relations, sql` UNION ALL `)}`;
}

function negated(calls: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    SELECT usage_date, phone_number, direction, country_code, carrier_id, other_number, part, -attempts, -answered, -connected_ms,
      -billed_count, -billed_s, -unmeasured, -reported
    FROM (${calls}) AS given`;
}
