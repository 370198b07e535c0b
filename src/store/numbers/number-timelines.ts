import { sql } from "kysely";
import type { EndState, NumberPeriod, NumberTimeline } from "../../domain/numbers/number-state.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { int2Array, int8Array, textArray, timestamptzArray } from "../database/binary-array.ts";
import { insertAll, run, type Tx } from "../database/run.ts";

// A timeline is kept as rows of number_holding: what queries look for in columns, what only the
// domain reads as JSON.

/**
 * How far back periods are read when a number is changed: further than any effective time may lie.
 */
const PAST_DAYS = 402;

/**
 * Reads the timelines of numbers of one carrier, as far back as a change may reach; the ends of
 * older holdings too.
 */
export async function readTimelines(
  tx: Tx,
  carrierId: string,
  numbers: readonly string[],
): Promise<Map<string, NumberPeriod[]>> {
  const { rows } = await run(tx)<HoldingRow>`
    SELECT h.* FROM number_holding h
    WHERE h.carrier_id = ${carrierId} AND h.phone_number = ANY(${textArray(numbers)}::text[]) AND (h.end_time > clock_timestamp() - make_interval(days => ${PAST_DAYS}) OR h.ended_as IS NOT NULL)
    ORDER BY h.phone_number, h.start_time`;
  const timelines = new Map<string, NumberPeriod[]>();
  for (const row of rows) {
    const timeline = timelines.get(row.phoneNumber);
    if (timeline) timeline.push(periodOfRow(row));
    else timelines.set(row.phoneNumber, [periodOfRow(row)]);
  }
  return timelines;
}

/** A timeline before and after a change. */
export interface TimelineWrite {
  readonly phoneNumber: string;
  readonly before: NumberTimeline;
  readonly after: NumberTimeline;
}

/**
 * Writes what changed in timelines of one carrier. Periods are the same objects where nothing did.
 */
export async function writeTimelines(tx: Tx, carrierId: string, writes: readonly TimelineWrite[]): Promise<void> {
  const gone: { phoneNumber: string; start: Micros }[] = [];
  const written: { phoneNumber: string; period: NumberPeriod }[] = [];
  for (const { phoneNumber, before, after } of writes) {
    const starts = new Set(after.map((period) => period.start));
    for (const { start } of before) if (!starts.has(start)) gone.push({ phoneNumber, start });
    for (const period of after) if (!before.includes(period)) written.push({ phoneNumber, period });
  }
  await deletePeriods(tx, carrierId, gone);
  await upsertPeriods(tx, carrierId, written);
}

/** Periods as JSON, for those that are on their way to another carrier. */
export function encodePeriods(timeline: NumberTimeline): string {
  return JSON.stringify(timeline, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

/** Periods from their JSON. */
export function decodePeriods(json: unknown): NumberPeriod[] {
  return (json as EncodedPeriod[]).map((period) => ({
    ...period,
    start: BigInt(period.start),
    end: BigInt(period.end),
    holdingStart: BigInt(period.holdingStart),
    revision: BigInt(period.revision),
    recordedTime: BigInt(period.recordedTime),
  }));
}

/** A row of number_holding. */
export interface HoldingRow {
  carrierId: string;
  phoneNumber: string;
  startTime: Micros;
  endTime: Micros;
  holdingStartTime: Micros;
  customerId: string | undefined;
  endedAs: number | undefined;
  revision: bigint;
  recordedTime: Micros;
  detail: unknown;
}

/** A row of number_holding as a period. */
export function periodOfRow(row: HoldingRow): NumberPeriod {
  const detail = row.detail as Pick<NumberPeriod, "attributes" | "assignment">;
  return {
    ...detail,
    start: row.startTime,
    end: row.endTime,
    holdingStart: row.holdingStartTime,
    ...(row.endedAs === undefined ? {} : { endedAs: row.endedAs as EndState }),
    revision: row.revision,
    recordedTime: row.recordedTime,
  };
}

type EncodedPeriod = Omit<NumberPeriod, "start" | "end" | "holdingStart" | "revision" | "recordedTime"> &
  Record<"start" | "end" | "holdingStart" | "revision" | "recordedTime", string>;

async function deletePeriods(
  tx: Tx,
  carrierId: string,
  gone: readonly { phoneNumber: string; start: Micros }[],
): Promise<void> {
  if (gone.length === 0) return;
  await run(tx)`
    DELETE FROM number_holding h
    USING unnest(${textArray(gone.map((g) => g.phoneNumber))}::text[], ${timestamptzArray(gone.map((g) => g.start))}::timestamptz[])
      AS g(phone_number, start_time)
    WHERE h.carrier_id = ${carrierId} AND h.phone_number = g.phone_number AND h.start_time = g.start_time`;
}

async function upsertPeriods(
  tx: Tx,
  carrierId: string,
  written: readonly { phoneNumber: string; period: NumberPeriod }[],
): Promise<void> {
  if (written.length === 0) return;
  const periods = written.map(({ period }) => period);
  const details = periods.map(({ attributes, assignment }) => JSON.stringify({ attributes, assignment }));
  const query = sql`
    INSERT INTO number_holding
      (carrier_id, phone_number, start_time, end_time, holding_start_time, customer_id, ended_as, revision, recorded_time, detail)
    SELECT c.carrier_id, w.phone_number, w.start_time, w.end_time, w.holding_start_time, w.customer_id, w.ended_as, w.revision,
           w.recorded_time, w.detail::jsonb
    FROM carrier c CROSS JOIN unnest(${textArray(written.map(({ phoneNumber }) => phoneNumber))}::text[],
                ${timestamptzArray(periods.map((period) => period.start))}::timestamptz[],
                ${timestamptzArray(periods.map((period) => period.end))}::timestamptz[],
                ${timestamptzArray(periods.map((period) => period.holdingStart))}::timestamptz[],
                ${textArray(periods.map((period) => period.assignment?.customerId))}::text[],
                ${int2Array(periods.map((period) => period.endedAs))}::int2[],
                ${int8Array(periods.map((period) => period.revision))}::int8[],
                ${timestamptzArray(periods.map((period) => period.recordedTime))}::timestamptz[],
                ${textArray(details)}::text[])
      AS w(phone_number, start_time, end_time, holding_start_time, customer_id, ended_as, revision, recorded_time, detail)
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, phone_number, start_time) DO UPDATE
    SET end_time = EXCLUDED.end_time, holding_start_time = EXCLUDED.holding_start_time, customer_id = EXCLUDED.customer_id,
        ended_as = EXCLUDED.ended_as, revision = EXCLUDED.revision, recorded_time = EXCLUDED.recorded_time, detail = EXCLUDED.detail`;
  await insertAll(tx, query, written.length);
}
