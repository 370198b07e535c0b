import { type RawBuilder, sql } from "kysely";
import { addDays, type Micros, utcDay } from "../../domain/time/instant.ts";
import {
  daysOfYear,
  FIRST_ZONE_YEAR,
  LAST_ZONE_YEAR,
  PINNED_ZONES,
  type ZoneData,
} from "../../domain/time/time-zone.ts";
import { ZoneDays } from "../../domain/time/zone-days.ts";
import { dateArray, timestamptzArray } from "../database/binary-array.ts";
import { readRows, run, type Tx } from "../database/run.ts";

// Only these rows say where days begin. Node's and PostgreSQL's zones differ from each other and
// between processes. In system transactions.

const FIRST_KEPT = `${FIRST_ZONE_YEAR}-01-01`;
const LAST_KEPT = `${LAST_ZONE_YEAR}-12-31`;

/**
 * Reads the days of a zone from one to before another. It writes days of a year that nobody has
 * asked for, so the transaction must be one that may write. No calls are from before 2000 or after
 * 2037: those days begin at midnight UTC.
 */
export async function readZoneDays(
  tx: Tx,
  timeZone: string,
  firstDay: string,
  endDay: string,
  data: ZoneData = PINNED_ZONES,
): Promise<ZoneDays> {
  const first = firstDay < FIRST_KEPT ? FIRST_KEPT : firstDay;
  const last = endDay > LAST_KEPT ? LAST_KEPT : endDay;
  const kept = await readKept(tx, { timeZone, first, last }, data);
  const starts: Micros[] = [];
  for (let day = firstDay; ; day = addDays(day, 1)) {
    starts.push(kept.get(day) ?? BigInt(Date.parse(day)) * 1_000n);
    if (day >= endDay) return new ZoneDays(firstDay, starts);
  }
}

/** Reads the days of a zone in which instants lie. */
export async function readDaysOf(tx: Tx, timeZone: string, instants: readonly Micros[]): Promise<ZoneDays> {
  let [first, last] = [instants[0], instants[0]];
  if (first === undefined || last === undefined) return new ZoneDays(FIRST_KEPT, []);
  for (const instant of instants) {
    if (instant < first) first = instant;
    if (instant > last) last = instant;
  }
  return readZoneDays(tx, timeZone, addDays(utcDay(first), -1), addDays(utcDay(last), 2));
}

/** Reads when one day of a zone begins. */
export async function readStartOfDay(tx: Tx, timeZone: string, day: string): Promise<Micros> {
  return (await readZoneDays(tx, timeZone, day, day)).startOf(day);
}

/** The day of an instant, one of these days. */
export function dayOf(days: ZoneDays, instant: RawBuilder<unknown>): RawBuilder<string> {
  return sql<string>`(${days.firstDay}::date + width_bucket(${instant}, ${timestamptzArray(days.starts)}::timestamptz[]) - 1)`;
}

/** When the day of an instant begins, one of these days. */
export function startOfDayOf(days: ZoneDays, instant: RawBuilder<unknown>): RawBuilder<Micros> {
  const starts = sql`${timestamptzArray(days.starts)}::timestamptz[]`;
  return sql<Micros>`(${starts})[width_bucket(${instant}, ${starts})]`;
}

interface KeptDays {
  readonly timeZone: string;
  readonly first: string;
  readonly last: string;
}

async function readKept(tx: Tx, wanted: KeptDays, data: ZoneData): Promise<ReadonlyMap<string, Micros>> {
  const { first, last } = wanted;
  if (first > last) return new Map();
  const expected = (Date.parse(last) - Date.parse(first)) / 86_400_000 + 1;
  const found = await selectDays(tx, wanted);
  if (found.size === expected) return found;
  for (let year = Number(first.slice(0, 4)); year <= Number(last.slice(0, 4)); year++)
    await fillZoneYear(tx, wanted.timeZone, year, data);
  const filled = await selectDays(tx, wanted);
  if (filled.size !== expected) throw new Error(`days of ${wanted.timeZone} are missing from ${first} to ${last}`);
  return filled;
}

async function selectDays(tx: Tx, { timeZone, first, last }: KeptDays): Promise<ReadonlyMap<string, Micros>> {
  const rows = await readRows(tx)<{ day: string; startTime: Micros }>`
    SELECT day, start_time FROM zone_day WHERE time_zone = ${timeZone} AND day >= ${first}::date AND day <= ${last}::date`;
  return new Map(rows.map((row) => [row.day, row.startTime]));
}

// Whoever fills the same year at the same moment waits for the first, and finds its rows.
async function fillZoneYear(tx: Tx, timeZone: string, year: number, data: ZoneData): Promise<void> {
  const days = daysOfYear(year);
  const starts = data.startsOfYear(timeZone, year);
  await run(tx)`
    INSERT INTO zone_year (time_zone, year, data_version) VALUES (${timeZone}, ${year}::int2, ${data.version})
    ON CONFLICT DO NOTHING`;
  await run(tx)`
    INSERT INTO zone_day (time_zone, day, start_time)
    SELECT ${timeZone}, d.day, d.start_time
    FROM unnest(${dateArray(days)}::date[], ${timestamptzArray(starts)}::timestamptz[]) AS d(day, start_time)
    ON CONFLICT DO NOTHING`;
}
