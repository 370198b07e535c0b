import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../domain/time/instant.ts";
import { hourIn } from "../../domain/time/time-zone.ts";
import type { Random } from "../random.ts";
import type { SimulatedCarrier } from "../world.ts";

/** Calls by local hour, relative to the busiest: nights are quiet, noon dips. */
export const DIURNAL = [2, 1, 1, 1, 2, 5, 15, 40, 75, 95, 100, 95, 70, 85, 95, 95, 85, 65, 45, 35, 25, 15, 8, 4];
/** Around a step of a clock. It is longer than any skew, so each hour has one offset only. */
const STEP_PAUSE_MS = 2 * MINUTE_MS;
/**
 * Around a change of rounding. It is longer than a European zone is off UTC, so it does not matter
 * whose midnight parts the days.
 */
const MIDNIGHT_PAUSE_MS = 80 * MINUTE_MS;

/** What a trunk does to its calls at a time. */
export interface TrunkCondition {
  /** The carrier's clock: carrier minus platform, milliseconds. */
  readonly offsetMs: number;
  /** Seconds to whose multiples the carrier rounds connected durations up, without saying so. */
  readonly roundingS?: number;
}

/** A stretch of time of one trunk, by the platform's clock, without its end. */
export interface TrunkWindow extends TrunkCondition {
  readonly trunkId: string;
  readonly startMs: number;
  readonly endMs: number;
}

export interface Place {
  readonly trunkId: string;
  readonly ms: number;
  readonly condition: TrunkCondition;
}

/** Where a call may be placed. */
export interface PlaceRule {
  /** What the trunk may do: nothing; have a wrong clock; anything. */
  readonly condition: "plain" | "unrounded" | "any";
  readonly fromMs?: number;
  readonly untilMs?: number;
}

/** What each trunk does, and when. */
export type Calendar = ReturnType<typeof createCalendar>;

interface CalendarOptions {
  readonly carrier: SimulatedCarrier;
  readonly startMs: number;
  readonly dayCount: number;
  /**
   * Whether every hour of the day has dozens of calls on every trunk. If not, a trunk with a wrong
   * clock has no other calls.
   */
  readonly isBusy: boolean;
}

/**
 * Makes a calendar in which five trunks misbehave and the carrier's own do not. Two round up (to 6
 * s and 30 s on alternate days, to 60 s). One is skewed for some hours either way, one is an hour
 * ahead for some hours, one five and a half. A trunk whose clock is set back stays closed until the
 * hours that it told twice are over, so no hour of its clock has two offsets.
 */
export function createCalendar(options: CalendarOptions, random: Random) {
  const { carrier, startMs, dayCount, isBusy } = options;
  const endMs = startMs + dayCount * DAY_MS;
  const trunks = trunkNames(carrier);
  const clockWindows = [...skewWindows(trunks.skewed, startMs, random), ...zoneWindows(trunks, startMs)];
  /** Hours in which a trunk's clock is off, and days on which it rounds. */
  const windows: readonly TrunkWindow[] = [...clockWindows, ...roundingWindows(trunks, options)];
  const closures = [...clockWindows.flatMap(closuresOfClock), ...windows.filter(isRounded).flatMap(closuresOfRounding)];
  const closedBy = Map.groupBy(closures, ({ trunkId }) => trunkId);
  const windowsBy = Map.groupBy(windows, ({ trunkId }) => trunkId);
  /** What the trunk does then; undefined: it is closed. */
  const conditionAt = (trunkId: string, ms: number): TrunkCondition | undefined => {
    if (closedBy.get(trunkId)?.some((closure) => covers(closure, ms))) return undefined;
    return windowsBy.get(trunkId)?.find((window) => covers(window, ms)) ?? HONEST;
  };
  const daytimeTrunks = new Set([trunks.skewed, trunks.hourAhead, trunks.halfHourAhead]);
  const open = [...carrier.trunkIds, trunks.rounding, trunks.roundingMinutes, ...(isBusy ? daytimeTrunks : [])];
  const drawMs = hourlyDraw(carrier.timeZone, startMs, dayCount);
  const isOpen = (trunkId: string, ms: number) => !daytimeTrunks.has(trunkId) || isDaytime(ms, carrier.timeZone);
  /** Draws a place by the rule, more often in busy hours. */
  const draw = (stream: Random, rule: PlaceRule): Place => {
    const { fromMs = startMs, untilMs = endMs } = rule;
    for (let draws = 0; draws < 10_000; draws += 1) {
      const [trunkId, ms] = [stream.pick(open), drawMs(stream)];
      if (ms < fromMs || ms >= untilMs || !isOpen(trunkId, ms)) continue;
      const condition = conditionAt(trunkId, ms);
      if (condition && suits(condition, rule)) return { trunkId, ms, condition };
    }
    throw new Error("the calendar has no such place");
  };
  /** The hours before and after a clock is off, in which it is right. */
  const honestHours = clockWindows.flatMap(honestHoursOf);
  return { startMs, endMs, windows, honestHours, draw, conditionAt };
}

const HONEST: TrunkCondition = { offsetMs: 0 };

type TrunkNames = ReturnType<typeof trunkNames>;

function trunkNames({ trunkIds }: SimulatedCarrier) {
  const base = trunkIds[0].replace(/\d+$/, "");
  return {
    rounding: `${base}11`,
    roundingMinutes: `${base}12`,
    skewed: `${base}13`,
    hourAhead: `${base}14`,
    halfHourAhead: `${base}15`,
  };
}

function skewWindows(trunkId: string, startMs: number, random: Random): TrunkWindow[] {
  const ahead = hours(trunkId, startMs, [8, 11], random.int(5_000, 45_000));
  const behind = hours(trunkId, startMs + DAY_MS, [13, 16], -random.int(5_000, 45_000));
  return [ahead, behind];
}

function zoneWindows({ hourAhead, halfHourAhead }: TrunkNames, startMs: number): TrunkWindow[] {
  return [hours(hourAhead, startMs, [8, 11], HOUR_MS), hours(halfHourAhead, startMs + DAY_MS, [7, 10], 5.5 * HOUR_MS)];
}

/** The last day does not round, so a rule of one day must not be used on another. */
function roundingWindows({ rounding, roundingMinutes }: TrunkNames, { startMs, dayCount }: CalendarOptions) {
  return Array.from({ length: dayCount - 1 }, (_, day) => startMs + day * DAY_MS).flatMap((dayMs, day) => [
    { ...hours(rounding, dayMs, [0, 24], 0), roundingS: day % 2 === 0 ? 6 : 30 },
    { ...hours(roundingMinutes, dayMs, [0, 24], 0), roundingS: 60 },
  ]);
}

function hours(trunkId: string, dayMs: number, [from, until]: [number, number], offsetMs: number): TrunkWindow {
  return { trunkId, startMs: dayMs + from * HOUR_MS, endMs: dayMs + until * HOUR_MS, offsetMs };
}

function closuresOfClock(window: TrunkWindow): TrunkWindow[] {
  return [
    around(window, window.startMs, STEP_PAUSE_MS),
    around(window, window.endMs, STEP_PAUSE_MS, reopensMs(window)),
  ];
}

/** When its clock is right again and the hours that it told twice are over. */
function reopensMs({ endMs, offsetMs }: TrunkWindow): number {
  return offsetMs < HOUR_MS ? endMs : Math.ceil((endMs + offsetMs) / HOUR_MS) * HOUR_MS;
}

function closuresOfRounding(window: TrunkWindow): TrunkWindow[] {
  return [window.startMs, window.endMs].map((ms) => around(window, ms, MIDNIGHT_PAUSE_MS));
}

function around(window: TrunkWindow, fromMs: number, pauseMs: number, untilMs = fromMs): TrunkWindow {
  return { ...window, startMs: fromMs - pauseMs, endMs: untilMs + pauseMs };
}

function honestHoursOf(window: TrunkWindow): TrunkWindow[] {
  const afterMs = reopensMs(window);
  return [
    { trunkId: window.trunkId, offsetMs: 0, startMs: window.startMs - HOUR_MS, endMs: window.startMs },
    { trunkId: window.trunkId, offsetMs: 0, startMs: afterMs, endMs: afterMs + HOUR_MS },
  ];
}

function isRounded({ roundingS }: TrunkWindow): boolean {
  return roundingS !== undefined;
}

function covers({ startMs, endMs }: TrunkWindow, ms: number): boolean {
  return ms >= startMs && ms < endMs;
}

function suits({ offsetMs, roundingS }: TrunkCondition, { condition }: PlaceRule): boolean {
  if (condition === "any") return true;
  return roundingS === undefined && (condition === "unrounded" || offsetMs === 0);
}

function isDaytime(ms: number, zone: string): boolean {
  const hour = hourIn(zone, ms);
  return hour >= 7 && hour < 20;
}

/** Draws instants of whole days, more often in busy local hours. */
export function hourlyDraw(zone: string, startMs: number, dayCount: number): (random: Random) => number {
  const starts = Array.from({ length: dayCount * 24 }, (_, hour) => startMs + hour * HOUR_MS);
  let sum = 0;
  const sums = starts.map((ms) => {
    sum += DIURNAL[hourIn(zone, ms)] ?? 0;
    return sum;
  });
  return (random) => {
    const point = random.next() * sum;
    const hour = sums.findIndex((upTo) => point < upTo);
    return (starts[hour] ?? startMs) + random.int(0, HOUR_MS - 1);
  };
}
