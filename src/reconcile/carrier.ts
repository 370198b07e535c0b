import type { Carrier } from "../domain/carrier.ts";
import type { ErasureScope } from "../domain/erasure.ts";
import type { MatchingAgreement } from "../domain/matching/facts.ts";
import { matchingAgreement } from "./agreement.ts";
import { CallDays } from "./call-days.ts";

/** A carrier as its reconciliation needs it. */
export interface Reconciled {
  readonly carrierId: string;
  readonly agreement: MatchingAgreement;
  readonly agreementRevision: bigint;
  /** Days of the time zone agreed with it. */
  readonly days: CallDays;
  /** What is erased at the carrier: compared as erased, also where it is kept for now. */
  readonly erased: readonly ErasureScope[];
}

/** A carrier as its reconciliation needs it. */
export function reconciled(carrier: Carrier, erased: readonly ErasureScope[] = []): Reconciled {
  return {
    carrierId: carrier.carrierId,
    agreement: matchingAgreement(carrier),
    agreementRevision: carrier.revision,
    days: new CallDays(carrier.timeZone),
    erased,
  };
}
