import { happenedOn, type OffTrunk } from "../clock-faults.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

const HOUR_MS = 3_600_000;
/** Milliseconds an hour. */
const DRIFT_MS = 300;
/** If a clock is about as far off as any two are, chance decides: the trunk rests. */
const TOLD_FROM_MS = { least: 1_000, most: 3_200 };
const DAY_MS = 86_400_000;

/** Clocks that gain or lose 0.3 s an hour, on trunks with many calls and with a few. */
export const drift: TrafficShape = {
  name: "drift",
  play: (site, callCount) => {
    const trunks = trunksOf(site);
    const sum = trunks.reduce((total, { weight }) => total + weight, 0);
    for (const trunk of trunks) {
      for (let left = Math.round((callCount * trunk.weight) / sum); left > 0; left -= 1) {
        happenedOn(site, trunk, site.drawMs());
      }
    }
  },
};

interface DriftingTrunk extends OffTrunk {
  readonly weight: number;
}

function trunksOf({ random, startMs, endMs }: TrafficSite): DriftingTrunk[] {
  const days = (endMs - startMs) / DAY_MS;
  const gained = days * 24 * DRIFT_MS;
  const firsts = [0, -gained / 2, random.int(5_000, 50_000), -random.int(5_000, 50_000), random.int(70_000, 300_000)];
  return firsts.map((firstMs, index) => ({
    planted: "drift",
    trunkId: `drift-${index + 1}`,
    weight: index % 2 === 0 ? 10 : 3,
    offsetAt: (ms) => {
      const hour = Math.floor((ms - startMs) / HOUR_MS);
      const middleMs = Math.abs(firstMs + (hour + 0.5) * DRIFT_MS);
      if (middleMs > TOLD_FROM_MS.least && middleMs < TOLD_FROM_MS.most) return undefined;
      return Math.round(firstMs + ((ms - startMs) / HOUR_MS) * DRIFT_MS);
    },
  }));
}
