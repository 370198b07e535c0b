import { findAmbiguous } from "./ambiguity.ts";
import { faultSpec, type PlantedFault } from "./faults.ts";
import type { PlannedCall } from "./planned-call.ts";
import type { Arriving, MadeCall, PlayedCall } from "./played-call.ts";
import type { CallTruth } from "./truth.ts";

export interface FaultyCall extends MadeCall {
  readonly plan: PlannedCall<PlantedFault>;
}

/** Plants each call's fault. Ambiguity shows only when all calls are there. */
export function playCalls(calls: readonly FaultyCall[]) {
  const played = calls.map((call) => faultSpec(call.plan.fault).play(call));
  return {
    cdrs: byArrival(played.flatMap(({ cdrs }) => cdrs)),
    durations: byArrival(played.flatMap(({ durations }) => durations)),
    truths: truthsOf(calls, played),
  };
}

function truthsOf(calls: readonly FaultyCall[], played: readonly PlayedCall[]): CallTruth[] {
  const visible = calls.map(({ plan, clock }, index) => {
    const { cdrs, durations } = played[index] ?? { cdrs: [], durations: [] };
    const isPaired = cdrs.length > 0 && durations.length > 0;
    return { ends: plan.ends, clock, signalling: plan.signalling, isPaired };
  });
  const ambiguous = findAmbiguous(visible);
  return played.flatMap(({ truths }, index) => {
    const planted = calls[index]?.plan.fault ?? "none";
    return truths.map((truth) => ({ ...truth, planted, isAmbiguous: ambiguous.has(index) }));
  });
}

function byArrival<T>(arriving: Arriving<T>[]): Arriving<T>[] {
  return arriving.sort((a, b) => a.arrivalMs - b.arrivalMs);
}
