import { happenedOn, type OffTrunk } from "../clock-faults.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** Where Europe's clocks change on the second day of a world: at 01:00 UTC. */
const CHANGE_MS = 25 * HOUR_MS;
/** Before a clock is set: longer than any call rings. */
const SETUP_MS = 5 * MINUTE_MS;

/**
 * Carriers that convert local time wrongly when summer begins or ends. They keep the old offset
 * until somebody sees it in the middle of an hour, or take one of the two equal hours for the
 * other. Before and after, their clocks are right.
 */
export const summerTime: TrafficShape = {
  name: "summer-time",
  play: (site, callCount) => {
    const trunks = trunksOf(site);
    const each = Math.ceil(callCount / trunks.length);
    for (const trunk of trunks) {
      for (let left = each; left > 0; left -= 1) happenedOn(site, trunk, drawMs(site, trunk));
    }
  },
};

interface ChangingTrunk extends OffTrunk {
  /** Where its calls go wrong, by the platform's clock. */
  readonly fromMs: number;
  readonly untilMs: number;
}

function trunksOf({ random, startMs }: TrafficSite): ChangingTrunk[] {
  const changeMs = startMs + CHANGE_MS;
  const seenMs = changeMs + random.int(6, 9) * HOUR_MS + random.int(15, 45) * MINUTE_MS;
  return [
    changing("summer begins, seen in the morning", HOUR_MS, changeMs, seenMs),
    changing("summer ends, seen in the morning", -HOUR_MS, changeMs, seenMs),
    changing("the first of two hours read as the second", HOUR_MS, changeMs - HOUR_MS, changeMs),
    changing("the second of two hours read as the first", -HOUR_MS, changeMs, changeMs + HOUR_MS),
  ];
}

function changing(planted: string, offsetMs: number, fromMs: number, untilMs: number): ChangingTrunk {
  const isAtStep = (ms: number) => [fromMs, untilMs].some((stepMs) => ms > stepMs - SETUP_MS && ms < stepMs);
  const offsetAt = (ms: number) => {
    if (isAtStep(ms)) return undefined;
    return ms >= fromMs && ms < untilMs ? offsetMs : 0;
  };
  return { planted, trunkId: planted.replaceAll(/[ ,]+/g, "-"), fromMs, untilMs, offsetAt };
}

// Nights have few calls: one in six is where the clock is wrong, and as many around it.
function drawMs(site: TrafficSite, { fromMs, untilMs }: ChangingTrunk): number {
  const { random } = site;
  switch (random.weighted({ wrong: 1, around: 1, ever: 4 })) {
    case "wrong":
      return random.int(fromMs, untilMs - 1);
    case "around":
      return random.int(fromMs - 2 * HOUR_MS, untilMs + 2 * HOUR_MS);
    default:
      return site.drawMs();
  }
}
