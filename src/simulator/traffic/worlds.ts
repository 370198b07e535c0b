import { bills } from "./shapes/bills.ts";
import { clocksSet } from "./shapes/clocks-set.ts";
import { drift } from "./shapes/drift.ts";
import { hotlines } from "./shapes/hotlines.ts";
import { ordinary } from "./shapes/ordinary.ts";
import { quietZones } from "./shapes/quiet-zones.ts";
import { spellings } from "./shapes/spellings.ts";
import { summerTime } from "./shapes/summer-time.ts";
import { unnumberedSplits } from "./shapes/unnumbered-splits.ts";
import type { TrafficPlan, TrafficShape } from "./traffic-world.ts";

/** Every world of traffic, by name. */
export const TRAFFIC_WORLDS: readonly TrafficPlan[] = [
  beside("hotlines", hotlines),
  beside("drift", drift),
  beside("clocks set", clocksSet),
  beside("summer time", summerTime),
  beside("quiet zones", quietZones),
  beside("bills", bills),
  beside("spellings", spellings),
  beside("unnumbered splits", unnumberedSplits),
];

/** The world of a name. */
export function worldPlan(name: string): TrafficPlan {
  const plan = TRAFFIC_WORLDS.find((each) => each.name === name);
  if (!plan)
    throw new Error(`no world is named ${name}; there are ${TRAFFIC_WORLDS.map((each) => each.name).join(", ")}`);
  return plan;
}

/** One shape of traffic, three in four calls, beside everybody else's. */
function beside(name: string, ...shapes: TrafficShape[]): TrafficPlan {
  const share = 0.7 / shapes.length;
  return { name, shapes: () => [...shapes.map((shape) => ({ shape, share })), { shape: ordinary, share: 0.3 }] };
}
