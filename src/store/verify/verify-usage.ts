import { sql } from "kysely";
import { addDays, later, type Micros } from "../../domain/time/instant.ts";
import type { ZoneDays } from "../../domain/time/zone-days.ts";
import { SUMS } from "../../domain/usage/totals.ts";
import { systemTransaction } from "../database/database.ts";
import { instant, readRows, readValue, snakeCase, type Tx } from "../database/run.ts";
import { FIGURES, JUDGED, USAGE_SUMS } from "../usage/call-figures.ts";
import { callsIn, findStale, type StaleCall } from "../usage/sum-upkeep.ts";
import { readMarksIn } from "../usage/usage-marks.ts";
import { dayOf, readZoneDays } from "../zone-days/zone-days.ts";
import { readSystemPage, type Verification } from "./verification.ts";

const PAGE_DAYS = 1;
const EXAMPLES = 100;

/**
 * The sums of usage are what the calls add that they are of, and calls are summed under whoever
 * held their numbers, unless the numbers are marked.
 */
export async function verifySums(verification: Verification): Promise<void> {
  const { db, carrierId, report } = verification;
  for (const { timeZone, first, last } of await readSystemPage(verification, (tx) => listZones(tx, carrierId)))
    for (let day = first; day <= last; day = addDays(day, PAGE_DAYS)) {
      // Apart: a snapshot may not write missing days.
      const days = await systemTransaction(db, (tx) => readZoneDays(tx, timeZone, day, addDays(day, PAGE_DAYS)));
      const page = { timeZone, day, end: addDays(day, PAGE_DAYS), days };
      for (const row of await readSystemPage(verification, (tx) => readWrongSums(tx, carrierId, page)))
        report(
          "SUM_WRONG",
          `${row.usageDate} in ${timeZone} of ${row.customerId}: ${row.kept} attempts, not ${row.found}`,
        );
      for (const row of await readSystemPage(verification, (tx) => findMisattributed(tx, carrierId, page)))
        report("CALL_IN_OTHER_SUM", `${row.recordDate}/${row.recordId}`);
    }
}

// The days that may have calls or sums.
async function listZones(tx: Tx, carrierId: string): Promise<{ timeZone: string; first: string; last: string }[]> {
  const rows = await readRows(tx)<{ timeZone: string; first: string | undefined; last: string | undefined }>`
    SELECT z.time_zone, LEAST(r.first, s.first) AS first, GREATEST(r.last, s.last) AS last FROM usage_zone z
    CROSS JOIN (
      SELECT (min(start_time) AT TIME ZONE 'UTC')::date - 1 AS first, (max(start_time) AT TIME ZONE 'UTC')::date + 1 AS last
      FROM call_result WHERE carrier_id = ${carrierId}) r
    CROSS JOIN (SELECT min(usage_date) AS first, max(usage_date) AS last FROM usage_sum WHERE carrier_id = ${carrierId}) s
    WHERE z.carrier_id = ${carrierId}`;
  return rows.flatMap(({ timeZone, first, last }) => (first && last ? [{ timeZone, first, last }] : []));
}

interface Page {
  readonly timeZone: string;
  readonly day: string;
  readonly end: string;
  readonly days: ZoneDays;
}

const NAMES = [...SUMS.map(snakeCase), "reported"];
const KEPT = sql.raw(NAMES.map((name) => `s.${name}`).join(", "));
const FOUND = sql.raw(NAMES.map((name) => `f.${name}`).join(", "));
const KEY = sql.raw("customer_id, usage_date, direction, country_code, part");

// One statement, and so one state: sums and calls are changed in one transaction.
async function readWrongSums(tx: Tx, carrierId: string, { timeZone, day, end, days }: Page) {
  return readRows(tx)<{ customerId: string; usageDate: string; kept: bigint; found: bigint }>`
    SELECT customer_id, usage_date, COALESCE(s.attempts, 0) AS kept, COALESCE(f.attempts, 0) AS found FROM (
      SELECT * FROM usage_sum WHERE carrier_id = ${carrierId} AND time_zone = ${timeZone} AND usage_date >= ${day}::date AND usage_date < ${end}::date) s
    FULL JOIN (
      SELECT ${KEY}, ${USAGE_SUMS}, sum(u.reported)::int8 AS reported FROM (
        SELECT c.customer_id, c.usage_date, c.direction, c.country_code, ${FIGURES} FROM (
          SELECT r.summed_customer_id AS customer_id, ${dayOf(days, sql`r.start_time`)} AS usage_date, r.direction,
            COALESCE(r.other_country, '') AS country_code, ${JUDGED}
          FROM call_result r JOIN usage_zone z ON z.carrier_id = ${carrierId} AND z.time_zone = ${timeZone} AND z.filled_from <= r.start_time
          WHERE r.carrier_id = ${carrierId} AND r.start_time >= ${instant(days.startOf(day))} AND r.start_time < ${instant(days.startOf(end))}
            AND r.summed_customer_id IS NOT NULL AND NOT r.is_merged) c
        WHERE c.part IS NOT NULL) u
      GROUP BY ${KEY}) f USING (${KEY})
    WHERE (${KEPT}) IS DISTINCT FROM (${FOUND}) LIMIT ${EXAMPLES}`;
}

// Several statements of one snapshot.
async function findMisattributed(tx: Tx, carrierId: string, { timeZone, day, end, days }: Page) {
  const filledFrom = await readValue(tx)<Micros>`
    SELECT filled_from FROM usage_zone WHERE carrier_id = ${carrierId} AND time_zone = ${timeZone}`;
  const range = { start: later(days.startOf(day), filledFrom), end: days.startOf(end) };
  const marks = Map.groupBy(await readMarksIn(tx, range), (mark) => mark.phoneNumber);
  const isMarked = ({ phoneNumber = "", startTime }: StaleCall) =>
    marks.get(phoneNumber)?.some((span) => span.startTime <= startTime && span.endTime > startTime);
  const stale = await findStale(tx, callsIn(carrierId, range));
  return stale.filter((call) => !isMarked(call)).slice(0, EXAMPLES);
}
