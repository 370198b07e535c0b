import { ComparisonBasis, DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { RoundingRule } from "../carriers/carrier.ts";
import type { CarrierUnit, PlatformUnit } from "./call-unit.ts";
import type { CallResult } from "./result.ts";
import { applyRule } from "./rounding.ts";

export interface ComparisonTerms {
  readonly toleranceMs: number;
  /** The carrier's billing rule. Default: whole seconds. */
  readonly rule: RoundingRule | undefined;
}

/**
 * Compares a pair: answered or not, then connected durations, else the bill. Without a figure of
 * either side an answered pair is a DURATION_MISMATCH without a basis.
 */
export function compareDurations(
  platform: PlatformUnit,
  carrier: CarrierUnit,
  terms: ComparisonTerms,
): Pick<CallResult, "status" | "basis"> {
  const basis = ComparisonBasis.UNSPECIFIED;
  if (platform.answered !== carrier.answered) return { status: DiscrepancyStatus.ANSWER_STATE_MISMATCH, basis };
  if (!platform.answered) return { status: DiscrepancyStatus.MATCHED_UNANSWERED, basis };
  const { connectedMs } = platform;
  if (connectedMs !== undefined && carrier.connectedMs !== undefined) {
    const status = compareMs(carrier.connectedMs - connectedMs, terms.toleranceMs);
    return { status, basis: ComparisonBasis.CONNECTED_DURATION };
  }
  if (connectedMs !== undefined && carrier.billedS !== undefined) {
    const status = compareBill(connectedMs, carrier.billedS, carrier.records.length, terms);
    return { status, basis: ComparisonBasis.BILLED_DURATION };
  }
  return { status: DiscrepancyStatus.DURATION_MISMATCH, basis };
}

export const WHOLE_SECONDS: RoundingRule = { incrementS: 1, minimumS: 0 };

function compareMs(deltaMs: number, toleranceMs: number): DiscrepancyStatus {
  if (deltaMs === 0) return DiscrepancyStatus.MATCHED_EXACT;
  return Math.abs(deltaMs) <= toleranceMs ? DiscrepancyStatus.WITHIN_TOLERANCE : DiscrepancyStatus.DURATION_MISMATCH;
}

// A length within the tolerance may be billed an increment more or less. Each part of a split call
// is rounded by itself and adds an increment.
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
