import type {
  ComparisonBasis,
  DiscrepancyCause,
  DiscrepancyStatus,
  MatchedBy,
  PendingReason,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { Party } from "../calls/party.ts";
import type { RoundingRule } from "../carriers/carrier.ts";
import type { Stated } from "../enum-values.ts";
import type { RecordKind } from "../record-kind.ts";
import type { CarrierFacts, PlatformFacts, RecordRef } from "./facts.ts";

/** The version of the rules in this folder; a higher one judges everything anew. */
export const RULE_VERSION = 2;

/** One cause and what supports it; as tandem.type.v1.DiscrepancyFinding. */
export interface Finding {
  readonly cause: Stated<DiscrepancyCause>;
  readonly suspectedSide?: RecordKind["side"] | undefined;
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
  readonly status: DiscrepancyStatus;
  /** In the order of DiscrepancyCause, each once. */
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
  readonly basis: ComparisonBasis;
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
