import type { TrunkCondition } from "../../../src/simulator/reconciliation/calendar.ts";
import { FAULTS, faultSpec, type PlantedFault } from "../../../src/simulator/reconciliation/faults.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

/** Faults that a trunk has, that stand in rows, or that need another agreement. */
const NOT_HERE: readonly PlantedFault[] = [
  ...(["none", "clockOff", "roundedUp", "repeated", "storm"] as const),
  ...(["inboundUnreported", "inboundAtCarrierOnly"] as const),
];
const SINGLE = (Object.keys(FAULTS) as PlantedFault[]).filter((fault) => !NOT_HERE.includes(fault));
/** Share of the ordinary calls that each fault is planted in. */
const SHARE_EACH = 0.02;

/**
 * Everybody else's calls: between any two, at any time, with every fault that one call can have.
 * Some trunks have a clock 23 s or an hour ahead, or round lengths up to the minute.
 */
export const ordinary: TrafficShape = {
  name: "ordinary",
  play: (site, callCount) => {
    for (const fault of SINGLE) site.fill(callCount * SHARE_EACH, () => playFault(site, fault));
    site.fill(callCount * (1 - SINGLE.length * SHARE_EACH), () => playPlain(site));
  },
};

function playPlain(site: TrafficSite): void {
  const { trunkId, condition } = site.random.pick(trunksOf(site));
  const planted = condition.offsetMs === 0 && condition.roundingS === undefined ? "none" : trunkId;
  site.happened({
    planted,
    trunkId,
    condition,
    ends: site.ends(),
    inviteMs: site.drawMs(),
    connectedMs: site.drawTalkMs(),
  });
}

function playFault(site: TrafficSite, fault: PlantedFault): void {
  const { wish, play, suits } = faultSpec(fault);
  const { place, kind = "outbound", unanswered = false, connectedMs } = wish(site.bounds);
  const talkMs = connectedMs?.(site.random) ?? site.drawTalkMs();
  site.happened(
    {
      planted: fault,
      ends: site.ends({ kind }),
      inviteMs: site.drawMsIn(place),
      ...(unanswered ? {} : { connectedMs: talkMs }),
    },
    play,
    suits,
  );
}

function trunksOf({ carrier }: TrafficSite): { trunkId: string; condition: TrunkCondition }[] {
  const [first] = carrier.trunkIds;
  return [
    ...carrier.trunkIds.map((trunkId) => ({ trunkId, condition: { offsetMs: 0 } })),
    { trunkId: `${first}-ahead`, condition: { offsetMs: 23_000 } },
    { trunkId: `${first}-zone`, condition: { offsetMs: 3_600_000 } },
    { trunkId: `${first}-minutes`, condition: { offsetMs: 0, roundingS: 60 } },
  ];
}
