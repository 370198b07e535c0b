import type { CarrierUnit, PlatformUnit } from "./call-unit.ts";
import type { MatchingInput } from "./facts.ts";
import { type CallResult, type Finding, MatchCause, MatchStatus } from "./result.ts";

/** Both sides of a call. */
export interface Sides {
  readonly platform: PlatformUnit;
  readonly carrier: CarrierUnit;
}

export function findFindings(result: CallResult, _sides: Sides, _input: MatchingInput): Finding[] {
  const disagrees =
    result.status === MatchStatus.DURATION_MISMATCH || result.status === MatchStatus.ANSWER_STATE_MISMATCH;
  return disagrees ? [{ cause: MatchCause.UNKNOWN }] : [];
}
