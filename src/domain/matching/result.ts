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

/** Raising it judges every call again. */
export const RULE_VERSION = 2;

/** A cause and its support, as tandem.type.v1.DiscrepancyFinding. */
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

/** One side's figures as reported, parts merged. */
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

/** The result of one call. The platform's record names it, else the carrier's first. */
export interface CallResult {
  readonly platform?: PlatformFacts | undefined;
  /** The carrier's record, or its parts in order. */
  readonly carrier: readonly CarrierFacts[];
  readonly status: DiscrepancyStatus;
  /** In the order of DiscrepancyCause, each once. */
  readonly findings: readonly Finding[];
  readonly matchedBy?: MatchedBy | undefined;
  readonly pendingReason?: PendingReason | undefined;
  /** Absent: both sides were there from the start. */
  readonly graceEndMs?: number | undefined;
  /** DUPLICATE: the original. PART_OF_CALL: the first record of the call. */
  readonly duplicateOf?: RecordRef | undefined;
  /** AMBIGUOUS: at least so many records could pair. */
  readonly candidateCount?: number | undefined;
  readonly basis: ComparisonBasis;
  /** The rule of the carrier's bill, if known. */
  readonly billedRule?: RoundingRule;
  readonly toleranceMs: number;
  /** The offset taken off the carrier's times; absent: unknown. */
  readonly appliedOffsetMs?: number | undefined;
  readonly platformMeasure?: Measure | undefined;
  readonly carrierMeasure?: Measure | undefined;
  readonly direction: number;
  readonly calling?: Party | undefined;
  readonly called?: Party | undefined;
  /** The platform's invite, or else the carrier's corrected start. */
  readonly startMs: number;
  /** Of a pair without rivals: carrier minus platform as reported, a vote on the offset. */
  readonly offsetVoteMs?: number | undefined;
  /** Earliest and latest corrected start of all records judged with it. */
  readonly span: { readonly firstMs: number; readonly lastMs: number };
}
