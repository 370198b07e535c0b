import {
  ComparisonBasis,
  DiscrepancyStatus,
  MatchedBy,
  PendingReason,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import {
  byStart,
  type CallUnit,
  type CarrierUnit,
  hasLikeTimes,
  isCarrierInScope,
  isPlatformInScope,
  mergeUnits,
  type PlatformUnit,
  startDelta,
  timeBetween,
} from "./call-unit.ts";
import { findFindings, graceEndOf, latenessOf } from "./causes.ts";
import { compareDurations } from "./compare-durations.ts";
import type { MatchingInput } from "./facts.ts";
import { MAX_COMPONENT } from "./pairing/components.ts";
import { asReported, type Copy, findCopies, refOf } from "./pairing/duplicates.ts";
import { carrierMember, type Pairing } from "./pairing/pairing.ts";
import { platformOf } from "./pairing/platform-parts.ts";
import type { CallResult, Measure } from "./result.ts";
import { ruleOf } from "./rounding.ts";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
type Span = CallResult["span"];

export function judgePairing(pairing: Pairing, input: MatchingInput): CallResult[] {
  const copies = findAllCopies(pairing, input);
  const spans = spansOf(pairing);
  const results: CallResult[] = [];
  for (const [index, first] of pairing.platform.entries()) {
    const span = spans(index);
    const carrier = carrierOf(pairing, index);
    const platform = platformOf(pairing, index) ?? first;
    const whole = pairing.platform[pairing.partOf.get(index) ?? -1];
    if (whole !== undefined) {
      results.push({
        ...newResult({ platform }, input, span),
        status: DiscrepancyStatus.PART_OF_CALL,
        duplicateOf: refOf(whole.facts),
      });
      continue;
    }
    if (carrier !== undefined) {
      const by = pairing.matchedBy[index] as MatchedBy;
      results.push(judgePair({ platform, carrier, by, isAlone: pairing.isAlone[index] === 1 }, input, span));
      continue;
    }
    const result = newResult({ platform }, input, span);
    judgeSingle(result, { isCrowd: pairing.crowd.has(index), copy: copies.platform.get(index), side: platform }, input);
    results.push(result);
  }
  for (const [index, carrier] of pairing.carrier.entries()) {
    if (pairing.platformOf[index] !== -1) continue;
    const member = carrierMember(pairing, index);
    const result = newResult({ carrier }, input, spans(member));
    judgeSingle(result, { isCrowd: pairing.crowd.has(member), copy: copies.carrier.get(index), side: carrier }, input);
    results.push(result);
  }
  return results;
}

/** The results of calls that both sides voided, or one side while the other has nothing. */
export function judgeVoided(pairing: Pairing, input: MatchingInput): CallResult[] {
  const spans = spansOf(pairing);
  const results = pairing.platform.map((platform, index) => {
    const carrier = carrierOf(pairing, index);
    const result = newResult({ platform, carrier }, input, spans(index));
    if (carrier !== undefined) result.matchedBy = pairing.matchedBy[index] as MatchedBy;
    return result;
  });
  for (const [index, carrier] of pairing.carrier.entries()) {
    if (pairing.platformOf[index] === -1) {
      results.push(newResult({ carrier }, input, spans(carrierMember(pairing, index))));
    }
  }
  for (const result of results) result.status = DiscrepancyStatus.VOIDED;
  return results;
}

/** The carrier's call, with all parts, that is paired with the platform's at a position. */
export function carrierOf({ carrier, carrierOf, furtherParts }: Pairing, platform: number): CarrierUnit | undefined {
  const first = carrier[carrierOf[platform] ?? -1];
  const further = furtherParts.get(platform);
  if (first === undefined || further === undefined) return first;
  const [head = first, ...rest] = [first, ...further.flatMap((index) => carrier[index] ?? [])].sort(byStart);
  return mergeUnits([head, ...rest]);
}

interface Pair {
  readonly platform: PlatformUnit;
  readonly carrier: CarrierUnit;
  readonly by: MatchedBy;
  readonly isAlone: boolean;
}

function judgePair({ platform, carrier, by, isAlone }: Pair, input: MatchingInput, span: Span): CallResult {
  const { agreement, nowMs } = input;
  const result = newResult({ platform, carrier }, input, span);
  result.matchedBy = by;
  const voteMs = isAlone && by !== MatchedBy.ECHOED ? startDelta(platform, carrier) : undefined;
  if (voteMs !== undefined && hasLikeTimes(platform, carrier)) {
    result.offsetVoteMs = voteMs + (carrier.offset?.offsetMs ?? 0);
  }
  const known = ruleOf(carrier.facts, input);
  const rule = known?.rule;
  if (rule !== undefined && carrier.billedS !== undefined) result.billedRule = rule;
  const { status, basis } = compareDurations(platform, carrier, { toleranceMs: agreement.toleranceMs, rule });
  result.status = status;
  result.basis = basis;
  const graceEndMs = carrier.lacksParts
    ? graceEndOf(carrier, agreement.graceMs)
    : latenessOf({ platform, carrier }, agreement.graceMs)?.graceEndMs;
  if (graceEndMs !== undefined) result.graceEndMs = graceEndMs;
  if (platform.records.some(({ isPartial }) => isPartial)) result.pendingReason = PendingReason.PARTIAL_RECORD;
  else if (carrier.lacksParts && graceEndMs !== undefined && nowMs < graceEndMs) {
    result.pendingReason = PendingReason.MISSING_PART;
  }
  if (result.pendingReason !== undefined) {
    result.status = DiscrepancyStatus.PENDING;
    result.basis = ComparisonBasis.UNSPECIFIED;
  }
  result.findings = findFindings(result, { platform, carrier }, input);
  return result;
}

interface Single {
  readonly side: PlatformUnit | CarrierUnit;
  readonly isCrowd: boolean;
  readonly copy: Copy | undefined;
}

function judgeSingle(result: Mutable<CallResult>, { side, isCrowd, copy }: Single, input: MatchingInput): void {
  const { platform } = result;
  if (isCrowd) {
    result.status = DiscrepancyStatus.AMBIGUOUS;
    result.candidateCount = MAX_COMPONENT + 1;
  } else if (!isInScope(side, input)) {
    // A copy counts at once; nothing is waited for.
    result.status = copy === undefined ? DiscrepancyStatus.NOT_REPORTED : DiscrepancyStatus.DUPLICATE_AT_PLATFORM;
    if (copy !== undefined) result.duplicateOf = copy.ref;
  } else if (platform?.isPartial === true) {
    result.status = DiscrepancyStatus.PENDING;
    result.pendingReason = PendingReason.PARTIAL_RECORD;
  } else {
    judgeMissing(result, side, copy, input);
  }
}

// While the original waits, its copy may turn out to be the better pair.
function judgeMissing(
  result: Mutable<CallResult>,
  side: CallUnit,
  copy: Copy | undefined,
  { agreement, nowMs }: MatchingInput,
): void {
  const isPlatform = result.platform !== undefined;
  const graceEndMs = graceEndOf(side, agreement.graceMs);
  if (copy?.isOfMatched !== true) result.graceEndMs = graceEndMs;
  if (copy?.isOfMatched !== true && nowMs < graceEndMs) {
    result.status = DiscrepancyStatus.PENDING;
    result.pendingReason = PendingReason.GRACE;
  } else if (copy !== undefined) {
    result.status = isPlatform ? DiscrepancyStatus.DUPLICATE_AT_PLATFORM : DiscrepancyStatus.DUPLICATE_AT_CARRIER;
    result.duplicateOf = copy.ref;
  } else {
    result.status = isPlatform ? DiscrepancyStatus.MISSING_AT_CARRIER : DiscrepancyStatus.MISSING_AT_PLATFORM;
  }
}

interface Sides {
  readonly platform?: PlatformUnit;
  readonly carrier?: CarrierUnit | undefined;
}

function newResult({ platform, carrier }: Sides, { agreement }: MatchingInput, span: Span): Mutable<CallResult> {
  const facts = platform?.facts ?? carrier?.facts;
  return {
    platform: platform?.facts,
    carrier: carrier?.records ?? [],
    status: DiscrepancyStatus.PENDING,
    findings: [],
    basis: ComparisonBasis.UNSPECIFIED,
    toleranceMs: agreement.toleranceMs,
    appliedOffsetMs: carrier?.offset?.offsetMs,
    platformMeasure: platform && measurePlatform(platform),
    carrierMeasure: carrier && measureCarrier(carrier),
    direction: facts?.direction ?? 0,
    calling: facts?.calling,
    called: facts?.called,
    startMs: platform?.startMs ?? carrier?.startMs ?? 0,
    span,
  };
}

function measurePlatform({ facts, records, answered, connectedMs, endMs }: PlatformUnit): Measure {
  const { inviteMs, answerMs } = facts;
  return {
    inviteMs,
    answerMs,
    endMs,
    answered,
    connectedMs: answered ? connectedMs : undefined,
    totalMs: (records.length > 1 ? undefined : facts.totalMs) ?? timeBetween(inviteMs, endMs),
    ingestMs: Math.max(...records.map(({ ingestMs }) => ingestMs)),
  };
}

// As reported, with the offset left in.
function measureCarrier({ records, answered, connectedMs, billedS }: CarrierUnit): Measure {
  const inviteMs = records[0]?.inviteMs;
  const endMs = records.at(-1)?.endMs;
  return {
    inviteMs,
    answerMs: records.find(({ answerMs }) => answerMs !== undefined)?.answerMs,
    endMs,
    answered,
    connectedMs: answered ? connectedMs : undefined,
    totalMs: timeBetween(inviteMs, endMs),
    billedS,
    ingestMs: Math.max(...records.map(({ ingestMs }) => ingestMs)),
  };
}

function isInScope(side: PlatformUnit | CarrierUnit, { agreement }: MatchingInput): boolean {
  return "lacksParts" in side ? isCarrierInScope(side, agreement) : isPlatformInScope(side, agreement);
}

function findAllCopies(pairing: Pairing, input: MatchingInput) {
  const { platform, carrier, carrierOf, platformOf, partOf, crowd, together } = pairing;
  const member = (index: number) => carrierMember(pairing, index);
  const atPlatform = findCopies(
    platform,
    (index) => carrierOf[index] !== -1,
    // In every scope: usage would count a record written twice twice.
    (index) => carrierOf[index] === -1 && !crowd.has(index) && !partOf.has(index),
  );
  const atCarrier = findCopies(
    asReported(pairing),
    (index) => platformOf[index] !== -1,
    (index) => platformOf[index] === -1 && !crowd.has(member(index)) && isInScopeAt(carrier, index, input),
  );
  for (const [index, copy] of atPlatform) together.join(index, copy.of);
  for (const [index, copy] of atCarrier) together.join(member(index), member(copy.of));
  return { platform: atPlatform, carrier: atCarrier };
}

function isInScopeAt(units: readonly (PlatformUnit | CarrierUnit)[], index: number, input: MatchingInput): boolean {
  const unit = units[index];
  return unit !== undefined && isInScope(unit, input);
}

/**
 * The earliest and latest start of all records that a member's result rests on: those judged with
 * it, and better pairs that left it what it has. Those pairs do not rest on it, so a crowd of
 * certain pairs has no common span.
 */
function spansOf({ platform, carrier, together, rests }: Pairing): (member: number) => Span {
  const firstMs = new Float64Array(platform.length + carrier.length).fill(Number.POSITIVE_INFINITY);
  const lastMs = new Float64Array(firstMs.length).fill(Number.NEGATIVE_INFINITY);
  const widen = (root: number, first: number, last: number) => {
    const isWider = first < (firstMs[root] ?? 0) || last > (lastMs[root] ?? 0);
    firstMs[root] = Math.min(firstMs[root] ?? 0, first);
    lastMs[root] = Math.max(lastMs[root] ?? 0, last);
    return isWider;
  };
  for (let member = 0; member < firstMs.length; member++) {
    const unit = platform[member] ?? carrier[member - platform.length];
    widen(together.find(member), unit?.startMs ?? 0, unit?.lastStartMs ?? 0);
  }
  const ties = rests.map(([member, on]) => [together.find(member), together.find(on)] as const);
  for (let isWider = ties.length > 0; isWider; ) {
    isWider = false;
    for (const [root, on] of ties) if (widen(root, firstMs[on] ?? 0, lastMs[on] ?? 0)) isWider = true;
  }
  return (member) => {
    const root = together.find(member);
    return { firstMs: firstMs[root] ?? 0, lastMs: lastMs[root] ?? 0 };
  };
}
