// What must come out, as the one who planted it knows it. The names are those of tandem.type.v1,
// without their prefixes; nothing here is shared with the code that judges.

/** What comparing both sides must come to. */
export type TruthStatus =
  | "MATCHED_EXACT"
  | "WITHIN_TOLERANCE"
  | "MATCHED_UNANSWERED"
  | "DURATION_MISMATCH"
  | "ANSWER_STATE_MISMATCH"
  | "MISSING_AT_CARRIER"
  | "MISSING_AT_PLATFORM"
  | "DUPLICATE_AT_CARRIER"
  | "DUPLICATE_AT_PLATFORM"
  | "AMBIGUOUS"
  | "PENDING"
  | "VOIDED"
  | "NOT_REPORTED"
  | "PART_OF_CALL";

/** Why both sides differ. */
export type TruthCause =
  | "ZONE_SHIFT"
  | "CLOCK_SKEW"
  | "SPLIT"
  | "STUCK_CALL"
  | "RING_TIME_INCLUDED"
  | "ROUNDING"
  | "LATE"
  | "UNKNOWN"
  | "NUMBERS_DIFFER";

/** The observable truth of one call, or of one record too many. */
export interface CallTruth {
  /** What was planted; `none` for a call that both sides tell alike. */
  readonly planted: string;
  readonly platformRecordId?: string;
  /** The record, or the parts of a split call in their order. */
  readonly carrierRecordIds: readonly string[];
  readonly status: TruthStatus;
  readonly causes: readonly TruthCause[];
  /**
   * The record of the same side that this one was copied from. Nobody can tell which of the two
   * came first, so either may be named.
   */
  readonly copyOf?: string;
  /**
   * Another call of the same pair and direction lies within 60 s, by its invite or its answer, and
   * no correlation id tells them apart: what becomes of it cannot be known for certain.
   */
  readonly isAmbiguous: boolean;
}

/** A difference of connected durations, milliseconds, and what is known to have made it. */
export interface Difference {
  readonly deltaMs: number;
  readonly toleranceMs: number;
  /** Of the trunk's clock at that time: carrier minus platform. */
  readonly offsetMs: number;
  readonly isRounded: boolean;
  /** Planted beyond what the trunk does to each of its calls. */
  readonly causes?: readonly TruthCause[];
}

/** The class of a pair that both sides say was answered, and its causes in the contract's order. */
export function truthOfPair(difference: Difference): Pick<CallTruth, "status" | "causes"> {
  const status = statusOf(difference);
  const causes = new Set<TruthCause>([...clockCauses(difference.offsetMs), ...(difference.causes ?? [])]);
  if (difference.isRounded && difference.deltaMs !== 0) causes.add("ROUNDING");
  if (status === "DURATION_MISMATCH" && causes.size === 0) causes.add("UNKNOWN");
  return { status, causes: inOrder(causes) };
}

/** The cause that an offset of the carrier's clock is, if any. */
export function clockCauses(offsetMs: number): TruthCause[] {
  if (offsetMs === 0) return [];
  return [offsetMs % QUARTER_HOUR_MS === 0 ? "ZONE_SHIFT" : "CLOCK_SKEW"];
}

const QUARTER_HOUR_MS = 900_000;
const ORDER: readonly TruthCause[] = [
  "ZONE_SHIFT",
  "CLOCK_SKEW",
  "SPLIT",
  "STUCK_CALL",
  "RING_TIME_INCLUDED",
  "ROUNDING",
  "LATE",
  "UNKNOWN",
  "NUMBERS_DIFFER",
];

function statusOf({ deltaMs, toleranceMs }: Difference): TruthStatus {
  if (deltaMs === 0) return "MATCHED_EXACT";
  return Math.abs(deltaMs) <= toleranceMs ? "WITHIN_TOLERANCE" : "DURATION_MISMATCH";
}

function inOrder(causes: ReadonlySet<TruthCause>): TruthCause[] {
  return ORDER.filter((cause) => causes.has(cause));
}
