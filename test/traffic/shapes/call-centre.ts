import { happensInRow, tryInRow } from "../in-the-row.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

/**
 * A call centre: for some minutes a call every second or two, all to one number or all from it.
 * Callers hide their numbers, give up, and call again within seconds. A dialler tries a number
 * again until somebody answers.
 */
export const callCentre: TrafficShape = {
  name: "call-centre",
  play: (site, callCount) => site.fill(callCount, () => (site.random.chance(0.5) ? playCallers : playDialler)(site)),
};

function playCallers(site: TrafficSite): void {
  const { random } = site;
  const number = site.drawNumber();
  let inviteMs = site.drawMs();
  for (let left = random.int(20, 80); left > 0; left -= 1) {
    const kind = random.chance(0.15) ? "inboundRestricted" : "inbound";
    const ends = site.ends({ kind, number });
    const setupMs = random.int(1_500, 20_000);
    // Some give up in the queue and call again at once.
    if (random.chance(0.2)) {
      tryInRow(site, { planted: "gave up", ends, inviteMs, setupMs }, 0.3);
      happensInRow(site, { planted: "called again", ends, ...again(site, inviteMs + setupMs) });
    } else {
      happensInRow(site, { planted: "caller", ends, inviteMs, setupMs, connectedMs: site.drawTalkMs() });
    }
    inviteMs += Math.round(random.int(200, 3_500) * site.pace);
  }
}

function playDialler(site: TrafficSite): void {
  const { random } = site;
  const number = site.drawNumber();
  let inviteMs = site.drawMs();
  for (let left = random.int(20, 80); left > 0; left -= 1) {
    const ends = site.ends({ number });
    const setupMs = random.int(3_000, 25_000);
    if (random.chance(0.3)) {
      tryInRow(site, { planted: "dialler's try", ends, inviteMs, setupMs }, 0.3);
      happensInRow(site, { planted: "dialler again", ends, ...again(site, inviteMs + setupMs) });
    } else {
      happensInRow(site, { planted: "dialler", ends, inviteMs, setupMs, connectedMs: random.int(1_500, 60_000) });
    }
    inviteMs += Math.round(random.int(500, 2_500) * site.pace);
  }
}

function again(site: TrafficSite, endMs: number) {
  const { random } = site;
  const inviteMs = endMs + Math.round(random.int(700, 15_000) * site.pace);
  return { inviteMs, setupMs: random.int(1_500, 15_000), connectedMs: site.drawTalkMs() };
}
