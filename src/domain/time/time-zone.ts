import moment from "moment-timezone";
import { addDays, type Micros, microsFromMs } from "./instant.ts";

/** Where days begin in time zones, by one edition of the IANA data. */
export interface ZoneData {
  /** The edition, such as `2026f`; a newer one sorts after it. */
  readonly version: string;
  /**
   * When each day of a year begins in a zone, from 1 January on. A day that the zone leaves out
   * begins with the next.
   * @throws Error for an unknown zone.
   */
  startsOfYear(timeZone: string, year: number): Micros[];
}

/** The years of which days are kept: no record is older, and the data goes no further. */
export const FIRST_ZONE_YEAR = 2000;
export const LAST_ZONE_YEAR = 2037;

const MINUTE_MS = 60_000;
/** No zone's day begins further than this from UTC's. */
const DAY_MS = 86_400_000;

const NAMES: ReadonlySet<string> = new Set(moment.tz.names());

/** Whether a text is a zone's or a link's name in the IANA database, written as there. */
export function isTimeZone(text: string): boolean {
  return NAMES.has(text);
}

/** The data of this version of Tandem, whatever Node or PostgreSQL know of zones. */
export const PINNED_ZONES: ZoneData = {
  version: moment.tz.dataVersion,
  startsOfYear: (timeZone, year) => startsOfYear(shiftsOf(timeZone), year),
};

/** The hour of the day, 0 to 23, of an instant in a zone. */
export function hourIn(timeZone: string, ms: number): number {
  return localTime(timeZone, ms).getUTCHours();
}

/**
 * The instants at which a zone's clocks show a local time, earliest first: one, two in the hour
 * that is repeated when clocks go back, none in the hour that is left out. All in milliseconds; a
 * local time is that whose UTC reads alike.
 */
export function instantsOfLocal(timeZone: string, localMs: number): number[] {
  const instants: number[] = [];
  let beginMs = Number.NEGATIVE_INFINITY;
  for (const { offsetMs, endMs } of shiftsOf(timeZone)) {
    const ms = localMs - offsetMs;
    if (ms >= beginMs && ms < endMs) instants.push(ms);
    if (beginMs > localMs + DAY_MS) break;
    beginMs = endMs;
  }
  return instants;
}

// Whose UTC is the zone's local time.
function localTime(timeZone: string, ms: number): Date {
  const shift = shiftsOf(timeZone).find(({ endMs }) => ms < endMs);
  return new Date(ms + (shift?.offsetMs ?? 0));
}

/** The days of a year, `YYYY-MM-DD`. */
export function daysOfYear(year: number): string[] {
  const days: string[] = [];
  for (let day = `${year}-01-01`; day < `${year + 1}-01-01`; day = addDays(day, 1)) days.push(day);
  return days;
}

/** A time during which a zone's clocks do not change. */
interface Shift {
  /** Added to UTC, it is local time. */
  readonly offsetMs: number;
  readonly endMs: number;
}

const known = new Map<string, readonly Shift[]>();

function shiftsOf(timeZone: string): readonly Shift[] {
  const before = known.get(timeZone);
  if (before) return before;
  const zone = moment.tz.zone(nameInUse(timeZone));
  if (!zone) throw new Error(`${timeZone} is no IANA time zone`);
  const shifts = zone.offsets.map((west, index) => ({
    // In minutes, with the seconds of times before standard time as a fraction.
    offsetMs: -Math.round(west * MINUTE_MS),
    endMs: zone.untils[index] ?? Number.POSITIVE_INFINITY,
  }));
  known.set(timeZone, shifts);
  return shifts;
}

// Before names were checked, some were taken that only ICU has. They keep their meaning.
function nameInUse(timeZone: string): string {
  if (isTimeZone(timeZone) || moment.tz.zone(timeZone)) return timeZone;
  try {
    return new Intl.DateTimeFormat("en", { timeZone }).resolvedOptions().timeZone;
  } catch {
    return timeZone;
  }
}

function startsOfYear(shifts: readonly Shift[], year: number): Micros[] {
  const starts: Micros[] = [];
  let at = 0;
  for (let midnightMs = Date.UTC(year, 0, 1); midnightMs < Date.UTC(year + 1, 0, 1); midnightMs += DAY_MS) {
    while ((shifts[at]?.endMs ?? 0) <= midnightMs - DAY_MS) at++;
    starts.push(microsFromMs(startOfDay(shifts, at, midnightMs)));
  }
  return starts;
}

// The first instant at which the zone's calendar shows the day or a later one.
function startOfDay(shifts: readonly Shift[], from: number, midnightMs: number): number {
  let beginMs = shifts[from - 1]?.endMs ?? Number.NEGATIVE_INFINITY;
  for (let at = from; ; at++) {
    const { offsetMs, endMs } = shifts[at] as Shift;
    const startMs = Math.max(beginMs, midnightMs - offsetMs);
    // The last one has no end.
    if (startMs < endMs) return startMs;
    beginMs = endMs;
  }
}
