import type { RoundingRule } from "../carriers/carrier.ts";
import type { CarrierUnit, PlatformUnit } from "./call-unit.ts";
import { Basis, MatchStatus } from "./result.ts";
import { applyRule } from "./rounding.ts";

export interface Comparison {
  readonly status: MatchStatus;
  readonly basis: Basis;
}

export interface ComparisonTerms {
  readonly toleranceMs: number;
  /** The carrier's billing rule; undefined: whole seconds. */
  readonly rule: RoundingRule | undefined;
}

/**
 * Compares a pair: answered or not, then connected durations, else the bill. If both were answered
 * and a side has no figure, the result is DURATION_MISMATCH without a basis.
 */
export function compareDurations(platform: PlatformUnit, carrier: CarrierUnit, terms: ComparisonTerms): Comparison {
  if (platform.answered !== carrier.answered) return { status: MatchStatus.ANSWER_STATE_MISMATCH, basis: Basis.NONE };
  if (!platform.answered) return { status: MatchStatus.MATCHED_UNANSWERED, basis: Basis.NONE };
  const { connectedMs } = platform;
  if (connectedMs !== undefined && carrier.connectedMs !== undefined) {
    return { status: compareMs(carrier.connectedMs - connectedMs, terms.toleranceMs), basis: Basis.CONNECTED };
  }
  if (connectedMs !== undefined && carrier.billedS !== undefined) {
    return { status: compareBill(connectedMs, carrier.billedS, carrier.records.length, terms), basis: Basis.BILLED };
  }
  return { status: MatchStatus.DURATION_MISMATCH, basis: Basis.NONE };
}

export const WHOLE_SECONDS: RoundingRule = { incrementS: 1, minimumS: 0 };

function compareMs(deltaMs: number, toleranceMs: number): MatchStatus {
  if (deltaMs === 0) return MatchStatus.MATCHED_EXACT;
  return Math.abs(deltaMs) <= toleranceMs ? MatchStatus.WITHIN_TOLERANCE : MatchStatus.DURATION_MISMATCH;
}

// A length within the tolerance may cross a boundary and be billed one increment more or less. Each
// part of a split call was rounded by itself, so each adds an increment.
function compareBill(connectedMs: number, billedS: number, partCount: number, terms: ComparisonTerms): MatchStatus {
  const rule = terms.rule ?? WHOLE_SECONDS;
  if (billedS === applyRule(rule, connectedMs)) return MatchStatus.MATCHED_EXACT;
  const leastS = applyRule(rule, Math.max(0, connectedMs - terms.toleranceMs));
  const mostS = applyRule(rule, connectedMs + terms.toleranceMs) + (partCount - 1) * rule.incrementS;
  return billedS >= leastS && billedS <= mostS ? MatchStatus.WITHIN_TOLERANCE : MatchStatus.DURATION_MISMATCH;
}
