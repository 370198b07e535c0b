import { sql } from "kysely";
import { addDays } from "../../domain/time/instant.ts";
import { readRows, type Tx } from "../database/run.ts";
import { COUNTED, KIND_COLUMNS } from "../reconciliation/summary-cells.ts";
import { FIRST_HOUR } from "../reconciliation/summary-source.ts";
import { readSystemPage, type Verification } from "./verification.ts";

const EXAMPLES = 100;

/** The sums of the reconciliation summary are what the calls add that they are of. */
export async function verifySummary(verification: Verification): Promise<void> {
  const { carrierId, report } = verification;
  const [days] = await readSystemPage(verification, (tx) => listDays(tx, carrierId));
  if (days?.first === undefined || days.last === undefined) return;
  for (let day = days.first; day <= days.last; day = addDays(day, 1))
    for (const row of await readSystemPage(verification, (tx) => readWrongSums(tx, carrierId, day)))
      report(
        "SUMMARY_WRONG",
        `${day}, customer "${row.customerId}", trunk "${row.trunkId}", status ${row.status}: ${row.kept} calls, not ${row.found}`,
      );
}

// The days that may have calls or sums.
function listDays(tx: Tx, carrierId: string) {
  return readRows(tx)<{ first: string | undefined; last: string | undefined }>`
    SELECT LEAST(r.first, s.first) AS first, GREATEST(r.last, s.last) AS last FROM (
      SELECT (min(start_time) AT TIME ZONE 'UTC')::date - 1 AS first, (max(start_time) AT TIME ZONE 'UTC')::date + 1 AS last
      FROM call_result WHERE carrier_id = ${carrierId}) r
    CROSS JOIN (SELECT min(call_date) AS first, max(call_date) AS last FROM summary_sum WHERE carrier_id = ${carrierId}) s`;
}

const FIGURES = ["calls", "platform_ms", "carrier_ms", "call_delta_ms", "hours"];
const KEPT = sql.raw(FIGURES.map((name) => `s.${name}`).join(", "));
const FOUND = sql.raw(FIGURES.map((name) => `f.${name}`).join(", "));

// One statement, and so one state: sums and calls are changed in one transaction. Hours are
// compared as a text that names those with calls.
function readWrongSums(tx: Tx, carrierId: string, day: string) {
  return readRows(tx)<{ customerId: string; trunkId: string; status: number; kept: bigint; found: bigint }>`
    SELECT customer_id, trunk_id, status, COALESCE(s.calls, 0) AS kept, COALESCE(f.calls, 0) AS found FROM (
      SELECT ${KIND_COLUMNS}, calls, platform_ms, carrier_ms, call_delta_ms, (
        SELECT string_agg(h.place || ':' || h.calls, ' ' ORDER BY h.place) FROM unnest(r.hours) WITH ORDINALITY AS h(calls, place)
        WHERE h.calls <> 0) AS hours
      FROM summary_sum r WHERE r.carrier_id = ${carrierId} AND r.call_date = ${day}::date) s
    FULL JOIN (
      SELECT ${KIND_COLUMNS}, sum(calls)::int8 AS calls, sum(platform_ms)::int8 AS platform_ms, sum(carrier_ms)::int8 AS carrier_ms,
        sum(call_delta_ms)::int8 AS call_delta_ms, string_agg(place || ':' || calls, ' ' ORDER BY place) AS hours
      FROM (
        SELECT ${KIND_COLUMNS}, floor(extract(epoch FROM r.start_time - ${FIRST_HOUR}) / 3600)::int8 + 1 AS place, sum(calls) AS calls,
          sum(platform_ms) AS platform_ms, sum(carrier_ms) AS carrier_ms, sum(call_delta_ms) AS call_delta_ms
        FROM (
          SELECT ${COUNTED} FROM call_result r JOIN summary_fill l ON l.carrier_id = ${carrierId} AND l.filled_from <= r.start_time
          WHERE r.carrier_id = ${carrierId} AND r.call_date = ${day}::date AND NOT r.is_merged
            AND r.start_time >= ${day}::timestamp AT TIME ZONE 'UTC' - interval '1 day'
            AND r.start_time < ${day}::timestamp AT TIME ZONE 'UTC' + interval '2 days') r
        GROUP BY ${KIND_COLUMNS}, place) h
      GROUP BY ${KIND_COLUMNS}) f USING (${KIND_COLUMNS})
    WHERE (${KEPT}) IS DISTINCT FROM (${FOUND}) LIMIT ${EXAMPLES}`;
}
