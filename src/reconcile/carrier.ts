import type { Carrier } from "../domain/carriers/carrier.ts";
import type { MatchingAgreement } from "../domain/matching/facts.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import { matchingAgreement } from "./agreement.ts";

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
  return {
    carrierId: carrier.carrierId,
    agreement: matchingAgreement(carrier),
    agreementRevision: carrier.revision,
    timeZone: carrier.timeZone,
    erased,
  };
}
