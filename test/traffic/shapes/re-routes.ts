import { switchHand } from "../../../src/simulator/reconciliation/carrier-record.ts";
import { faultSpec } from "../../../src/simulator/reconciliation/faults.ts";
import { type MadeCall, type PlayedCall, playPair } from "../../../src/simulator/reconciliation/played-call.ts";
import { ofOneDialog } from "../in-the-row.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

/**
 * Calls that one trunk refuses and another takes: two platform records of one Call-ID, with 503 and
 * with 200, a fraction of a second apart. The carrier writes the second, at times both, and mostly
 * in whole seconds.
 */
export const reRoutes: TrafficShape = {
  name: "re-routes",
  play: (site, callCount) => site.fill(callCount, () => playReRoute(site)),
};

function playReRoute(site: TrafficSite): void {
  const { random } = site;
  const [ends, inviteMs, signalling] = [site.ends(), site.drawMs(), site.drawSignalling()];
  const [first, second = first] = site.carrier.trunkIds;
  const refusedMs = random.int(40, 900);
  const isReported = random.chance(0.25);
  const refused = { planted: "re-route: refused", ends, inviteMs, signalling, trunkId: first, setupMs: refusedMs };
  const leg = site.happened(refused, isReported ? playRefusedPair : faultSpec("unansweredUnreported").play);
  if (leg.made.cdr.outcome) leg.made.cdr.outcome.finalSipCode = 503;
  const isWhole = random.chance(0.7);
  const taken = {
    planted: "re-route: taken",
    ends,
    inviteMs: inviteMs + refusedMs + random.int(5, 400),
    signalling,
    trunkId: second,
    setupMs: random.int(1_500, 9_000),
    connectedMs: random.chance(0.5) ? random.int(3_000, 9_000) : site.drawTalkMs(),
  };
  site.happened(
    taken,
    ofOneDialog(leg, (made) => playPair(made, isWhole ? { hand: wholeSeconds(made) } : {})),
  );
}

function playRefusedPair(made: MadeCall): PlayedCall {
  return faultSpec("unansweredReported").play(made);
}

function wholeSeconds(made: MadeCall) {
  return { ...switchHand(made, made.random), resolutionMs: 1_000 };
}
