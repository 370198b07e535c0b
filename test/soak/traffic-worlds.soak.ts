import { describe, expect, it } from "vitest";
import { reconcileTraffic, trafficWorld } from "../support/traffic-worlds.ts";
import { findTrafficShortfalls, formatTraffic, scoreTraffic } from "../traffic/traffic-score.ts";
import { TRAFFIC_WORLDS } from "../traffic/worlds.ts";

/**
 * With fewer the trunks whose clock or lengths are off have too few calls to be seen as what they
 * are.
 */
const CALLS = 5_000;

// At 50,000 calls, with ids on none, half and all of the calls of each: `npm run accuracy --
// --traffic`.
describe("the calls of a world of traffic", () => {
  it.for(TRAFFIC_WORLDS.map(({ name }) => name))("are told for what they are without ids: %s", (name) => {
    expectBounds(name, 0);
  });

  it.for([0.5, 1])("of every kind are told for what they are, with ids on a share of %s of them", (correlatedShare) => {
    for (const name of ["mixed", "mixed-trunks"]) expectBounds(name, correlatedShare);
  });
});

function expectBounds(name: string, correlatedShare: number): void {
  const world = trafficWorld(name, { seed: "traffic", callCount: CALLS, correlatedShare });
  const found = scoreTraffic(world, reconcileTraffic(world));
  const shortfalls = findTrafficShortfalls(found, { hasAllIds: correlatedShare === 1 });
  expect(shortfalls, formatTraffic(name, found)).toEqual([]);
}
