import { describe, expect, it } from "vitest";
import { findTrafficShortfalls, formatTraffic, scoreTraffic } from "../../src/simulator/traffic/traffic-score.ts";
import { TRAFFIC_WORLDS } from "../../src/simulator/traffic/worlds.ts";
import { reconcileTraffic, trafficWorld } from "../support/traffic-worlds.ts";

/** With fewer the trunks whose clock or lengths are off have too few calls to be seen as what they are. */
const CALLS = 5_000;

// The same at 50,000 calls a world: `npm run accuracy -- --traffic`.
describe.for(TRAFFIC_WORLDS.map(({ name }) => name))("the calls of %s", (name) => {
  it.for([
    ["none", 0],
    ["half", 0.5],
    ["all", 1],
  ] as const)("are told for what they are, with correlation ids on %s of them", ([, correlatedShare]) => {
    const world = trafficWorld(name, { seed: "traffic", callCount: CALLS, correlatedShare });
    const found = scoreTraffic(world, reconcileTraffic(world));
    const shortfalls = findTrafficShortfalls(found, { hasAllIds: correlatedShare === 1 });
    expect(shortfalls, formatTraffic(name, found)).toEqual([]);
  });
});
