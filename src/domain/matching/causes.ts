import { ComparisonBasis, DiscrepancyCause, DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { difference } from "../known-numbers.ts";
import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../record-kind.ts";
import { type CallUnit, type CarrierUnit, lengthOf, type PlatformUnit } from "./call-unit.ts";
import { zonePartMs } from "./clocks/clock-judgement.ts";
import type { ClockOffset, MatchingInput } from "./facts.ts";
import { areContradicting } from "./number-keys.ts";
import type { CallResult, Finding } from "./result.ts";
import { explainRounding } from "./rounding.ts";

export interface PairSides {
  readonly platform: PlatformUnit;
  readonly carrier: CarrierUnit;
}

type Times = Pick<CallUnit, "startMs" | "endMs" | "arrivalMs">;

/** How late a side arrived, after the end of the other side's grace. */
export interface Lateness {
  readonly side: RecordKind["side"];
  readonly lateByMs: number;
  readonly graceEndMs: number;
}

/** Switch timers that end a call whose end was missed, milliseconds: 1 to 24 h. */
export const SWITCH_TIMERS_MS: readonly number[] = [1, 2, 3, 4, 6, 8, 10, 12, 24].map((hours) => hours * 3_600_000);
/** Milliseconds. */
export const TIMER_SLACK_MS = 2_000;
const SHORTEST_TIMER_MS = Math.min(...SWITCH_TIMERS_MS) - TIMER_SLACK_MS;

/**
 * Every cause that holds, in the order of DiscrepancyCause. Offsets, rounding, lateness and other
 * numbers are told of agreeing pairs too; UNKNOWN only if nothing else explains a disagreement; of
 * a PENDING pair only its offset.
 */
export function findFindings(result: CallResult, sides: PairSides, input: MatchingInput): Finding[] {
  const findings: Finding[] = [];
  const add = (finding: Finding | undefined) => {
    if (finding !== undefined) findings.push(finding);
  };
  findings.push(...findOffset(sides.carrier.offset));
  const { status } = result;
  if (status === DiscrepancyStatus.PENDING) return findings;
  const isMismatch = status === DiscrepancyStatus.DURATION_MISMATCH;
  const disagrees = isMismatch || status === DiscrepancyStatus.ANSWER_STATE_MISMATCH;
  if (isMismatch || sides.carrier.lacksParts) add(findSplit(sides));
  if (isMismatch) add(findStuckCall(sides));
  const rounding =
    result.basis === ComparisonBasis.CONNECTED_DURATION ? findRounding(sides, input, isMismatch) : undefined;
  // A likeness to the ring time is chance if the trunk's rounding makes this difference.
  if (isMismatch && result.basis === ComparisonBasis.CONNECTED_DURATION && rounding === undefined)
    add(findRingTime(sides, input));
  add(rounding);
  add(findLate(sides, input.agreement.graceMs));
  if (disagrees && !findings.some(({ cause }) => EXPLAINING.has(cause)))
    findings.push({ cause: DiscrepancyCause.UNKNOWN });
  if (areContradicting(sides.platform.numbers, sides.carrier.numbers)) {
    findings.push({ cause: DiscrepancyCause.NUMBERS_DIFFER });
  }
  return findings;
}

/** Causes that explain a length. */
const EXPLAINING: ReadonlySet<DiscrepancyCause> = new Set([
  DiscrepancyCause.SPLIT,
  DiscrepancyCause.STUCK_CALL,
  DiscrepancyCause.RING_TIME_INCLUDED,
  DiscrepancyCause.ROUNDING,
]);

/** The grace ends this long after the later of the call's end and its arrival. */
export function graceEndOf({ endMs, startMs, arrivalMs }: Times, graceMs: number): number {
  return Math.max(endMs ?? startMs, arrivalMs) + graceMs;
}

/** The side that arrived after the other's grace; undefined: neither. */
export function latenessOf(
  { platform, carrier }: { readonly platform: Times; readonly carrier: Times },
  graceMs: number,
): Lateness | undefined {
  const carrierGraceEndMs = graceEndOf(carrier, graceMs);
  if (platform.arrivalMs > carrierGraceEndMs) {
    const lateByMs = platform.arrivalMs - carrierGraceEndMs;
    return { side: PLATFORM_SIDE, lateByMs, graceEndMs: carrierGraceEndMs };
  }
  const graceEndMs = graceEndOf(platform, graceMs);
  if (carrier.arrivalMs <= graceEndMs) return undefined;
  return { side: CARRIER_SIDE, lateByMs: carrier.arrivalMs - graceEndMs, graceEndMs };
}

function timerOf(lengthMs: number): number | undefined {
  return SWITCH_TIMERS_MS.find((timerMs) => Math.abs(lengthMs - timerMs) <= TIMER_SLACK_MS);
}

/**
 * The switch timer that ended a call: the longer length, with or without ringing, equals it, and
 * the other is at most half as long.
 */
export function stuckTimerOf(platform: PlatformUnit, carrier: CarrierUnit): number | undefined {
  const mine = platform.connectedMs;
  const others = lengthOf(carrier);
  if (mine === undefined || others === undefined) return undefined;
  const [shortMs, longMs] = mine < others ? [mine, others] : [others, mine];
  if (shortMs * 2 > longMs) return undefined;
  if (longMs < SHORTEST_TIMER_MS) return undefined;
  const rings = [platform, carrier].flatMap(({ inviteMs, answerMs }) => difference(answerMs, inviteMs) ?? []);
  const ringing = difference(platform.answerMs, platform.facts.ringingMs);
  const timers = [0, ...rings, ringing ?? 0].map((ringMs) => timerOf(longMs - ringMs));
  return timers.find((timerMs) => timerMs !== undefined);
}

/** The platform's lengths from invite to end and from ringing to end, if known. */
export function lengthsWithRing({ facts, inviteMs, endMs }: PlatformUnit): number[] {
  const totalMs = facts.totalMs ?? difference(endMs, inviteMs);
  return [totalMs, difference(endMs, facts.ringingMs)].filter((lengthMs) => lengthMs !== undefined);
}

function findOffset(offset: ClockOffset | undefined): Finding[] {
  if (offset === undefined || offset.kind === "NONE") return [];
  const { offsetMs, pairCount, ratio } = offset;
  const zoneMs = zonePartMs(offsetMs);
  const findings: Finding[] = [];
  if (zoneMs !== 0) {
    const suspectedSide = CARRIER_SIDE;
    findings.push({ cause: DiscrepancyCause.ZONE_SHIFT, suspectedSide, offsetMs: zoneMs, pairCount, ratio });
  }
  // The platform keeps UTC. If clocks differ by seconds, nobody can tell which is off.
  const restMs = offsetMs - zoneMs;
  if (restMs !== 0) findings.push({ cause: DiscrepancyCause.CLOCK_SKEW, offsetMs: restMs, pairCount, ratio });
  return findings;
}

function findSplit({ platform, carrier }: PairSides): Finding | undefined {
  if (carrier.records.length === 1 && !carrier.lacksParts) return undefined;
  const deltaMs = difference(lengthOf(carrier), platform.connectedMs);
  const explained = carrier.lacksParts && deltaMs !== undefined && deltaMs < 0 ? { explainedDeltaMs: deltaMs } : {};
  return { cause: DiscrepancyCause.SPLIT, suspectedSide: CARRIER_SIDE, ...explained };
}

function findStuckCall({ platform, carrier }: PairSides): Finding | undefined {
  const timerMs = stuckTimerOf(platform, carrier);
  const explainedDeltaMs = difference(lengthOf(carrier), platform.connectedMs);
  if (timerMs === undefined || explainedDeltaMs === undefined) return undefined;
  const suspectedSide = explainedDeltaMs > 0 ? CARRIER_SIDE : PLATFORM_SIDE;
  return { cause: DiscrepancyCause.STUCK_CALL, suspectedSide, explainedDeltaMs, timerMs };
}

function findRingTime({ platform, carrier }: PairSides, { agreement }: MatchingInput): Finding | undefined {
  const { connectedMs } = platform;
  const others = carrier.connectedMs;
  if (connectedMs === undefined || others === undefined) return undefined;
  const nearest = lengthsWithRing(platform)
    .filter((lengthMs) => Math.abs(others - lengthMs) <= agreement.toleranceMs)
    .sort((a, b) => Math.abs(others - a) - Math.abs(others - b))
    .at(0);
  if (nearest === undefined) return undefined;
  const explainedDeltaMs = nearest - connectedMs;
  if (countsFromAnswer({ platform, carrier }, agreement.toleranceMs, explainedDeltaMs)) return undefined;
  return { cause: DiscrepancyCause.RING_TIME_INCLUDED, suspectedSide: CARRIER_SIDE, explainedDeltaMs };
}

// Its own times make its duration, and both answers agree: the difference lies behind the answer.
function countsFromAnswer({ platform, carrier }: PairSides, toleranceMs: number, ringMs: number): boolean {
  const timesMs = difference(carrier.endMs, carrier.answerMs);
  const beyondMs = difference(carrier.connectedMs, timesMs);
  const apartMs = difference(carrier.answerMs, platform.answerMs);
  if (beyondMs === undefined || apartMs === undefined) return false;
  // Nearer to the answer than to the ringing, if both are possible.
  return Math.abs(beyondMs) <= toleranceMs && Math.abs(apartMs) <= Math.min(toleranceMs, ringMs / 2);
}

function findRounding(
  { platform, carrier }: PairSides,
  input: MatchingInput,
  isMismatch: boolean,
): Finding | undefined {
  const mine = platform.connectedMs;
  const others = carrier.connectedMs;
  if (mine === undefined || others === undefined || mine === others) return undefined;
  const lengths = { platformMs: mine, carrierMs: others, partCount: carrier.records.length };
  const known = explainRounding(carrier.facts, lengths, input, isMismatch);
  if (known === undefined) return undefined;
  const { rule, isInferred, pairCount, ratio } = known;
  const support = isInferred ? { pairCount, ratio } : {};
  return {
    cause: DiscrepancyCause.ROUNDING,
    suspectedSide: CARRIER_SIDE,
    explainedDeltaMs: others - mine,
    ...support,
    roundingRule: rule,
    ruleInferred: isInferred,
  };
}

function findLate(sides: PairSides, graceMs: number): Finding | undefined {
  const lateness = latenessOf(sides, graceMs);
  return lateness && { cause: DiscrepancyCause.LATE, suspectedSide: lateness.side, lateByMs: lateness.lateByMs };
}
