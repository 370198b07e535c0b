import type { Party } from "../calls/party.ts";
import type { RoundingRule } from "../carriers/carrier.ts";
import type { CarrierFacts, PlatformFacts, RecordRef } from "./facts.ts";

/** The version of the rules in this folder; a higher one judges everything anew. */
export const RULE_VERSION = 2;

/** What comparing both sides came to; the numbers of tandem.type.v1.DiscrepancyStatus. */
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

/**
 * Why records differ; the numbers of tandem.type.v1.DiscrepancyCause, in the order in which they
 * are told.
 */
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

/** One cause and what supports it; as tandem.type.v1.DiscrepancyFinding. */
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

/** One side's figures, as reported; parts of a split call merged. */
export interface Measure {
  readonly inviteMs?: number | undefined;
  readonly answerMs?: number | undefined;
  readonly endMs?: number | undefined;
  readonly answered: boolean;
  readonly connectedMs?: number | undefined;
  readonly totalMs?: number | undefined;
  readonly billedS?: number | undefined;
  /** Of the newest of its records. */
  readonly ingestMs: number;
}

/**
 * What became of one call. It is named by the platform's record where there is one, else by the
 * carrier's first.
 */
export interface CallResult {
  readonly platform?: PlatformFacts | undefined;
  /** The carrier's record, or the parts of a split call in their order; empty when it has none. */
  readonly carrier: readonly CarrierFacts[];
  readonly status: MatchStatus;
  /** In the order of MatchCause, each once. */
  readonly findings: readonly Finding[];
  readonly matchedBy?: MatchedBy | undefined;
  readonly pendingReason?: PendingReason | undefined;
  /** When the grace is or was over; absent when both sides were there from the start. */
  readonly graceEndMs?: number | undefined;
  /**
   * Of a DUPLICATE the record of the same side that it is a copy of; of a PART_OF_CALL the first of
   * its call.
   */
  readonly duplicateOf?: RecordRef | undefined;
  /**
   * Of an AMBIGUOUS call: how many records could pair with each other at least. Of a crowd no more
   * is counted, for no more of it need be read.
   */
  readonly candidateCount?: number | undefined;
  readonly basis: Basis;
  /** Of a pair whose carrier reported a bill: the rule that made it, as far as it is known. */
  readonly billedRule?: RoundingRule;
  readonly toleranceMs: number;
  /**
   * The offset that was taken off the carrier's times; absent when there was nothing to judge it by
   * or no record of the carrier's.
   */
  readonly appliedOffsetMs?: number | undefined;
  readonly platformMeasure?: Measure | undefined;
  readonly carrierMeasure?: Measure | undefined;
  readonly direction: number;
  readonly calling?: Party | undefined;
  readonly called?: Party | undefined;
  /** The platform's invite, else the carrier's start with the offset taken off. */
  readonly startMs: number;
  /**
   * Of a pair that had no rival on either side: the difference of like times, carrier minus
   * platform, as reported. A vote on the clock offset of its trunk and hour.
   */
  readonly offsetVoteMs?: number | undefined;
  /**
   * The earliest and latest corrected start over all records that were judged together with this
   * one: none of them outside was looked at.
   */
  readonly span: { readonly firstMs: number; readonly lastMs: number };
}

/**
 * The carrier's bill minus its rule applied to the platform's connected duration, milliseconds; as
 * tandem.type.v1.CallDeltas has it.
 */
export interface Deltas {
  readonly connectedMs?: number | undefined;
  readonly billedMs?: number | undefined;
  readonly inviteMs?: number | undefined;
  readonly answerMs?: number | undefined;
  readonly endMs?: number | undefined;
}
