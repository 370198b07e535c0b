import { type RawBuilder, sql } from "kysely";
import type { ReportingScope } from "../../domain/carriers/carrier.ts";
import { addDays, type Micros, utcDay } from "../../domain/time/instant.ts";
import { timestamptzArray } from "../database/binary-array.ts";
import { readColumn, type Tx } from "../database/run.ts";
import { COUNTED, KIND_COLUMNS } from "./summary-cells.ts";
import { HOURS_AHEAD, MOST_HOURS, readSummarizedFrom } from "./summary-sums.ts";

// What a summary is made of: a carrier's sums, and the calls of days whose sums do not tell.

/** Days, the last not included. */
export interface Days {
  readonly startDate: string;
  readonly endDate: string;
}

/** Which days are read from calls. All others are read from sums. */
export interface SummarySource {
  readonly ofCalls: readonly Days[];
}

interface Asked extends Days {
  readonly carrierId: string;
  readonly reportingScopes: readonly ReportingScope[];
  readonly graceMs: bigint;
}

/**
 * Finds out which days the sums do not tell: those that are not filled yet, and those on which
 * calls of one kind lie on both sides of the beginning or end of a reporting scope. In the
 * transaction of the summary, which has a snapshot.
 */
export async function readSummarySource(tx: Tx, asked: Asked): Promise<SummarySource> {
  const { startDate, endDate } = asked;
  const summarizedFrom = await readSummarizedFrom(tx, asked.carrierId);
  // A day in a zone begins less than a day before it does in UTC.
  const firstSummed = summarizedFrom === 0n ? startDate : addDays(utcDay(summarizedFrom), 2);
  if (firstSummed >= endDate) return { ofCalls: [{ startDate, endDate }] };
  const unfilled = firstSummed > startDate ? [{ startDate, endDate: firstSummed }] : [];
  const summed = { ...asked, startDate: firstSummed > startDate ? firstSummed : startDate };
  const divided = await findDivided(tx, summed);
  return { ofCalls: [...unfilled, ...divided.map((day) => ({ startDate: day, endDate: addDays(day, 1) }))] };
}

function boundsOf(scopes: readonly ReportingScope[]): Micros[] {
  return scopes.flatMap(({ startTime, endTime }) => [startTime, endTime].filter((each) => each !== undefined));
}

/** When the hour begins that the first element of `hours` counts, of a sum or call `r`. */
export const FIRST_HOUR = sql`((r.call_date::timestamp AT TIME ZONE 'UTC') - ${sql.lit(HOURS_AHEAD)} * interval '1 hour')`;

// Days with a sum that has calls before a bound and from it on. The hour of a bound has both.
function findDivided(tx: Tx, { carrierId, startDate, endDate, reportingScopes }: Asked): Promise<string[]> {
  const bounds = boundsOf(reportingScopes);
  if (bounds.length === 0) return Promise.resolve([]);
  return readColumn(tx)<string>`
    SELECT DISTINCT d.call_date FROM (
      SELECT r.call_date, r.hours, extract(epoch FROM b.at - ${FIRST_HOUR}) / 3600 AS hour
      FROM summary_sum r CROSS JOIN unnest(${timestamptzArray(bounds)}::timestamptz[]) AS b(at)
      WHERE r.carrier_id = ${carrierId} AND r.call_date >= ${startDate}::date AND r.call_date < ${endDate}::date
        AND b.at > ${FIRST_HOUR} AND b.at < ${FIRST_HOUR} + ${sql.lit(MOST_HOURS)} * interval '1 hour') d
    WHERE 0 < ANY(d.hours[:ceil(d.hour)::int4]) AND 0 < ANY(d.hours[floor(d.hour)::int4 + 1:])
    ORDER BY d.call_date`;
}

/**
 * The sums and calls of a summary: the columns of a kind, their figures, and a time. That time is
 * in a scope if the row's calls are, and it is due if any of them is.
 * @param conditions are on calls or sums `r`.
 */
export function summaryRows(
  asked: Asked,
  { ofCalls }: SummarySource,
  conditions: RawBuilder<unknown>,
): RawBuilder<unknown> {
  const days = ofCalls.map(
    (each) => sql`
    SELECT ${COUNTED} FROM call_result r
    WHERE r.carrier_id = ${asked.carrierId} AND NOT r.is_merged AND ${isWithin(each)} AND ${isWithin(asked)} AND ${conditions}
      AND r.start_time >= ${each.startDate}::timestamp AT TIME ZONE 'UTC' - interval '1 day'
      AND r.start_time < ${each.endDate}::timestamp AT TIME ZONE 'UTC' + interval '1 day'`,
  );
  const isElsewhere = ofCalls.map((each) => sql`AND NOT (${isWithin(each)})`);
  const sums = sql`
    SELECT ${KIND_COLUMNS}, ${timeOf(asked)} AS start_time, r.calls, r.platform_ms, r.carrier_ms, r.call_delta_ms FROM summary_sum r
    WHERE r.carrier_id = ${asked.carrierId} AND ${isWithin(asked)} AND ${conditions} ${sql.join(isElsewhere, sql` `)}`;
  return sql.join([sums, ...days], sql` UNION ALL `);
}

function isWithin({ startDate, endDate }: Days): RawBuilder<unknown> {
  return sql`r.call_date >= ${startDate}::date AND r.call_date < ${endDate}::date`;
}

// Its first hour, or any hour of the day if nothing begins, ends or becomes due on it.
function timeOf({ reportingScopes, graceMs }: Asked): RawBuilder<unknown> {
  const due = sql`now() - ${`${graceMs} milliseconds`}::interval - interval '1 hour'`;
  const bounds = sql`${timestamptzArray(boundsOf(reportingScopes))}::timestamptz[] || (${due})`;
  return sql`
    CASE WHEN EXISTS (
      SELECT FROM unnest(${bounds}) AS b(at) WHERE b.at >= ${FIRST_HOUR} AND b.at <= ${FIRST_HOUR} + ${sql.lit(MOST_HOURS)} * interval '1 hour')
    THEN ${FIRST_HOUR} + (SELECT min(h.place) - 1 FROM unnest(r.hours) WITH ORDINALITY AS h(calls, place) WHERE h.calls > 0) * interval '1 hour'
    ELSE ${FIRST_HOUR} END`;
}
