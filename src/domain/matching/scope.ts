import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import type { CarrierUnit, PlatformUnit } from "./call-unit.ts";
import type { MatchingAgreement } from "./facts.ts";

/** Whether the carrier must report the platform's call. A call in progress may yet be answered. */
export function isPlatformInScope({ facts, startMs }: PlatformUnit, agreement: MatchingAgreement): boolean {
  const { direction, isEmergency, isPartial, answered } = facts;
  return isInScope({ direction, isEmergency, answered: answered || isPartial, startMs }, agreement);
}

/** Whether the carrier had to report this call. */
export function isCarrierInScope({ facts, startMs, answered }: CarrierUnit, agreement: MatchingAgreement): boolean {
  const isEmergency = facts.called?.kind === PartyKind.EMERGENCY || facts.dialed?.kind === PartyKind.EMERGENCY;
  return isInScope({ direction: facts.direction, isEmergency, answered, startMs }, agreement);
}

interface ScopedCall {
  readonly direction: number;
  readonly isEmergency: boolean;
  readonly answered: boolean;
  readonly startMs: number;
}

function isInScope(call: ScopedCall, { scopeAt }: MatchingAgreement): boolean {
  const scope = scopeAt(call.startMs);
  if (scope === undefined || !scope.directions.includes(call.direction)) return false;
  return (call.answered || scope.unanswered) && (!call.isEmergency || scope.emergency);
}
