import { type RawBuilder, sql } from "kysely";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import type { ChangedCall, ChangedLine, LineKey, RestatedRecord } from "../../domain/usage/restating.ts";
import { type PartTotals, sumsOfTotals, totalsOfSums, type UsageTotals } from "../../domain/usage/totals.ts";
import type { DatedPeriod } from "../../domain/usage/usage-scope.ts";
import type { UsagePart } from "../../gen/tandem/platform/v1/usage_pb.js";
import { textArray } from "../database/binary-array.ts";
import { insertAll, instant, readColumn, readRow, readRows, readValue, run, type Tx, unnest } from "../database/run.ts";
import { dayOf } from "../zone-days/zone-days.ts";
import {
  type Judged,
  PERIOD_COLUMNS,
  type PeriodRow,
  type StoredPeriod,
  storedPeriod,
  totalsArray,
  UNSEEN_S,
} from "./usage-periods.ts";
import { NO_FILTER, usageLines, usageRelation } from "./usage-source.ts";

/**
 * Days after its end in which a period may change. Records may be corrected for 400 days; what
 * retention deletes later must not look like calls taken back.
 */
const OPEN_DAYS = 402;
const IS_OPEN = sql`p.end_date > (clock_timestamp() AT TIME ZONE 'UTC')::date - ${sql.lit(OPEN_DAYS)}`;

// A process of one region leaves out periods with calls of another region's carrier.
function isServedIn(region: string | undefined): RawBuilder<boolean> {
  if (region === undefined) return sql<boolean>`true`;
  return sql<boolean>`NOT EXISTS (
    SELECT FROM jsonb_object_keys(p.judged) AS j(carrier_id) JOIN carrier k ON k.carrier_id = j.carrier_id WHERE k.region <> ${region})`;
}

/** The time up to which the database certainly shows everything. */
export function readSeenTime(tx: Tx): Promise<Micros> {
  return readValue(tx)<Micros>`
    SELECT clock_timestamp() - make_interval(secs => ${UNSEEN_S}) AS seen`;
}

/** A number of a closed period whose figures may have changed. */
export interface ChangedNumber {
  readonly periodId: string;
  readonly phoneNumber: string;
}

/**
 * Numbers with a call that was judged anew, or with a changed history, since a time and since their
 * closed period was checked; by period and number. It starts from what changed, so the work does
 * not grow with the number of closed periods.
 */
export function findChangedNumbers(
  tx: Tx,
  since: Micros,
  page: { after: ChangedNumber | undefined; limit: number; region?: string | undefined },
): Promise<ChangedNumber[]> {
  const time = instant(since);
  // Looks at the periods of every customer that ever had the number: the call may have counted for
  // another before.
  return readRows(tx)<ChangedNumber>`
    WITH ends AS (SELECT max(end_date) + 1 AS last FROM usage_period),
    calls AS (
      SELECT r.phone_number, (r.start_time AT TIME ZONE 'UTC')::date AS day, max(r.update_time) AS changed
      FROM carrier c CROSS JOIN ends CROSS JOIN LATERAL (
        SELECT * FROM call_result r WHERE r.carrier_id = c.carrier_id AND r.update_time > ${time} OFFSET 0) r
      WHERE r.phone_number IS NOT NULL AND r.start_time < ends.last GROUP BY 1, 2),
    numbers AS (
      SELECT e.phone_number, e.customer_id, e.previous_customer_id, max(e.ingest_time) AS changed
      FROM carrier c CROSS JOIN LATERAL (
        SELECT * FROM number_entry e WHERE e.carrier_id = c.carrier_id AND e.ingest_time > ${time} OFFSET 0) e
      WHERE e.phone_number IS NOT NULL GROUP BY 1, 2, 3),
    customers AS (
      SELECT h.customer_id, calls.phone_number, calls.day - 2 AS first, calls.day + 2 AS last, calls.changed
      FROM calls CROSS JOIN LATERAL (${holdersOf(sql.ref("calls.phone_number"))}) h
      UNION SELECT h.customer_id, numbers.phone_number, '-infinity', 'infinity', numbers.changed
      FROM numbers CROSS JOIN LATERAL (${holdersOf(sql.ref("numbers.phone_number"))}) h
      UNION SELECT customer_id, phone_number, '-infinity', 'infinity', changed FROM numbers WHERE customer_id IS NOT NULL
      UNION SELECT previous_customer_id, phone_number, '-infinity', 'infinity', changed FROM numbers WHERE previous_customer_id IS NOT NULL)
    SELECT DISTINCT p.period_id, c.phone_number FROM customers c JOIN usage_period p ON p.customer_id = c.customer_id
      AND p.start_date <= c.last AND p.end_date > c.first AND p.checked_time < c.changed
    WHERE ${IS_OPEN} AND ${isServedIn(page.region)} AND (p.period_id, c.phone_number) > (${page.after?.periodId ?? ""}::text, ${page.after?.phoneNumber ?? ""}::text)
    ORDER BY p.period_id, c.phone_number LIMIT ${page.limit}`;
}

// OFFSET 0: by the number, not through all holders.
function holdersOf(phoneNumber: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`SELECT h.customer_id FROM number_holding h WHERE h.phone_number = ${phoneNumber} AND h.customer_id IS NOT NULL OFFSET 0`;
}

/** Periods that were not compared for this long, the oldest check first. */
export function findUncheckedPeriods(tx: Tx, ageS: number, limit: number, region?: string): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT p.period_id FROM usage_period p
    WHERE p.checked_time < clock_timestamp() - make_interval(secs => ${ageS}) AND ${IS_OPEN} AND ${isServedIn(region)}
    ORDER BY p.checked_time LIMIT ${limit}`;
}

/** The oldest check of a period that may still change; undefined: none. */
export function readOldestCheck(tx: Tx, region?: string): Promise<Micros | undefined> {
  return readValue(tx)<Micros | undefined>`
    SELECT min(p.checked_time) AS oldest FROM usage_period p WHERE ${IS_OPEN} AND ${isServedIn(region)}`;
}

/** Locks a period until the transaction ends, so that restatements get consecutive numbers. */
export async function lockPeriod(tx: Tx, periodId: string): Promise<StoredPeriod | undefined> {
  const row = await readRow(tx)<PeriodRow>`
    UPDATE usage_period SET restatement_number = restatement_number WHERE period_id = ${periodId} RETURNING ${PERIOD_COLUMNS}`;
  return row && storedPeriod(row);
}

/**
 * The lines of a period that differ from those kept last, by key. Calls of erased numbers share the
 * lines without a number.
 * @param phoneNumbers empty: all.
 */
export async function compareLines(
  tx: Tx,
  period: DatedPeriod & StoredPeriod,
  phoneNumbers: readonly string[],
  limit: number,
): Promise<ChangedLine[]> {
  const isAsked = phoneNumbers.length === 0 ? sql`true` : sql`l.phone_number = ANY(${textArray(phoneNumbers)}::text[])`;
  const rows = await readRows(tx)<LineKey & { oldParts: StoredParts; newParts: StoredParts }>`
    SELECT usage_date, phone_number, direction, country_code, carrier_id,
      COALESCE(kept.parts, '{}') AS old_parts, COALESCE(live.parts, '{}') AS new_parts
    FROM (${usageLines(usageRelation(period, { ...NO_FILTER, phoneNumbers }))}) live
    FULL JOIN (
      SELECT DISTINCT ON (l.usage_date, l.phone_number, l.direction, l.country_code, l.carrier_id) l.*
      FROM usage_line l WHERE l.period_id = ${period.periodId} AND ${isAsked}
      ORDER BY l.usage_date, l.phone_number, l.direction, l.country_code, l.carrier_id, l.restatement_number DESC) kept
    USING (usage_date, phone_number, direction, country_code, carrier_id)
    WHERE COALESCE(kept.parts, '{}') <> COALESCE(live.parts, '{}')
    ORDER BY usage_date, phone_number, direction, country_code, carrier_id LIMIT ${limit}`;
  return rows.map((row) => ({ ...row, oldParts: decodeParts(row.oldParts), newParts: decodeParts(row.newParts) }));
}

/**
 * The calls of numbers, in and around a period, that were judged anew since its check. The newest
 * changes first.
 */
export function readChangedCalls(
  tx: Tx,
  { startDate, endDate, days, checkedTime }: DatedPeriod & StoredPeriod,
  phoneNumbers: readonly string[],
  limit: number,
): Promise<(ChangedCall & { updateTime: Micros })[]> {
  // A call may have been moved out of the period.
  return readRows(tx, changedCall)`
    SELECT ${dayOf(days, sql`r.start_time`)} AS usage_date, r.phone_number, r.direction,
      COALESCE(r.other_country, '') AS country_code, r.carrier_id, r.status, r.side, r.record_id, r.record_date, r.revision, r.carrier_record_ids,
      r.carrier_record_dates::text[] AS carrier_record_dates, r.carrier_revisions, r.arrival_time, r.update_time
    FROM call_result r
    WHERE r.phone_number = ANY(${textArray(phoneNumbers)}::text[]) AND r.start_time >= ${startDate}::timestamptz - interval '3 days'
      AND r.start_time < ${endDate}::timestamptz + interval '3 days' AND r.update_time > ${instant(checkedTime)}
    ORDER BY r.update_time DESC LIMIT ${limit}`;
}

/** Which numbers have a history that changed since a time. */
export async function readChangedNumbers(tx: Tx, phoneNumbers: readonly string[], since: Micros): Promise<Set<string>> {
  const changed = await readColumn(tx)<string>`
    SELECT DISTINCT e.phone_number FROM carrier c JOIN number_entry e ON e.carrier_id = c.carrier_id
      AND e.phone_number = ANY(${textArray(phoneNumbers)}::text[]) AND e.ingest_time > ${instant(since)}`;
  return new Set(changed);
}

/** When the period's newest restatement was recorded; undefined: never. */
export function readNewestRestatementTime(tx: Tx, periodId: string): Promise<Micros | undefined> {
  return readValue(tx)<Micros | undefined>`
    SELECT max(record_time) AS newest FROM usage_restatement WHERE period_id = ${periodId}`;
}

export async function insertRestatement(
  tx: Tx,
  {
    periodId,
    number,
    recordTime,
    payload,
    lines,
  }: { periodId: string; number: number; recordTime: Micros; payload: Uint8Array; lines: readonly ChangedLine[] },
): Promise<void> {
  await run(tx)`
    INSERT INTO usage_restatement (period_id, restatement_number, record_time, payload)
    VALUES (${periodId}, ${number}, ${instant(recordTime)}, ${Buffer.from(payload)})`;
  const rows = lines.map((line) => ({ ...line, parts: encodeParts(line.newParts) }));
  const query = sql`
    INSERT INTO usage_line (period_id, restatement_number, usage_date, phone_number, direction, country_code, carrier_id, parts)
    SELECT p.period_id, ${number}::int4, w.usage_date, w.phone_number, w.direction, w.country_code, w.carrier_id, w.parts::jsonb
    FROM usage_period p CROSS JOIN ${unnest("w", rows, LINE_COLUMNS)} WHERE p.period_id = ${periodId}`;
  await insertAll(tx, query, lines.length);
}

const LINE_COLUMNS = {
  usageDate: "date",
  phoneNumber: "text",
  direction: "int2",
  countryCode: "text",
  carrierId: "text",
  parts: "text",
} as const;

export async function writePeriodTotals(
  tx: Tx,
  periodId: string,
  restatementNumber: number,
  currentTotals: UsageTotals,
): Promise<void> {
  await run(tx)`
    UPDATE usage_period SET restatement_number = ${restatementNumber}, current_totals = ${totalsArray(currentTotals)}::int8[]
    WHERE period_id = ${periodId}`;
}

/** Notes that all lines of a period were compared, and how far its carriers were judged. */
export async function writePeriodCheck(tx: Tx, periodId: string, checkedTime: Micros, judged: Judged): Promise<void> {
  await run(tx)`
    UPDATE usage_period SET checked_time = ${instant(checkedTime)}, judged = ${JSON.stringify(judged)}::jsonb
    WHERE period_id = ${periodId}`;
}

export interface RestatementPlace {
  readonly startDate: string;
  readonly periodId: string;
  readonly restatementNumber: number;
}

/** Lists restatements by their period's start and their number, at least one and as many as fit. */
export async function listRestatements(
  tx: Tx,
  search: { customerId: string; periodId: string | undefined; start: Micros | undefined; end: Micros | undefined },
  page: { after: RestatementPlace | undefined; limit: number; maxBytes: number },
): Promise<{ restatements: (RestatementPlace & { payload: Buffer })[]; isLast: boolean }> {
  const { customerId, periodId, start, end } = search;
  const conditions = [
    sql`p.customer_id = ${customerId}`,
    ...(periodId === undefined ? [] : [sql`p.period_id = ${periodId}`]),
    ...(start === undefined ? [] : [sql`s.record_time >= ${instant(start)}`]),
    ...(end === undefined ? [] : [sql`s.record_time < ${instant(end)}`]),
    ...(page.after === undefined ? [] : [isAfter(page.after)]),
  ];
  const rows = await readRows(tx)<RestatementPlace & { payload: Buffer; found: bigint }>`
    SELECT start_date, period_id, restatement_number, payload, found FROM (
      SELECT l.*, octet_length(l.payload) AS own, count(*) OVER () AS found,
        sum(octet_length(l.payload)) OVER (ORDER BY l.start_date, l.period_id, l.restatement_number) AS bytes
      FROM (
        SELECT p.start_date, s.period_id, s.restatement_number, s.payload
        FROM usage_period p JOIN usage_restatement s ON s.period_id = p.period_id
        WHERE ${sql.join(conditions, sql` AND `)}
        ORDER BY p.start_date, s.period_id, s.restatement_number LIMIT ${page.limit + 1}) l) r
    WHERE bytes <= ${page.maxBytes} OR bytes = own
    ORDER BY start_date, period_id, restatement_number LIMIT ${page.limit}`;
  const isLast = rows.length === Number(rows[0]?.found ?? 0n);
  return { restatements: rows.map(({ found: _, ...restatement }) => restatement), isLast };
}

function isAfter({ startDate, periodId, restatementNumber }: RestatementPlace) {
  return sql`(p.start_date, s.period_id, s.restatement_number) > (${startDate}::date, ${periodId}::text, ${restatementNumber}::int4)`;
}

interface CallRow extends Omit<ChangedCall, "records">, Omit<RestatedRecord, "carrierId"> {
  readonly carrierRecordIds: readonly string[];
  readonly carrierRecordDates: readonly string[];
  readonly carrierRevisions: readonly number[];
  readonly updateTime: Micros;
}

function changedCall({ side, recordId, recordDate, revision, ...row }: CallRow): ChangedCall & { updateTime: Micros } {
  const { carrierId, carrierRecordIds, carrierRecordDates, carrierRevisions, ...call } = row;
  const records: RestatedRecord[] = carrierRecordIds.map((id, index) => ({
    carrierId,
    side: CARRIER_SIDE,
    recordId: id,
    recordDate: carrierRecordDates[index] ?? "",
    revision: carrierRevisions[index] ?? 1,
  }));
  if (side === PLATFORM_SIDE) records.unshift({ carrierId, side, recordId, recordDate, revision });
  return { ...call, carrierId, records };
}

type StoredParts = Readonly<Record<string, number[]>>;

// JSON's numbers are exact to 2^53.
function decodeParts(stored: StoredParts): PartTotals {
  return new Map(
    Object.entries(stored).map(([part, sums]) => [Number(part) as UsagePart, totalsOfSums(sums.map(BigInt))]),
  );
}

function encodeParts(parts: PartTotals): string {
  const sums = [...parts].map(([part, totals]): [number, number[]] => [part, sumsOfTotals(totals).map(Number)]);
  return JSON.stringify(Object.fromEntries(sums));
}
