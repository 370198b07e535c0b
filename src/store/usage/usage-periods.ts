import { sql } from "kysely";
import { addDays, isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { sumsOfTotals, totalsOfSums, type UsageTotals } from "../../domain/usage/totals.ts";
import type { DatedPeriod, UsagePeriod } from "../../domain/usage/usage-scope.ts";
import { int8Array, textArray } from "../database/binary-array.ts";
import { run, type Tx } from "../database/run.ts";
import { readZoneDays } from "../zone-days/zone-days.ts";
import type { UsageCarrier } from "./usage.ts";
import { NO_FILTER, usageLines, usageRelation } from "./usage-source.ts";

/**
 * What was known of a period's carriers when its figures were last compared with the calls, by
 * carrier.
 */
export type Judged = Readonly<Record<string, JudgedCarrier>>;

export interface JudgedCarrier {
  /** The agreement's revision and the version of the rules. */
  readonly rules: string;
  /** Microseconds since 1970 up to which its records were judged, in decimal; absent: none were. */
  readonly through?: string;
}

/** A closed period. */
export interface StoredPeriod extends UsagePeriod {
  readonly periodId: string;
  readonly closeTime: Micros;
  readonly closedBy: string;
  /** Of the newest restatement; 0 when there is none. */
  readonly restatementNumber: number;
  /** What was committed before this is in the figures, or was found to change nothing. */
  readonly checkedTime: Micros;
  /** An encoded UsageCompleteness, of the closing. */
  readonly completeness: Uint8Array;
  readonly judged: Judged;
  readonly closedTotals: UsageTotals;
  readonly currentTotals: UsageTotals;
}

/**
 * What was committed so long before a comparison is certain to be seen by it, seconds: a row gets
 * its time before it is committed, and no transaction that writes results lasts longer.
 */
export const UNSEEN_S = 60;

/**
 * Keeps other closings of a customer's periods out until the transaction ends, by a row that nobody
 * ever sees: a second writer of its key waits for the end of this transaction, which deletes it
 * again. What fails in between must roll the transaction back.
 */
export async function withClosingsLocked<T>(tx: Tx, customerId: string, work: () => Promise<T>): Promise<T> {
  const [carrierId, job] = ["", `close-usage:${customerId}`];
  const values = {
    carrier_id: carrierId,
    job,
    holder: "",
    lease_epoch: 1n,
    until_time: sql<string>`clock_timestamp()`,
  };
  await run(tx, tx.insertInto("job_lease").values(values));
  const result = await work();
  await run(tx, tx.deleteFrom("job_lease").where("carrier_id", "=", carrierId).where("job", "=", job));
  return result;
}

/**
 * How many days around a period are read with it: a call that was moved out of it is looked for in
 * them.
 */
const DAYS_AROUND = 4;

/** Reads when a period's days begin. In a transaction that may write. */
export async function withDays<Period extends UsagePeriod>(tx: Tx, period: Period): Promise<Period & DatedPeriod> {
  const { timeZone, startDate, endDate } = period;
  const days = await readZoneDays(tx, timeZone, addDays(startDate, -DAYS_AROUND), addDays(endDate, DAYS_AROUND));
  return { ...period, days };
}

/**
 * The closed periods of a customer that overlap another, by start: by their instants, for they may
 * be of another time zone.
 */
export async function findOverlappingPeriods(tx: Tx, period: DatedPeriod): Promise<StoredPeriod[]> {
  const midnight = (day: string) => sql`${isoFromMicros(period.days.startOf(day))}::timestamptz`;
  const { rows } = await run(tx)<PeriodRow>`
    SELECT ${PERIOD_COLUMNS} FROM usage_period
    WHERE customer_id = ${period.customerId} AND start_date < ${period.endDate}::date + 2 AND end_date > ${period.startDate}::date - 2
      AND start_time < ${midnight(period.endDate)} AND end_time > ${midnight(period.startDate)}
    ORDER BY start_date, period_id`;
  return rows.map(storedPeriod);
}

/** Reads one closed period. */
export async function readPeriod(tx: Tx, periodId: string): Promise<StoredPeriod | undefined> {
  const { rows } = await run(tx)<PeriodRow>`SELECT ${PERIOD_COLUMNS} FROM usage_period WHERE period_id = ${periodId}`;
  return rows[0] && storedPeriod(rows[0]);
}

/** The newest closed periods of a customer, by start. */
export async function listPeriods(tx: Tx, customerId: string, limit: number): Promise<StoredPeriod[]> {
  const { rows } = await run(tx)<PeriodRow>`
    SELECT ${PERIOD_COLUMNS} FROM usage_period WHERE customer_id = ${customerId} ORDER BY start_date DESC, period_id DESC LIMIT ${limit}`;
  return rows.map(storedPeriod).reverse();
}

/** The newest restatement of each period that was recorded by a time; 0 for those that had none. */
export async function readRestatementNumbers(
  tx: Tx,
  periodIds: readonly string[],
  time: Micros,
): Promise<ReadonlyMap<string, number>> {
  if (periodIds.length === 0) return new Map();
  const { rows } = await run(tx)<{ periodId: string; number: number }>`
    SELECT period_id, max(restatement_number) AS number FROM usage_restatement
    WHERE period_id = ANY(${textArray(periodIds)}::text[]) AND record_time <= ${isoFromMicros(time)}::timestamptz
    GROUP BY period_id`;
  return new Map(rows.map((row) => [row.periodId, row.number]));
}

/** Keeps the lines of a period as one statement sees them now, and says how many there are. */
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
  const midnight = (day: string) => isoFromMicros(period.days.startOf(day));
  await run(tx)`
    INSERT INTO usage_period (period_id, customer_id, start_date, end_date, time_zone, start_time, end_time, close_time, closed_by, restatement_number, checked_time,
                              completeness, judged, closed_totals, current_totals)
    VALUES (${period.periodId}, ${period.customerId}, ${period.startDate}::date, ${period.endDate}::date, ${period.timeZone},
            ${midnight(period.startDate)}::timestamptz, ${midnight(period.endDate)}::timestamptz,
            ${isoFromMicros(period.closeTime)}::timestamptz, ${period.closedBy}, 0,
            ${isoFromMicros(period.closeTime)}::timestamptz - make_interval(secs => ${UNSEEN_S}), ${Buffer.from(period.completeness)},
            ${JSON.stringify(period.judged)}::jsonb, ${totals}::int8[], ${totals}::int8[])`;
}

/** How far carriers are judged, and by what. */
export function judgedOf(carriers: readonly UsageCarrier[]): Judged {
  return Object.fromEntries(
    carriers.map(({ carrierId, rules, reconciledThrough }) => [
      carrierId,
      { rules, ...(reconciledThrough === undefined ? {} : { through: String(reconciledThrough) }) },
    ]),
  );
}

/** Sums as usage_period keeps them. */
export function totalsArray(totals: UsageTotals): Buffer {
  return int8Array(sumsOfTotals(totals));
}

/** A row of usage_period. */
export interface PeriodRow extends Omit<StoredPeriod, "closedTotals" | "currentTotals"> {
  closedTotals: string[];
  currentTotals: string[];
}

/** The columns of a PeriodRow. */
export const PERIOD_COLUMNS = sql.raw(
  "period_id, customer_id, start_date, end_date, time_zone, close_time, closed_by, restatement_number, checked_time, completeness, judged, closed_totals, current_totals",
);

/** A row as a period. */
export function storedPeriod(row: PeriodRow): StoredPeriod {
  return { ...row, closedTotals: totalsOfArray(row.closedTotals), currentTotals: totalsOfArray(row.currentTotals) };
}

function totalsOfArray(values: readonly string[]): UsageTotals {
  return totalsOfSums(values.map(BigInt));
}
