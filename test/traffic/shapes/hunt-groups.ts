import { happensInRow, tryInRow } from "../in-the-row.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

/**
 * Hunt groups: five tries between the same two numbers within 40 s; the last is answered. Carriers
 * report none of the other four, or all.
 */
export const huntGroups: TrafficShape = {
  name: "hunt-groups",
  play: (site, callCount) => site.fill(callCount, () => playHunt(site)),
};

function playHunt(site: TrafficSite): void {
  const { random } = site;
  const ends = site.ends({ kind: random.chance(0.5) ? "inbound" : "outbound" });
  const reportedShare = random.chance(0.5) ? 0 : 1;
  let inviteMs = site.drawMs();
  for (let tries = 0; tries < 4; tries += 1) {
    const setupMs = Math.round(random.int(4_000, 9_000) * site.pace);
    tryInRow(site, { planted: "hunt: try", ends, inviteMs, setupMs }, reportedShare);
    inviteMs += setupMs + random.int(30, 600);
  }
  happensInRow(site, {
    planted: "hunt: answered",
    ends,
    inviteMs,
    setupMs: random.int(1_500, 7_000),
    connectedMs: site.drawTalkMs(),
  });
}
