import { DAY_MS, HOUR_MS } from "../../domain/time/instant.ts";
import { createRandom, type Random } from "../random.ts";
import type { SimulatedCarrier } from "../world.ts";
import { type Calendar, createCalendar, type TrunkWindow } from "./calendar.ts";
import { FAULTS, faultSpec, type PlantedFault, type TimeBounds } from "./faults.ts";
import { CallPlanner, type PlannedCall } from "./planned-call.ts";
import { clockOf, platformRecord } from "./platform-record.ts";
import { playCalls } from "./play-calls.ts";
import { planRepeatedCalls, planStorms } from "./repeated-calls.ts";

/** This many calls make every hour of the day busy on every trunk. */
const BUSY_CALLS = 50_000;
/**
 * Least pairs of an hour with a clock offset, and of a day with rounding: well over what a detector
 * needs.
 */
const LEAST_PER_HOUR = 60;
const LEAST_PER_DAY = 90;
/** Planted with a trunk's hour or day, or in rows. */
const IN_GROUPS: readonly PlantedFault[] = ["none", "clockOff", "roundedUp", "repeated", "storm"];

export interface ReconciliationWorldOptions {
  readonly seed: string;
  readonly carrier: SimulatedCarrier;
  /** About how many calls. More, if the faults need them. */
  readonly callCount: number;
  /** Share of calls with correlation ids on both sides, 0..1. */
  readonly correlatedShare: number;
  /** The first UTC day, `YYYY-MM-DD`. */
  readonly startDay: string;
  /** At least 3. Default: 5 for many calls. */
  readonly dayCount?: number;
  /** As agreed with the carrier. Default: a day. */
  readonly graceMs?: number;
  /** Default: 2,000. */
  readonly toleranceMs?: number;
  /**
   * How often to plant each single fault. Default: 0.65 % of the calls, at least `leastPerFault`.
   */
  readonly faults?: Partial<Record<PlantedFault, number>>;
  /** Default: 12. */
  readonly leastPerFault?: number;
}

/** Both sides' records of the same calls, with planted faults, and what must come out. */
export type ReconciliationWorld = ReturnType<typeof createReconciliationWorld>;

/**
 * Makes the platform's records of some days, the carrier's durations of the same calls with planted
 * faults, and the truth of each. One seed gives one world.
 * @example createReconciliationWorld({ seed: "1", carrier, callCount: 6_000, correlatedShare: 0.5,
 *   startDay: "2026-01-12" })
 */
export function createReconciliationWorld(options: ReconciliationWorldOptions) {
  const { graceMs = DAY_MS, toleranceMs = 2_000 } = options;
  const random = createRandom(`${options.seed}/reconciliation/${options.carrier.carrierId}`);
  const startMs = Date.parse(`${options.startDay}T00:00:00Z`);
  const isBusy = options.callCount >= BUSY_CALLS;
  const dayCount = options.dayCount ?? (isBusy ? 5 : 3);
  const calendar = createCalendar({ carrier: options.carrier, startMs, dayCount, isBusy }, random.fork("calendar"));
  const nowMs = calendar.endMs + 6 * HOUR_MS;
  const plans = planCalls(options, calendar, boundsOf(calendar, nowMs, graceMs), random);
  const calls = plans.map((plan, index) => {
    return { ...makeCall(plan, options.carrier, random.fork(`call/${index}`)), graceMs, toleranceMs };
  });
  return {
    carrier: options.carrier,
    /** When all of it is judged: six hours after the last day. */
    nowMs,
    graceMs,
    toleranceMs,
    ...playCalls(calls),
    /** In how many calls each fault was planted. */
    plantedCounts: countFaults(plans),
    /** The hours and days in which a trunk's clock is off or its lengths are rounded. */
    windows: calendar.windows,
  };
}

type Plan = PlannedCall<PlantedFault>;

function boundsOf(calendar: Calendar, nowMs: number, graceMs: number): TimeBounds {
  return {
    missedBeforeMs: nowMs - graceMs - 5 * HOUR_MS,
    lateBeforeMs: nowMs - graceMs - 29 * HOUR_MS,
    freshFromMs: Math.max(nowMs - graceMs + HOUR_MS, calendar.startMs),
    stuckBeforeMs: nowMs - 15 * HOUR_MS,
  };
}

function planCalls(
  options: ReconciliationWorldOptions,
  calendar: Calendar,
  bounds: TimeBounds,
  random: Random,
): Plan[] {
  const { callCount, carrier, correlatedShare } = options;
  const planner = new CallPlanner({ carrier, calendar, correlatedShare }, random.fork("planner"));
  const counts = faultCounts(options);
  const plans: Plan[] = [
    ...planWindows(callCount, calendar, planner, random.fork("windows")),
    ...planRepeatedCalls(callCount, { calendar, planner, random: random.fork("repeated") }),
    ...planStorms(counts("storm"), { trunkId: carrier.trunkIds[0], planner, random: random.fork("storms") }),
  ];
  for (const fault of Object.keys(FAULTS) as PlantedFault[]) {
    if (IN_GROUPS.includes(fault)) continue;
    const wish = faultSpec(fault).wish(bounds);
    for (let left = counts(fault); left > 0; left -= 1) plans.push(planner.plan(fault, wish));
  }
  const usual = faultSpec("none").wish(bounds);
  while (plans.length < callCount) plans.push(planner.plan("none", usual));
  return plans.sort((a, b) => a.inviteMs - b.inviteMs);
}

/**
 * Gives the hours and days of faults, and the honest hours around them, enough calls to be seen.
 */
function planWindows(callCount: number, calendar: Calendar, planner: CallPlanner, random: Random): Plan[] {
  const perHour = Math.max(LEAST_PER_HOUR, Math.ceil(callCount / 800));
  const perDay = Math.max(LEAST_PER_DAY, Math.ceil(callCount / 150));
  const plans: Plan[] = [];
  for (const window of [...calendar.windows, ...calendar.honestHours]) {
    const { trunkId, startMs, endMs, roundingS, offsetMs } = window;
    const fault = windowFault(window);
    const hourCount = (endMs - startMs) / HOUR_MS;
    const count = roundingS === undefined ? perHour * hourCount : perDay;
    for (let planned = 0; planned < count; ) {
      const ms = random.int(startMs, endMs - 1);
      const condition = calendar.conditionAt(trunkId, ms);
      if (condition?.offsetMs !== offsetMs) continue;
      plans.push(planner.planAt(fault, { trunkId, ms, condition }));
      planned += 1;
    }
  }
  return plans;
}

function windowFault({ offsetMs, roundingS }: TrunkWindow): PlantedFault {
  if (roundingS !== undefined) return "roundedUp";
  return offsetMs === 0 ? "none" : "clockOff";
}

function faultCounts({ callCount, faults, leastPerFault = 12 }: ReconciliationWorldOptions) {
  const each = Math.max(leastPerFault, Math.ceil(callCount * 0.0065));
  const often: Partial<Record<PlantedFault, number>> = {
    unansweredUnreported: Math.ceil(callCount * 0.03),
    inboundUnreported: Math.ceil(callCount * 0.03),
    // Repeated calls take some of each of these where it does not count: near another.
    droppedAtCarrier: Math.ceil(each * 1.2),
    carrierOnly: Math.ceil(each * 1.2),
    // Only where they are asked for.
    transferred: 0,
    translated: 0,
  };
  return (fault: PlantedFault) => faults?.[fault] ?? often[fault] ?? each;
}

function makeCall(plan: Plan, carrier: SimulatedCarrier, random: Random) {
  const { suits = () => true } = faultSpec(plan.fault);
  const recordId = `rec-${random.hex(14)}`;
  for (let draws = 0; draws < 1_000; draws += 1) {
    const cdr = platformRecord({ plan, carrier, recordId }, random);
    const clock = clockOf(cdr);
    if (suits(clock)) return { plan, cdr, clock, random };
  }
  throw new Error(`no call suits ${plan.fault}`);
}

function countFaults(plans: readonly Plan[]): Map<PlantedFault, number> {
  const groups = Map.groupBy(plans, ({ fault }) => fault);
  return new Map(Array.from(groups, ([fault, { length }]) => [fault, length]));
}
