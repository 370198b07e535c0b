import { faultSpec, type PlantedFault } from "../../src/simulator/reconciliation/faults.ts";
import type { MadeCall, PlayedCall } from "../../src/simulator/reconciliation/played-call.ts";
import type { RealCall, TrafficCall, TrafficSite } from "./site.ts";

/** What can go wrong with an answered call among others of its kind, relative to each other. */
const ANSWERED = {
  droppedAtCarrier: 20,
  carrierOnly: 20,
  doubledAtCarrier: 20,
  failoverTwin: 15,
  lengthMismatch: 15,
  answeredAtPlatformOnly: 10,
} satisfies Partial<Record<PlantedFault, number>>;
/** What one side lacks must be missed by now. */
const MISSED: readonly PlantedFault[] = ["droppedAtCarrier", "carrierOnly"];

/** A call in a row of calls: mostly both sides tell it alike, a share has a fault of its own. */
export function happensInRow(site: TrafficSite, call: RealCall): TrafficCall {
  const fault = drawFault(site, call);
  if (fault === "none") return site.happened(call);
  return site.happened({ ...call, planted: `${call.planted}: ${fault}` }, faultSpec(fault).play);
}

/** A try that nobody answered; the carrier need not report it, and at this share it does. */
export function tryInRow(site: TrafficSite, call: Omit<RealCall, "connectedMs">, reportedShare: number): TrafficCall {
  const fault = site.random.chance(reportedShare) ? "unansweredReported" : "unansweredUnreported";
  return site.happened(call, faultSpec(fault).play);
}

/** The second leg has the ids of the first one, but for the tag of whoever answered it. */
export function ofOneDialog(first: TrafficCall, play: (made: MadeCall) => PlayedCall) {
  return (made: MadeCall): PlayedCall => {
    const { correlation } = first.made.cdr;
    if (correlation) made.cdr.correlation = correlation;
    return play(made);
  };
}

function drawFault({ random, bounds, faultShare }: TrafficSite, { inviteMs }: RealCall): PlantedFault {
  const [isFaulty, fault] = [random.chance(faultShare), random.weighted(ANSWERED)];
  if (!isFaulty) return "none";
  return MISSED.includes(fault) && inviteMs >= bounds.missedBeforeMs ? "none" : fault;
}
