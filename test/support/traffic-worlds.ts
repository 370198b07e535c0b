import type { CallResult } from "../../src/domain/matching/result.ts";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { createWorld } from "../../src/simulator/world.ts";
import type { FoundTraffic } from "../traffic/traffic-score.ts";
import { createTrafficWorld, type TrafficWorld } from "../traffic/traffic-world.ts";
import { worldPlan } from "../traffic/worlds.ts";
import { foundResult, reconcileInMemory } from "./in-memory-reconciler.ts";
import { dayIn } from "./usage.ts";

/** A world by its name, of the simulated carrier of Denmark. */
export function trafficWorld(
  name: string,
  options: { seed: string; callCount: number; correlatedShare: number; startDay?: string },
): TrafficWorld {
  const carrier = createWorld({ seed: options.seed, numbersPerCarrier: 900 }).carriers[1];
  if (!carrier) throw new Error("the simulated world has three carriers");
  return createTrafficWorld(worldPlan(name), { startDay: "2026-01-12", ...options, carrier });
}

/** What the matcher and the votes of the job find of a world, without a database. */
export function reconcileTraffic(world: TrafficWorld): FoundTraffic {
  const results = reconcileInMemory(world);
  return { results: results.map(foundResult), usage: usageOf(results, world) };
}

const AGREED: readonly number[] = [
  DiscrepancyStatus.MATCHED_EXACT,
  DiscrepancyStatus.WITHIN_TOLERANCE,
  DiscrepancyStatus.MATCHED_UNANSWERED,
];
const NOWHERE: readonly number[] = [
  DiscrepancyStatus.DUPLICATE_AT_CARRIER,
  DiscrepancyStatus.DUPLICATE_AT_PLATFORM,
  DiscrepancyStatus.VOIDED,
  DiscrepancyStatus.PART_OF_CALL,
];

/**
 * Connected time of the decidable calls by customer and day, counted as docs/decisions/0005 says.
 */
function usageOf(results: readonly CallResult[], world: TrafficWorld): Map<string, number> {
  const { carrier, timeZone } = world;
  const undecidable = undecidableRecords(world);
  const customers = new Map(
    carrier.numbers.map(({ phoneNumber, assignment }) => [phoneNumber, assignment?.customerId]),
  );
  const usage = new Map<string, number>();
  for (const result of results) {
    const first = result.platform ?? result.carrier[0];
    const countedMs = first === undefined || undecidable.has(first.recordId) ? 0 : countedMsOf(result);
    const phoneNumber = first?.phoneNumber;
    const customerId = phoneNumber === undefined ? undefined : customers.get(phoneNumber);
    if (countedMs === 0 || customerId === undefined) continue;
    const key = `${customerId} ${dayIn(new Date(result.startMs).toISOString(), timeZone)}`;
    usage.set(key, (usage.get(key) ?? 0) + countedMs);
  }
  return usage;
}

function countedMsOf({ status, platform, platformMeasure, carrierMeasure }: CallResult): number {
  if (NOWHERE.includes(status)) return 0;
  if (AGREED.includes(status)) return carrierMeasure?.connectedMs ?? platformMeasure?.connectedMs ?? 0;
  if (status === DiscrepancyStatus.MISSING_AT_PLATFORM) return carrierMeasure?.connectedMs ?? 0;
  return platform === undefined ? 0 : (platformMeasure?.connectedMs ?? 0);
}

function undecidableRecords({ truths }: TrafficWorld): Set<string> {
  const unsure = truths.filter(({ isAmbiguous }) => isAmbiguous);
  return new Set(
    unsure.flatMap(({ platformRecordId, carrierRecordIds }) => [platformRecordId ?? "", ...carrierRecordIds]),
  );
}
