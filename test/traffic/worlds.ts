import { createRandom } from "../../src/simulator/random.ts";
import { bills } from "./shapes/bills.ts";
import { callCentre } from "./shapes/call-centre.ts";
import { clocksSet } from "./shapes/clocks-set.ts";
import { conferences } from "./shapes/conferences.ts";
import { failoverCopies, filesTwice } from "./shapes/copies.ts";
import { drift } from "./shapes/drift.ts";
import { falseAnswer } from "./shapes/false-answer.ts";
import { huntGroups } from "./shapes/hunt-groups.ts";
import { alarmLines, hotlines } from "./shapes/lines.ts";
import { ordinary } from "./shapes/ordinary.ts";
import { quietZones } from "./shapes/quiet-zones.ts";
import { reRoutes } from "./shapes/re-routes.ts";
import { spellings } from "./shapes/spellings.ts";
import { summerTime } from "./shapes/summer-time.ts";
import { transfers } from "./shapes/transfers.ts";
import { unnumberedSplits } from "./shapes/unnumbered-splits.ts";
import type { TrafficMix, TrafficPlan, TrafficShape } from "./traffic-world.ts";

/** What callers do. */
const CALLERS = [
  callCentre,
  huntGroups,
  hotlines,
  alarmLines,
  reRoutes,
  transfers,
  conferences,
  falseAnswer,
  failoverCopies,
  filesTwice,
];
/** What a carrier does to its trunks' records, whoever calls. */
const TRUNKS = [drift, clocksSet, summerTime, quietZones, bills, spellings, unnumberedSplits];

/** Every world of traffic, by name. */
export const TRAFFIC_WORLDS: readonly TrafficPlan[] = [
  ...[...CALLERS, ...TRUNKS].map(beside),
  { name: "mixed", draw: (seed) => drawMixed(seed, CALLERS) },
  { name: "mixed-trunks", draw: (seed) => drawMixed(`${seed}/trunks`, TRUNKS) },
];

export function worldPlan(name: string): TrafficPlan {
  const plan = TRAFFIC_WORLDS.find((each) => each.name === name);
  if (plan) return plan;
  throw new Error(`no world is named ${name}; there are ${TRAFFIC_WORLDS.map((each) => each.name).join(", ")}`);
}

/** One shape of traffic beside everybody else's calls, under the shape's name. */
function beside(shape: TrafficShape): TrafficPlan {
  return {
    name: shape.name,
    draw: () => ({
      shapes: [
        { shape, share: 0.7 },
        { shape: ordinary, share: 0.3 },
      ],
    }),
  };
}

/** All shapes at once, each as often, as crowded and as faulty as the seed says. */
function drawMixed(seed: string, kinds: readonly TrafficShape[]): TrafficMix {
  const random = createRandom(`${seed}/mixed`);
  const drawn = kinds.map((shape) => ({ shape, share: 0.05 + random.next() }));
  const sum = drawn.reduce((total, { share }) => total + share, 0);
  return {
    shapes: [...drawn, { shape: ordinary, share: sum * 0.45 }],
    faultShare: 0.01 + random.next() * 0.09,
    pace: 0.4 + random.next() * 1.6,
  };
}
