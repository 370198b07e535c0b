import type { Party } from "../calls/party.ts";
import type { RoundingRule } from "../carriers/carrier.ts";
import type { CarrierFacts, PlatformFacts, RecordRef } from "./facts.ts";

/** Version of the matching rules; raising it judges every call again. */
export const RULE_VERSION = 2;

/** The numbers of tandem.type.v1.DiscrepancyStatus. */
export const MatchStatus = {
  MATCHED_EXACT: 1,
  WITHIN_TOLERANCE: 2,
  MATCHED_UNANSWERED: 3,
  DURATION_MISMATCH: 4,
  ANSWER_STATE_MISMATCH: 5,
  MISSING_AT_CARRIER: 6,
  MISSING_AT_PLATFORM: 7,
  DUPLICATE_AT_CARRIER: 8,
  DUPLICATE_AT_PLATFORM: 9,
  AMBIGUOUS: 10,
  PENDING: 11,
  VOIDED: 12,
  NOT_REPORTED: 13,
  PART_OF_CALL: 14,
} as const;
export type MatchStatus = (typeof MatchStatus)[keyof typeof MatchStatus];

/** The numbers of tandem.type.v1.DiscrepancyCause, in the order in which they are told. */
export const MatchCause = {
  ZONE_SHIFT: 1,
  CLOCK_SKEW: 2,
  SPLIT: 3,
  STUCK_CALL: 4,
  RING_TIME_INCLUDED: 5,
  ROUNDING: 6,
  LATE: 7,
  UNKNOWN: 8,
  NUMBERS_DIFFER: 9,
} as const;
export type MatchCause = (typeof MatchCause)[keyof typeof MatchCause];

/** What joined a pair; the numbers of tandem.type.v1.MatchedBy. */
export const MatchedBy = { DIALOG: 1, ICID: 2, SESSION_ID: 3, NUMBERS_AND_TIME: 4, ECHOED: 5 } as const;
export type MatchedBy = (typeof MatchedBy)[keyof typeof MatchedBy];

/** What a pending call waits for; the numbers of tandem.type.v1.PendingReason. */
export const PendingReason = { GRACE: 1, PARTIAL_RECORD: 2, MISSING_PART: 3 } as const;
export type PendingReason = (typeof PendingReason)[keyof typeof PendingReason];

/** A side; the numbers of tandem.type.v1.RecordSide. */
export const Side = { PLATFORM: 1, CARRIER: 2 } as const;
export type Side = (typeof Side)[keyof typeof Side];

/** Which figures decided; the numbers of tandem.type.v1.ComparisonBasis. */
export const Basis = { NONE: 0, CONNECTED: 1, BILLED: 2 } as const;
export type Basis = (typeof Basis)[keyof typeof Basis];

/** One cause and its support, as tandem.type.v1.DiscrepancyFinding. */
export interface Finding {
  readonly cause: MatchCause;
  readonly suspectedSide?: Side | undefined;
  readonly explainedDeltaMs?: number | undefined;
  readonly offsetMs?: number | undefined;
  readonly pairCount?: number | undefined;
  readonly ratio?: number | undefined;
  readonly roundingRule?: RoundingRule | undefined;
  readonly ruleInferred?: boolean | undefined;
  readonly timerMs?: number | undefined;
  readonly lateByMs?: number | undefined;
}

/** One side's figures as reported, with parts merged. */
export interface Measure {
  readonly inviteMs?: number | undefined;
  readonly answerMs?: number | undefined;
  readonly endMs?: number | undefined;
  readonly answered: boolean;
  readonly connectedMs?: number | undefined;
  readonly totalMs?: number | undefined;
  readonly billedS?: number | undefined;
  /** When its newest record was committed. */
  readonly ingestMs: number;
}

/** The result of one call, named by the platform's record, or else by the carrier's first. */
export interface CallResult {
  readonly platform?: PlatformFacts | undefined;
  /** The carrier's record, or its parts in order; empty: none. */
  readonly carrier: readonly CarrierFacts[];
  readonly status: MatchStatus;
  /** In the order of MatchCause, each once. */
  readonly findings: readonly Finding[];
  readonly matchedBy?: MatchedBy | undefined;
  readonly pendingReason?: PendingReason | undefined;
  /** The end of the grace; absent if both sides were there from the start. */
  readonly graceEndMs?: number | undefined;
  /** DUPLICATE: the original, of the same side. PART_OF_CALL: the first record of the call. */
  readonly duplicateOf?: RecordRef | undefined;
  /** AMBIGUOUS: at least this many records could pair with each other. */
  readonly candidateCount?: number | undefined;
  readonly basis: Basis;
  /** The rule behind the carrier's bill, if known. */
  readonly billedRule?: RoundingRule;
  readonly toleranceMs: number;
  /** The offset taken off the carrier's times; absent: unknown, or no carrier record. */
  readonly appliedOffsetMs?: number | undefined;
  readonly platformMeasure?: Measure | undefined;
  readonly carrierMeasure?: Measure | undefined;
  readonly direction: number;
  readonly calling?: Party | undefined;
  readonly called?: Party | undefined;
  /** The platform's invite, or else the carrier's corrected start. */
  readonly startMs: number;
  /**
   * For a pair without rivals: carrier minus platform as reported. It votes on the clock offset.
   */
  readonly offsetVoteMs?: number | undefined;
  /** Earliest and latest corrected start of all records judged together with this one. */
  readonly span: { readonly firstMs: number; readonly lastMs: number };
}

/**
 * Differences as in tandem.type.v1.CallDeltas. billedMs: the bill minus its rule applied to the
 * platform's connected duration.
 */
export interface Deltas {
  readonly connectedMs?: number | undefined;
  readonly billedMs?: number | undefined;
  readonly inviteMs?: number | undefined;
  readonly answerMs?: number | undefined;
  readonly endMs?: number | undefined;
}
