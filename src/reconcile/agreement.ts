import type { Carrier } from "../domain/carriers/carrier.ts";
import type { MatchingAgreement } from "../domain/matching/facts.ts";
import { microsFromMs } from "../domain/time/instant.ts";

export function matchingAgreement(carrier: Carrier): MatchingAgreement {
  return {
    toleranceMs: Number(carrier.durationToleranceMs),
    graceMs: Number(carrier.graceMs),
    roundingRule: carrier.roundingRule,
    scopeAt: (instantMs) => {
      const instant = microsFromMs(instantMs);
      return carrier.reportingScopes.find(
        ({ startTime, endTime }) =>
          (startTime === undefined || startTime <= instant) && (endTime === undefined || instant < endTime),
      );
    },
  };
}
