// npm run accuracy -- --traffic: what reconciliation finds in each world of traffic, with
// correlation ids on none, half and all of the calls.

import { reconcileTraffic, trafficWorld } from "../test/support/traffic-worlds.ts";
import { findTrafficShortfalls, formatTraffic, scoreTraffic } from "../test/traffic/traffic-score.ts";
import { TRAFFIC_WORLDS } from "../test/traffic/worlds.ts";

/** What to measure. */
export interface TrafficRun {
  readonly seed: string;
  readonly callCount: number;
  readonly shares: readonly number[];
  /** By name; empty: all. */
  readonly worlds: readonly string[];
  /** How many calls that came out wrong to print of each. */
  readonly wrong: number;
}

/** Each status and cause that a world has is planted in so many of its calls: 300 in 50,000. */
const LEAST_PLANTED_SHARE = 0.006;

/** Prints the figures of each world, and what is below a bound. False: something is. */
export function measureTraffic({ seed, callCount, shares, worlds, wrong }: TrafficRun): boolean {
  const names = worlds.length === 0 ? TRAFFIC_WORLDS.map(({ name }) => name) : worlds;
  let holds = true;
  for (const correlatedShare of shares) {
    process.stdout.write(
      `\n== ${callCount} calls a world, correlation ids on ${correlatedShare * 100} % of them, seed ${seed} ==\n`,
    );
    for (const name of names) {
      const world = trafficWorld(name, { seed, callCount, correlatedShare });
      const found = scoreTraffic(world, reconcileTraffic(world));
      process.stdout.write(`${formatTraffic(name, found)}\n`);
      for (const each of found.score.wrong.slice(0, wrong)) process.stdout.write(`${JSON.stringify(each)}\n`);
      const leastPlanted = Math.floor(callCount * LEAST_PLANTED_SHARE);
      const shortfalls = findTrafficShortfalls(found, { leastPlanted, hasAllIds: correlatedShare === 1 });
      if (shortfalls.length > 0) process.stdout.write(`  BELOW A BOUND: ${shortfalls.join("; ")}\n`);
      holds &&= shortfalls.length === 0;
    }
  }
  return holds;
}
