/** Microseconds since 1970-01-01T00:00:00Z: the resolution of PostgreSQL's timestamptz. */
export type Micros = bigint;

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** 24 hours. */
export const DAY: Micros = 86_400_000_000n;

export function earlier(one: Micros, other: Micros): Micros {
  return one < other ? one : other;
}

export function later(one: Micros, other: Micros): Micros {
  return one > other ? one : other;
}

/** Milliseconds since the epoch, as `Date.now()` gives them, as an instant. */
export function microsFromMs(ms: number): Micros {
  return BigInt(Math.round(ms)) * 1000n;
}

/** An instant in whole milliseconds since the epoch, rounded down. */
export function msFromMicros(micros: Micros): number {
  return Number(floorDiv(micros, 1000n));
}

/** A protobuf Timestamp as an instant; anything finer than a microsecond is cut. */
export function microsFromTimestamp(timestamp: { seconds: bigint; nanos: number }): Micros {
  return timestamp.seconds * 1_000_000n + BigInt(Math.floor(timestamp.nanos / 1000));
}

/** An instant as the seconds and nanos of a protobuf Timestamp. */
export function timestampFromMicros(micros: Micros): { seconds: bigint; nanos: number } {
  const seconds = floorDiv(micros, 1_000_000n);
  return { seconds, nanos: Number(micros - seconds * 1_000_000n) * 1000 };
}

/** An instant as ISO 8601 text in UTC with six decimals. Range: years 1 to 9999. */
export function isoFromMicros(micros: Micros): string {
  const seconds = floorDiv(micros, 1_000_000n);
  const fraction = String(micros - seconds * 1_000_000n).padStart(6, "0");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** The UTC day of an instant, `YYYY-MM-DD`. */
export function utcDay(micros: Micros): string {
  return new Date(msFromMicros(micros)).toISOString().slice(0, 10);
}

/** The calendar's ends: those of protobuf's Timestamp. PostgreSQL's calendar has no year 0. */
const FIRST_DAY = "0001-01-01";
const LAST_DAY = "9999-12-31";

/** Whether a text is a real day, `YYYY-MM-DD`, of the years 1 to 9999. */
export function isDay(text: string): boolean {
  return dayNumber(text) !== undefined;
}

/** Days since 1970-01-01; undefined: not such a day. */
export function dayNumber(day: string): number | undefined {
  if (day === lastDay) return lastDayNumber;
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day) || day < FIRST_DAY) return undefined;
  const ms = midnightMs(day);
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== day) return undefined;
  lastDay = day;
  lastDayNumber = ms / DAY_MS;
  return lastDayNumber;
}

// An upload repeats the same day.
let lastDay = "";
let lastDayNumber: number | undefined;

/**
 * Whether a text like a time (RFC 3339) has a real day and hour: JavaScript takes 31 September for
 * 1 October, and 24:00 for the next day.
 */
export function isTimestampText(text: string): boolean {
  const [, day = "", hour = ""] =
    /^(\d{4}-\d{2}-\d{2})T(\d{2}):\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/.exec(text) ?? [];
  return isDay(day) && hour < "24";
}

/** The day so many days after (negative: before) a day, at most the calendar's last (first) day. */
export function addDays(day: string, days: number): string {
  const ms = midnightMs(day) + days * DAY_MS;
  if (ms <= midnightMs(FIRST_DAY)) return FIRST_DAY;
  return ms >= midnightMs(LAST_DAY) ? LAST_DAY : new Date(ms).toISOString().slice(0, 10);
}

function midnightMs(day: string): number {
  return Date.parse(`${day}T00:00:00Z`);
}

function floorDiv(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor < 0n ? quotient - 1n : quotient;
}
