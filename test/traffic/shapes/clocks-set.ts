import { happenedOn, playTrunks } from "../clock-faults.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** By what clocks are off before they are set right, milliseconds. */
const OFF_BY_MS = [20_000, -35_000, 95_000, -95_000, 400_000, HOUR_MS, -HOUR_MS, 5.5 * HOUR_MS, HOUR_MS + 47_000];
/** Calls of one trunk, from a few an hour to one a minute. */
const CALLS_OF_A_TRUNK = [180, 500, 1_800];
/** An offset that fewer calls have shows itself to nobody. */
const LEAST_EITHER_SIDE = 20;
const SETUP_MS = 5 * MINUTE_MS;

/** Clocks that are set right, or wrong, in the middle of an hour: while calls go on. */
export const clocksSet: TrafficShape = {
  name: "clocks-set",
  play: (site, callCount) => playTrunks(callCount, CALLS_OF_A_TRUNK, (index, count) => playTrunk(site, index, count)),
};

function playTrunk(site: TrafficSite, index: number, count: number): void {
  const { random } = site;
  const offMs = OFF_BY_MS[index % OFF_BY_MS.length] ?? 0;
  const isSetRight = random.chance(0.7);
  const times = Array.from({ length: count }, () => site.drawMs()).sort((a, b) => a - b);
  const setMs = inMiddleOfHour(times[random.int(LEAST_EITHER_SIDE, count - LEAST_EITHER_SIDE)] ?? 0);
  const offsetAt = (ms: number) => {
    // A record whose invite and answer were written by two clocks is another story.
    if (ms > setMs - SETUP_MS && ms < setMs) return undefined;
    return ms < setMs === isSetRight ? offMs : 0;
  };
  const trunk = { planted: `set by ${offMs / 1_000} s`, trunkId: `set-${index + 1}`, offsetAt };
  for (const ms of times) happenedOn(site, trunk, ms);
}

function inMiddleOfHour(ms: number): number {
  const hourMs = Math.floor(ms / HOUR_MS) * HOUR_MS;
  return Math.min(Math.max(ms, hourMs + 10 * MINUTE_MS), hourMs + 50 * MINUTE_MS);
}
