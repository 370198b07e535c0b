import type { Micros } from "../../domain/time/instant.ts";
import { daysOfYear, type ZoneData } from "../../domain/time/time-zone.ts";
import { dateArray, timestamptzArray } from "../database/binary-array.ts";
import { readRows, run, type Tx } from "../database/run.ts";

/**
 * Days that begin sooner than this stay as they are: they may have calls already, since records may
 * be up to 15 h ahead of the clock. Microseconds.
 */
const SETTLED_AHEAD: Micros = 86_400_000_000n;

/** What newer data says otherwise of a zone's days in a year. */
export interface ZoneChange {
  readonly timeZone: string;
  /** Days that begin at other times from now on, ascending. */
  readonly moved: readonly string[];
  /** Days that have begun, or do so within 24 h: they stay as they are. */
  readonly kept: readonly string[];
}

/**
 * Takes what newer data says of days to come, in the years that older data filled. Other processes
 * that do the same wait, and find it done.
 * @returns what differs, by zone.
 */
export async function takeNewerZoneData(tx: Tx, data: ZoneData, now: Micros): Promise<ZoneChange[]> {
  const thisYear = new Date(Number(now / 1_000n)).getUTCFullYear();
  const rows = await readRows(tx)<{ timeZone: string; year: number }>`
    UPDATE zone_year SET data_version = ${data.version} WHERE data_version < ${data.version} AND year >= ${thisYear}::int2
    RETURNING time_zone, year`;
  const changes: ZoneChange[] = [];
  for (const [timeZone, years] of Map.groupBy(rows, (row) => row.timeZone)) {
    const said = years.flatMap(({ year }) => daysSaid(data, timeZone, year));
    const change = await moveDays(tx, timeZone, said, now + SETTLED_AHEAD);
    if (change.moved.length + change.kept.length > 0) changes.push(change);
  }
  return changes;
}

interface Day {
  readonly day: string;
  readonly start: Micros;
}

function daysSaid(data: ZoneData, timeZone: string, year: number): Day[] {
  const starts = data.startsOfYear(timeZone, year);
  return daysOfYear(year).map((day, index) => ({ day, start: starts[index] ?? 0n }));
}

// A day moves only if both editions put it in the future: then days stay in order.
async function moveDays(tx: Tx, timeZone: string, said: readonly Day[], settled: Micros): Promise<ZoneChange> {
  const rows = await readRows(tx)<{ day: string; startTime: Micros }>`
    SELECT day, start_time FROM zone_day
    WHERE time_zone = ${timeZone} AND day = ANY(${dateArray(said.map(({ day }) => day))}::date[])`;
  const before = new Map(rows.map((row) => [row.day, row.startTime]));
  const other = said.filter(({ day, start }) => before.has(day) && before.get(day) !== start).toSorted(byDay);
  const isToCome = ({ day, start }: Day) => start > settled && (before.get(day) ?? 0n) > settled;
  const moved = other.filter(isToCome);
  if (moved.length > 0)
    await run(tx)`
      UPDATE zone_day z SET start_time = d.start_time
      FROM unnest(${dateArray(moved.map(({ day }) => day))}::date[],
                  ${timestamptzArray(moved.map(({ start }) => start))}::timestamptz[]) AS d(day, start_time)
      WHERE z.time_zone = ${timeZone} AND z.day = d.day`;
  const names = (days: readonly Day[]) => days.map(({ day }) => day);
  return { timeZone, moved: names(moved), kept: names(other.filter((day) => !isToCome(day))) };
}

function byDay(a: Day, b: Day): number {
  return a.day < b.day ? -1 : 1;
}
