import type { Carrier } from "../domain/carriers/carrier.ts";
import type { MatchingAgreement } from "../domain/matching/facts.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import { matchingAgreement } from "./agreement.ts";

/** A carrier as its reconciliation needs it. */
export interface Reconciled {
  readonly carrierId: string;
  readonly agreement: MatchingAgreement;
  readonly agreementRevision: bigint;
  /** In which days are agreed to begin. */
  readonly timeZone: string;
  /** What is erased at the carrier: compared as erased, also where it is kept for now. */
  readonly erased: readonly ErasureScope[];
}

/** A carrier as its reconciliation needs it. */
export function reconciled(carrier: Carrier, erased: readonly ErasureScope[] = []): Reconciled {
  return {
    carrierId: carrier.carrierId,
    agreement: matchingAgreement(carrier),
    agreementRevision: carrier.revision,
    timeZone: carrier.timeZone,
    erased,
  };
}
