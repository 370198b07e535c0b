import { sql } from "kysely";
import { CLOSED_PERIOD_DAYS } from "../../domain/privacy/retention.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { readRow, run, type Tx } from "../database/run.ts";

/**
 * Deletes one closed period that can change no more and that every carrier's retention has passed.
 * In a system transaction.
 * @returns whether there was one.
 */
export async function deleteOldPeriod(tx: Tx, now: Micros): Promise<boolean> {
  const period = await readRow(tx)<{ periodId: string }>`
    SELECT u.period_id FROM usage_period u
    WHERE u.end_date < (${isoFromMicros(now)}::timestamptz AT TIME ZONE 'UTC')::date - ${CLOSED_PERIOD_DAYS}::int4
      AND u.end_date < (SELECT COALESCE(min(LEAST(s.call_before, s.duration_before)), 'epoch') FROM carrier c
        LEFT JOIN retention_state s ON s.carrier_id = c.carrier_id
        WHERE c.carrier_id IN (SELECT l.carrier_id FROM usage_line l WHERE l.period_id = u.period_id)
          OR NOT EXISTS (SELECT FROM usage_line l WHERE l.period_id = u.period_id))
    ORDER BY u.end_date LIMIT 1`;
  if (!period) return false;
  // In one transaction, so that nobody reads half a period; in many statements, so that each ends
  // in time.
  for (const table of ["usage_restatement", "usage_line"] as const)
    while ((await deleteSome(tx, table, period.periodId)) >= MOST_ROWS);
  await run(tx)`DELETE FROM usage_period WHERE period_id = ${period.periodId}`;
  return true;
}

const MOST_ROWS = 10_000;

async function deleteSome(tx: Tx, table: "usage_restatement" | "usage_line", periodId: string): Promise<number> {
  const { count } = await run(tx)`
    DELETE FROM ${sql.table(table)} WHERE period_id = ${periodId} AND ctid = ANY(ARRAY(
      SELECT ctid FROM ${sql.table(table)} WHERE period_id = ${periodId} LIMIT ${sql.lit(MOST_ROWS)}))`;
  return count;
}
