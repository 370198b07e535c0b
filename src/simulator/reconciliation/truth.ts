import { DiscrepancyCause, type DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";

// What must come out, as it was planted. Only names are shared with the code that judges.

export type TruthStatus = Exclude<keyof typeof DiscrepancyStatus, "UNSPECIFIED">;

export type TruthCause = Exclude<keyof typeof DiscrepancyCause, "UNSPECIFIED">;

/** The observable truth of one call, or of a surplus record. */
export interface CallTruth {
  /** What was planted; `none`: nothing. */
  readonly planted: string;
  readonly platformRecordId?: string;
  /** The record, or the parts of a split call in order. */
  readonly carrierRecordIds: readonly string[];
  readonly status: TruthStatus;
  readonly causes: readonly TruthCause[];
  /** The record that this one was copied from. Either may be named the copy. */
  readonly copyOf?: string;
  /**
   * Whether another call of the pair is within 60 s by invite or answer and no id tells them apart.
   */
  readonly isAmbiguous: boolean;
}

/** A difference of connected durations, and what made it. */
export interface Difference {
  readonly deltaMs: number;
  readonly toleranceMs: number;
  /** Of the trunk's clock: carrier minus platform. */
  readonly offsetMs: number;
  readonly isRounded: boolean;
  /** Planted beyond the trunk's own. */
  readonly causes?: readonly TruthCause[];
}

/** The status of a pair that both sides answered, and its causes in the contract's order. */
export function truthOfPair(difference: Difference): Pick<CallTruth, "status" | "causes"> {
  const status = statusOf(difference);
  const causes = new Set<TruthCause>([...clockCauses(difference.offsetMs), ...(difference.causes ?? [])]);
  if (difference.isRounded && difference.deltaMs !== 0) causes.add("ROUNDING");
  if (status === "DURATION_MISMATCH" && causes.size === 0) causes.add("UNKNOWN");
  return { status, causes: [...causes].sort((a, b) => DiscrepancyCause[a] - DiscrepancyCause[b]) };
}

/** The cause that an offset of the clock is. */
export function clockCauses(offsetMs: number): TruthCause[] {
  if (offsetMs === 0) return [];
  return [offsetMs % QUARTER_HOUR_MS === 0 ? "ZONE_SHIFT" : "CLOCK_SKEW"];
}

const QUARTER_HOUR_MS = 900_000;

function statusOf({ deltaMs, toleranceMs }: Difference): TruthStatus {
  if (deltaMs === 0) return "MATCHED_EXACT";
  return Math.abs(deltaMs) <= toleranceMs ? "WITHIN_TOLERANCE" : "DURATION_MISMATCH";
}
