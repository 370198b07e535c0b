import { happensInRow } from "../in-the-row.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

/**
 * Conferences: everybody dials the same number within a minute, some with their number hidden, and
 * all hang up within a second. Or the conference calls everybody at once. Who drops out dials in
 * again.
 */
export const conferences: TrafficShape = {
  name: "conferences",
  play: (site, callCount) => site.fill(callCount, () => (site.random.chance(0.6) ? playDialIn : playDialOut)(site)),
};

function playDialIn(site: TrafficSite): void {
  const { random } = site;
  const number = site.drawNumber();
  const beginMs = site.drawMs();
  const endMs = beginMs + random.int(3, 50) * 60_000;
  for (let left = random.int(3, 12); left > 0; left -= 1) {
    const ends = site.ends({ number, kind: random.chance(0.25) ? "inboundRestricted" : "inbound" });
    const inviteMs = beginMs + Math.round(random.int(0, 60_000) * site.pace);
    if (random.chance(0.15)) playDroppedOut(site, { ends, inviteMs, endMs });
    else happensInRow(site, { planted: "conference: in", ends, ...legUntil(site, inviteMs, endMs) });
  }
}

function playDroppedOut(site: TrafficSite, { ends, inviteMs, endMs }: Leg): void {
  const first = legUntil(site, inviteMs, inviteMs + site.random.int(8_000, 40_000));
  happensInRow(site, { planted: "conference: dropped out", ends, ...first });
  const againMs = inviteMs + first.setupMs + first.connectedMs + site.random.int(2_000, 12_000);
  happensInRow(site, {
    planted: "conference: in again",
    ends,
    ...legUntil(site, againMs, Math.max(endMs, againMs + 60_000)),
  });
}

interface Leg {
  readonly ends: ReturnType<TrafficSite["ends"]>;
  readonly inviteMs: number;
  readonly endMs: number;
}

function playDialOut(site: TrafficSite): void {
  const { random } = site;
  const number = site.drawNumber();
  const beginMs = site.drawMs();
  const endMs = beginMs + random.int(3, 50) * 60_000;
  for (let left = random.int(3, 12); left > 0; left -= 1) {
    const leg = legUntil(site, beginMs + random.int(0, 400), endMs);
    happensInRow(site, { planted: "conference: out", ends: site.ends({ number }), ...leg });
  }
}

function legUntil({ random }: TrafficSite, inviteMs: number, endMs: number) {
  const setupMs = random.int(800, 5_000);
  return { inviteMs, setupMs, connectedMs: Math.max(1_000, endMs + random.int(0, 900) - inviteMs - setupMs) };
}
