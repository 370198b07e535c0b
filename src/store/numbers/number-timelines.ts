import { sql } from "kysely";
import {
  type EndState,
  type NumberPeriod,
  type NumberTimeline,
  spanOfChange,
} from "../../domain/numbers/number-state.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { readRows, run, type Tx, unnest } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";
import { insertMarks } from "../usage/usage-marks.ts";

// Timelines are rows of number_holding: queried columns, and JSON for the domain.

/** Further back than any effective time. */
const PAST_DAYS = 402;

/** Reads timelines as far back as a change may reach, with the ends of older holdings. */
export async function readTimelines(
  tx: Tx,
  carrierId: string,
  numbers: readonly string[],
): Promise<Map<string, NumberPeriod[]>> {
  const rows = await readRows(tx)<HoldingRow>`
    SELECT h.* FROM number_holding h
    WHERE h.carrier_id = ${carrierId} AND h.phone_number = ANY(${textArray(numbers)}::text[]) AND (h.end_time > clock_timestamp() - make_interval(days => ${PAST_DAYS}) OR h.ended_as IS NOT NULL)
    ORDER BY h.phone_number, h.start_time`;
  const held = Map.groupBy(rows, (row) => row.phoneNumber);
  return new Map(Array.from(held, ([phoneNumber, itsRows]) => [phoneNumber, itsRows.map(periodOfRow)]));
}

export interface TimelineWrite {
  readonly phoneNumber: string;
  readonly before: NumberTimeline;
  readonly after: NumberTimeline;
}

/** Writes what changed, and marks it for usage. Unchanged periods are the same objects. */
export async function writeTimelines(tx: Tx, carrierId: string, writes: readonly TimelineWrite[]): Promise<void> {
  const gone: { phoneNumber: string; startTime: Micros }[] = [];
  const written: HoldingWrite[] = [];
  for (const { phoneNumber, before, after } of writes) {
    const starts = new Set(after.map((period) => period.start));
    for (const { start } of before) if (!starts.has(start)) gone.push({ phoneNumber, startTime: start });
    for (const period of after) if (!before.includes(period)) written.push(holdingOf(phoneNumber, period));
  }
  if (gone.length > 0)
    await run(tx)`
      DELETE FROM number_holding h USING ${unnest("g", gone, { phoneNumber: "text", startTime: "timestamptz" })}
      WHERE h.carrier_id = ${carrierId} AND h.phone_number = g.phone_number AND h.start_time = g.start_time`;
  const table = { table: "number_holding", carrierId, key: ["phone_number", "start_time"] };
  await writeRows(tx, { ...table, columns: HOLDING, stored: { detail: sql`r.detail::jsonb` } }, written);
  const marks = writes.flatMap(({ phoneNumber, before, after }) => {
    const span = before === after ? undefined : spanOfChange(before, after);
    return span ? [{ phoneNumber, startTime: span.start, endTime: span.end }] : [];
  });
  await insertMarks(tx, carrierId, marks);
}

const HOLDING = {
  ...({
    phoneNumber: "text",
    startTime: "timestamptz",
    endTime: "timestamptz",
    holdingStartTime: "timestamptz",
  } as const),
  ...({ customerId: "text", endedAs: "int2", revision: "int8", recordedTime: "timestamptz", detail: "text" } as const),
};

/** Periods as JSON, for those that are on their way to another carrier. */
export function encodePeriods(timeline: NumberTimeline): string {
  return JSON.stringify(timeline, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

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

type HoldingWrite = ReturnType<typeof holdingOf>;

function holdingOf(phoneNumber: string, { attributes, assignment, ...period }: NumberPeriod) {
  return {
    phoneNumber,
    startTime: period.start,
    endTime: period.end,
    holdingStartTime: period.holdingStart,
    customerId: assignment?.customerId,
    endedAs: period.endedAs,
    revision: period.revision,
    recordedTime: period.recordedTime,
    detail: JSON.stringify({ attributes, assignment }),
  };
}
