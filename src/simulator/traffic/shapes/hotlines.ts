import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

/** A day's calls of one line. */
const CALLS_OF_A_LINE = 160;

/** Hotlines and alarm lines: one number calls one other all day, every few seconds to minutes, and mostly for as long. */
export const hotlines: TrafficShape = {
  name: "hotlines",
  play: (site, callCount) => {
    for (let left = callCount; left > 0; left -= CALLS_OF_A_LINE) playLine(site, Math.min(left, CALLS_OF_A_LINE));
  },
};

function playLine(site: TrafficSite, count: number): void {
  const { random } = site;
  const ends = site.ends();
  const isAlarm = random.chance(0.5);
  let inviteMs = random.int(site.startMs, site.endMs - 6 * 3_600_000);
  for (let index = 0; index < count; index += 1) {
    const setupMs = isAlarm ? random.int(900, 2_500) : random.int(2_000, 9_000);
    const connectedMs = isAlarm ? random.int(3_000, 9_000) : random.int(4_000, 50_000);
    site.happened({ planted: isAlarm ? "alarm" : "hotline", ends, inviteMs, setupMs, connectedMs });
    inviteMs += setupMs + connectedMs + random.int(1_500, 90_000);
  }
}
