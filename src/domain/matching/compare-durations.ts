import { ComparisonBasis, DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { RoundingRule } from "../carriers/carrier.ts";
import type { CarrierUnit, PlatformUnit } from "./call-unit.ts";
import { applyRule } from "./rounding.ts";

/** What comparing the figures of a pair came to. */
export interface Comparison {
  readonly status: DiscrepancyStatus;
  readonly basis: ComparisonBasis;
}

/** By what durations are held against each other. */
export interface ComparisonTerms {
  readonly toleranceMs: number;
  /** By which the carrier bills; undefined when neither declared nor inferred: whole seconds. */
  readonly rule: RoundingRule | undefined;
}

/**
 * Compares a pair: whether both were answered, then the connected durations, else the bill. Where
 * both were answered and one side has no figure at all nothing agrees: a DURATION_MISMATCH without
 * a basis.
 */
export function compareDurations(platform: PlatformUnit, carrier: CarrierUnit, terms: ComparisonTerms): Comparison {
  if (platform.answered !== carrier.answered)
    return { status: DiscrepancyStatus.ANSWER_STATE_MISMATCH, basis: ComparisonBasis.UNSPECIFIED };
  if (!platform.answered) return { status: DiscrepancyStatus.MATCHED_UNANSWERED, basis: ComparisonBasis.UNSPECIFIED };
  const { connectedMs } = platform;
  if (connectedMs !== undefined && carrier.connectedMs !== undefined) {
    return {
      status: compareMs(carrier.connectedMs - connectedMs, terms.toleranceMs),
      basis: ComparisonBasis.CONNECTED_DURATION,
    };
  }
  if (connectedMs !== undefined && carrier.billedS !== undefined) {
    return {
      status: compareBill(connectedMs, carrier.billedS, carrier.records.length, terms),
      basis: ComparisonBasis.BILLED_DURATION,
    };
  }
  return { status: DiscrepancyStatus.DURATION_MISMATCH, basis: ComparisonBasis.UNSPECIFIED };
}

/** The rule of a bill for which none is known. */
export const WHOLE_SECONDS: RoundingRule = { incrementS: 1, minimumS: 0 };

function compareMs(deltaMs: number, toleranceMs: number): DiscrepancyStatus {
  if (deltaMs === 0) return DiscrepancyStatus.MATCHED_EXACT;
  return Math.abs(deltaMs) <= toleranceMs ? DiscrepancyStatus.WITHIN_TOLERANCE : DiscrepancyStatus.DURATION_MISMATCH;
}

// A true duration that is within the tolerance can be billed an increment more or less when the
// tolerance crosses a boundary. Each part of a split call was rounded up by itself, which adds up
// to an increment for each.
function compareBill(
  connectedMs: number,
  billedS: number,
  partCount: number,
  terms: ComparisonTerms,
): DiscrepancyStatus {
  const rule = terms.rule ?? WHOLE_SECONDS;
  if (billedS === applyRule(rule, connectedMs)) return DiscrepancyStatus.MATCHED_EXACT;
  const leastS = applyRule(rule, Math.max(0, connectedMs - terms.toleranceMs));
  const mostS = applyRule(rule, connectedMs + terms.toleranceMs) + (partCount - 1) * rule.incrementS;
  return billedS >= leastS && billedS <= mostS
    ? DiscrepancyStatus.WITHIN_TOLERANCE
    : DiscrepancyStatus.DURATION_MISMATCH;
}
