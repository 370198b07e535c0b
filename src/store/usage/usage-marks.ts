import { randomUUID } from "node:crypto";
import { sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { insertAll, instant, readRows, run, type Tx, unnest } from "../database/run.ts";

// Whoever changes who held a number when marks it in the same transaction. The carrier's reconciler
// moves the calls from sum to sum and removes the mark (sum-upkeep.ts); queries see to marked
// numbers themselves until then (summed-usage.ts).

/** Calls of a number that may be summed under whoever held it before. */
export interface NumberSpan {
  readonly phoneNumber: string;
  readonly startTime: Micros;
  /** Exclusive. */
  readonly endTime: Micros;
}

export interface UsageMark extends NumberSpan {
  readonly markId: string;
  /** The other carriers with calls of the number have a mark of their own. */
  readonly isPassedOn: boolean;
}

export const SPAN = { phoneNumber: "text", startTime: "timestamptz", endTime: "timestamptz" } as const;

/** Numbers and spans as a table `w`. */
export function unnestSpans(spans: readonly NumberSpan[]) {
  return unnest<NumberSpan>("w", spans, SPAN);
}

/** Marks numbers. Every mark is a row of its own: one that is being worked off is not enough. */
export async function insertMarks(
  tx: Tx,
  carrierId: string,
  spans: readonly NumberSpan[],
  isPassedOn = false,
): Promise<void> {
  if (spans.length === 0) return;
  const rows = spans.map((span) => ({ ...span, markId: randomUUID() as string }));
  const query = sql`
    INSERT INTO usage_mark (carrier_id, mark_id, phone_number, start_time, end_time, is_passed_on)
    SELECT c.carrier_id, w.mark_id::uuid, w.phone_number, w.start_time, w.end_time, ${isPassedOn}::bool
    FROM carrier c CROSS JOIN ${unnest("w", rows, { ...SPAN, markId: "text" })} WHERE c.carrier_id = ${carrierId}`;
  await insertAll(tx, query, rows.length);
}

/** Reads a carrier's marks, at most `limit`: all, or those of a number. */
export async function readMarks(
  tx: Tx,
  carrierId: string,
  of: { phoneNumber?: string; limit: number },
): Promise<UsageMark[]> {
  const isWanted = of.phoneNumber === undefined ? sql`true` : sql`phone_number = ${of.phoneNumber}`;
  return readRows(tx)<UsageMark>`
    SELECT mark_id::text AS mark_id, phone_number, start_time, end_time, is_passed_on FROM usage_mark
    WHERE carrier_id = ${carrierId} AND ${isWanted} LIMIT ${of.limit}`;
}

export async function deleteMarks(tx: Tx, carrierId: string, marks: readonly UsageMark[]): Promise<void> {
  const ids = marks.map(({ markId }) => markId);
  await run(
    tx,
  )`DELETE FROM usage_mark WHERE carrier_id = ${carrierId} AND mark_id = ANY(${textArray(ids)}::text[]::uuid[])`;
}

/** Takes the beginning of a mark away, up to an end, of which the other carriers were told. */
export async function shortenMark(tx: Tx, carrierId: string, { markId, endTime }: UsageMark): Promise<void> {
  await run(tx)`
    UPDATE usage_mark SET start_time = ${instant(endTime)} WHERE carrier_id = ${carrierId} AND mark_id = ${markId}::uuid`;
}

/** The marks of all carriers that reach into a time, at most `limit`. Default: all. */
export async function readMarksIn(
  tx: Tx,
  range: { start: Micros; end: Micros },
  limit: number | null = null,
): Promise<NumberSpan[]> {
  return readRows(tx)<NumberSpan>`
    SELECT phone_number, start_time, end_time FROM usage_mark
    WHERE start_time < ${instant(range.end)} AND end_time > ${instant(range.start)} LIMIT ${limit}::int8`;
}

/** Other carriers that hold or held these numbers, or have calls of the spans, with the spans. */
export async function findOthersMarked(
  tx: Tx,
  carrierId: string,
  spans: readonly NumberSpan[],
): Promise<Map<string, NumberSpan[]>> {
  const rows = await readRows(tx)<NumberSpan & { carrierId: string }>`
    SELECT DISTINCT o.carrier_id, w.phone_number, w.start_time, w.end_time FROM ${unnestSpans(spans)}
    CROSS JOIN LATERAL (
      SELECT carrier_id FROM call_result r
      WHERE r.phone_number = w.phone_number AND r.start_time >= w.start_time AND r.start_time < w.end_time
      UNION SELECT carrier_id FROM phone_number n WHERE n.phone_number = w.phone_number) o
    WHERE o.carrier_id <> ${carrierId}`;
  return Map.groupBy(rows, (row) => row.carrierId);
}
