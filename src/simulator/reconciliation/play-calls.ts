import { findAmbiguous } from "./ambiguity.ts";
import { faultSpec, type PlantedFault } from "./faults.ts";
import type { PlannedCall } from "./planned-call.ts";
import type { Arriving, MadeCall } from "./played-call.ts";
import type { CallTruth } from "./truth.ts";

export interface FaultyCall extends MadeCall {
  readonly plan: PlannedCall<PlantedFault>;
}

/** Plants each call's fault. Ambiguity shows only when all calls are there. */
export function playCalls(calls: readonly FaultyCall[]) {
  const played = calls.map((call) => {
    const { plan, clock } = call;
    const sent = faultSpec(plan.fault).play(call);
    const isPaired = sent.cdrs.length > 0 && sent.durations.length > 0;
    return { ...sent, planted: plan.fault, ends: plan.ends, clock, signalling: plan.signalling, isPaired };
  });
  const ambiguous = findAmbiguous(played);
  return {
    /** By arrival, with all revisions. */
    cdrs: byArrival(played.flatMap(({ cdrs }) => cdrs)),
    /** By arrival. */
    durations: byArrival(played.flatMap(({ durations }) => durations)),
    truths: played.flatMap((call): CallTruth[] =>
      call.truths.map((truth) => ({ ...truth, planted: call.planted, isAmbiguous: ambiguous.has(call) })),
    ),
  };
}

function byArrival<T>(arriving: Arriving<T>[]): readonly Arriving<T>[] {
  return arriving.sort((a, b) => a.arrivalMs - b.arrivalMs);
}
