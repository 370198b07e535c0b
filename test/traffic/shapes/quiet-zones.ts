import { happenedOn, playTrunks } from "../clock-faults.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

const HOUR_MS = 3_600_000;
const OFF_BY_MS = [HOUR_MS, -HOUR_MS, 5.5 * HOUR_MS, 5.75 * HOUR_MS, -3.5 * HOUR_MS, 2 * HOUR_MS + 30_000];
/** Calls of one trunk in all its days. */
const CALLS_OF_A_TRUNK = [40, 90, 160];

/** Trunks with a call or two an hour, and a clock in another zone, always or for 36 hours. */
export const quietZones: TrafficShape = {
  name: "quiet-zones",
  play: (site, callCount) => playTrunks(callCount, CALLS_OF_A_TRUNK, (index, count) => playTrunk(site, index, count)),
};

function playTrunk(site: TrafficSite, index: number, count: number): void {
  const { random, startMs } = site;
  const offMs = OFF_BY_MS[index % OFF_BY_MS.length] ?? 0;
  const isAlways = random.chance(0.6);
  const fromMs = isAlways ? Number.NEGATIVE_INFINITY : startMs + random.int(10, 30) * HOUR_MS;
  const untilMs = isAlways ? Number.POSITIVE_INFINITY : fromMs + 36 * HOUR_MS;
  const offsetAt = (ms: number) => (ms >= fromMs && ms < untilMs ? offMs : 0);
  const planted = `quiet, ${offMs / HOUR_MS} h${isAlways ? "" : " at times"}`;
  const trunk = { planted, trunkId: `quiet-${index + 1}`, offsetAt };
  for (let left = count; left > 0; left -= 1) happenedOn(site, trunk, site.drawMs());
}
