import type { Carrier } from "../domain/carriers/carrier.ts";
import type { MatchingAgreement } from "../domain/matching/facts.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";

/** What reconciliation needs of a carrier. */
export interface Reconciled {
  readonly carrierId: string;
  readonly agreement: MatchingAgreement;
  readonly agreementRevision: bigint;
  readonly timeZone: string;
  /** Records in these erasures are compared as erased, also while they are kept for now. */
  readonly erased: readonly ErasureScope[];
}

export function reconciled(carrier: Carrier, erased: readonly ErasureScope[] = []): Reconciled {
  const { carrierId, revision: agreementRevision, timeZone } = carrier;
  return { carrierId, agreement: matchingAgreement(carrier), agreementRevision, timeZone, erased };
}

function matchingAgreement(carrier: Carrier): MatchingAgreement {
  const scopes = carrier.reportingScopes.map((scope) => ({
    scope,
    from: scope.startTime === undefined ? Number.NEGATIVE_INFINITY : Number(scope.startTime),
    until: scope.endTime === undefined ? Number.POSITIVE_INFINITY : Number(scope.endTime),
  }));
  return {
    toleranceMs: Number(carrier.durationToleranceMs),
    graceMs: Number(carrier.graceMs),
    roundingRule: carrier.roundingRule,
    scopeAt: (instantMs) => {
      const micros = Math.round(instantMs) * 1_000;
      return scopes.find(({ from, until }) => from <= micros && micros < until)?.scope;
    },
  };
}
