import { sql } from "kysely";
import { addDays, type Micros } from "../../domain/time/instant.ts";
import { sumsOfTotals, totalsOfSums, type UsageTotals } from "../../domain/usage/totals.ts";
import type { DatedPeriod, UsagePeriod } from "../../domain/usage/usage-scope.ts";
import { int8Array, textArray } from "../database/binary-array.ts";
import { instant, readRow, readRows, run, type Tx } from "../database/run.ts";
import { readZoneDays } from "../zone-days/zone-days.ts";
import type { UsageCarrier } from "./usage.ts";
import { NO_FILTER, usageLines, usageRelation } from "./usage-source.ts";
import { useZone } from "./usage-sums.ts";

/** What was known of a period's carriers at its last comparison, by carrier. */
export type Judged = Readonly<Record<string, JudgedCarrier>>;

export interface JudgedCarrier {
  /** The revision of the agreement and the version of the rules. */
  readonly rules: string;
  /** Up to when its records were judged: decimal microseconds since 1970. Absent: none were. */
  readonly through?: string;
}

export interface StoredPeriod extends UsagePeriod {
  readonly periodId: string;
  readonly closeTime: Micros;
  readonly closedBy: string;
  /** The newest restatement; 0: none. */
  readonly restatementNumber: number;
  /** Everything committed before this is in the figures or changed nothing. */
  readonly checkedTime: Micros;
  /** An encoded UsageCompleteness of the closing. */
  readonly completeness: Uint8Array;
  readonly judged: Judged;
  readonly closedTotals: UsageTotals;
  readonly currentTotals: UsageTotals;
}

/**
 * Seconds after which a comparison certainly sees what was committed. Rows get their time before
 * the commit, and no transaction that writes results lasts longer.
 */
export const UNSEEN_S = 60;

const ACROSS_CARRIERS = "";

/**
 * Keeps other closings of a customer's periods out until the transaction ends. A second writer of
 * the row waits for this transaction, which deletes the row again. If the work fails, roll back.
 */
export async function withClosingsLocked<T>(tx: Tx, customerId: string, work: () => Promise<T>): Promise<T> {
  const job = `close-usage:${customerId}`;
  await run(tx)`
    INSERT INTO job_lease (carrier_id, job, holder, lease_epoch, until_time) VALUES (${ACROSS_CARRIERS}, ${job}, '', 1, clock_timestamp())`;
  const result = await work();
  await run(tx)`DELETE FROM job_lease WHERE carrier_id = ${ACROSS_CARRIERS} AND job = ${job}`;
  return result;
}

/** Days around a period that are read with it, to find calls that were moved out of it. */
const DAYS_AROUND = 4;

/** Reads when a period's days begin. The transaction must be one that may write. */
export async function withDays<Period extends UsagePeriod>(tx: Tx, period: Period): Promise<Period & DatedPeriod> {
  const { timeZone, startDate, endDate } = period;
  const days = await readZoneDays(tx, timeZone, addDays(startDate, -DAYS_AROUND), addDays(endDate, DAYS_AROUND));
  return { ...period, days };
}

/**
 * The closed periods of a customer that overlap another by their instants, since time zones may
 * differ. By start.
 */
export function findOverlappingPeriods(tx: Tx, period: DatedPeriod): Promise<StoredPeriod[]> {
  const midnight = (day: string) => instant(period.days.startOf(day));
  return readRows(tx, storedPeriod)`
    SELECT ${PERIOD_COLUMNS} FROM usage_period
    WHERE customer_id = ${period.customerId} AND start_date < ${period.endDate}::date + 2 AND end_date > ${period.startDate}::date - 2
      AND start_time < ${midnight(period.endDate)} AND end_time > ${midnight(period.startDate)}
    ORDER BY start_date, period_id`;
}

export async function readPeriod(tx: Tx, periodId: string): Promise<StoredPeriod | undefined> {
  const row = await readRow(tx)<PeriodRow>`SELECT ${PERIOD_COLUMNS} FROM usage_period WHERE period_id = ${periodId}`;
  return row && storedPeriod(row);
}

/** The newest closed periods of a customer, by start. */
export async function listPeriods(tx: Tx, customerId: string, limit: number): Promise<StoredPeriod[]> {
  const rows = await readRows(tx)<PeriodRow>`
    SELECT ${PERIOD_COLUMNS} FROM usage_period WHERE customer_id = ${customerId} ORDER BY start_date DESC, period_id DESC LIMIT ${limit}`;
  return rows.map(storedPeriod).reverse();
}

/** The number of each period's newest restatement at a time; absent: none. */
export async function readRestatementNumbers(
  tx: Tx,
  periodIds: readonly string[],
  time: Micros,
): Promise<ReadonlyMap<string, number>> {
  if (periodIds.length === 0) return new Map();
  const rows = await readRows(tx)<{ periodId: string; number: number }>`
    SELECT period_id, max(restatement_number) AS number FROM usage_restatement
    WHERE period_id = ANY(${textArray(periodIds)}::text[]) AND record_time <= ${instant(time)}
    GROUP BY period_id`;
  return new Map(rows.map((row) => [row.periodId, row.number]));
}

/** Keeps a period's lines as one statement sees them. Returns how many there are. */
export async function insertClosedLines(tx: Tx, periodId: string, period: DatedPeriod): Promise<number> {
  const { count } = await run(tx)`
    INSERT INTO usage_line (period_id, restatement_number, usage_date, phone_number, direction, country_code, carrier_id, parts)
    SELECT ${periodId}, 0, l.usage_date, l.phone_number, l.direction, l.country_code, l.carrier_id, l.parts
    FROM (${usageLines(usageRelation(period, NO_FILTER))}) l`;
  return count;
}

/** Closes a period whose lines are kept. */
export async function insertPeriod(
  tx: Tx,
  period: DatedPeriod & Omit<StoredPeriod, "restatementNumber" | "checkedTime" | "currentTotals">,
): Promise<void> {
  const totals = totalsArray(period.closedTotals);
  const midnight = (day: string) => instant(period.days.startOf(day));
  await run(tx)`
    INSERT INTO usage_period (period_id, customer_id, start_date, end_date, time_zone, start_time, end_time, close_time, closed_by, restatement_number, checked_time,
                              completeness, judged, closed_totals, current_totals)
    VALUES (${period.periodId}, ${period.customerId}, ${period.startDate}::date, ${period.endDate}::date, ${period.timeZone},
            ${midnight(period.startDate)}, ${midnight(period.endDate)}, ${instant(period.closeTime)}, ${period.closedBy}, 0,
            ${instant(period.closeTime)} - make_interval(secs => ${UNSEEN_S}), ${Buffer.from(period.completeness)},
            ${JSON.stringify(period.judged)}::jsonb, ${totals}::int8[], ${totals}::int8[])`;
  await useZone(tx, Object.keys(period.judged), period.timeZone);
}

/** How far and by which rules carriers are judged. */
export function judgedOf(carriers: readonly UsageCarrier[]): Judged {
  return Object.fromEntries(
    carriers.map(({ carrierId, rules, reconciledThrough }) => [
      carrierId,
      { rules, ...(reconciledThrough === undefined ? {} : { through: String(reconciledThrough) }) },
    ]),
  );
}

export function totalsArray(totals: UsageTotals): Buffer {
  return int8Array(sumsOfTotals(totals));
}

export interface PeriodRow extends Omit<StoredPeriod, "closedTotals" | "currentTotals"> {
  closedTotals: string[];
  currentTotals: string[];
}

export const PERIOD_COLUMNS = sql.raw(
  "period_id, customer_id, start_date, end_date, time_zone, close_time, closed_by, restatement_number, checked_time, completeness, judged, closed_totals, current_totals",
);

export function storedPeriod(row: PeriodRow): StoredPeriod {
  const totals = (sums: readonly string[]) => totalsOfSums(sums.map(BigInt));
  return { ...row, closedTotals: totals(row.closedTotals), currentTotals: totals(row.currentTotals) };
}
