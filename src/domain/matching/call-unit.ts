import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import type {
  CarrierFacts,
  ClockOffset,
  CommonFacts,
  MatchingAgreement,
  MatchingInput,
  PlatformFacts,
} from "./facts.ts";
import { type CallNumbers, numbersOf } from "./number-keys.ts";

/**
 * One side's call as matching sees it: a record, or the parts of a split call. The carrier's times
 * are corrected by its offset.
 */
export interface CallUnit<Facts extends CommonFacts = CommonFacts> {
  readonly facts: Facts;
  readonly records: readonly Facts[];
  readonly numbers: CallNumbers;
  readonly inviteMs: number | undefined;
  readonly answerMs: number | undefined;
  readonly endMs: number | undefined;
  /** Invite, else answer, else the begin of its day. */
  readonly startMs: number;
  /** The start of its last record. */
  readonly lastStartMs: number;
  readonly answered: boolean;
  /** Answer to end; 0: unanswered; undefined: unknown. */
  readonly connectedMs: number | undefined;
  /** When its last record first arrived. */
  readonly arrivalMs: number;
  /** Its resolution widens the window by this, milliseconds. */
  readonly slackMs: number;
}

export type PlatformUnit = CallUnit<PlatformFacts>;

export interface CarrierUnit extends CallUnit<CarrierFacts> {
  /** Undefined: unknown. */
  readonly offset: ClockOffset | undefined;
  readonly billedS: number | undefined;
  /** Whether a part is missing before the last known one, or after it. */
  readonly lacksParts: boolean;
  readonly lacksFirstPart: boolean;
}

export function platformUnit(facts: PlatformFacts): PlatformUnit {
  const { inviteMs, answerMs, endMs, answered } = facts;
  const startMs = inviteMs ?? answerMs ?? dayStart(facts);
  return {
    facts,
    records: [facts],
    numbers: numbersOf(facts),
    inviteMs,
    answerMs,
    endMs,
    startMs,
    lastStartMs: startMs,
    answered,
    connectedMs: connectedAtPlatform(facts),
    arrivalMs: arrivalOf(facts),
    slackMs: 0,
  };
}

export function carrierUnit(facts: CarrierFacts, offsetOf: MatchingInput["offsetOf"]): CarrierUnit {
  const offset = offsetOf(facts);
  const offsetMs = offset?.offsetMs ?? 0;
  const corrected = (ms: number | undefined) => (ms === undefined ? undefined : ms - offsetMs);
  const { inviteMs, answerMs, answered, part } = facts;
  const reportedMs = inviteMs ?? answerMs;
  const startMs = reportedMs === undefined ? dayStart(facts) : reportedMs - offsetMs;
  return {
    facts,
    records: [facts],
    numbers: numbersOf(facts),
    inviteMs: corrected(inviteMs),
    answerMs: corrected(answerMs),
    endMs: corrected(facts.endMs),
    startMs,
    lastStartMs: startMs,
    answered,
    connectedMs: connectedAtCarrier(facts),
    arrivalMs: arrivalOf(facts),
    // A time written in steps of n milliseconds is up to n - 1 too early.
    slackMs: Math.max(0, facts.resolutionMs - 1),
    offset,
    billedS: facts.billedS,
    lacksParts: part !== undefined && lacksParts([facts]),
    lacksFirstPart: part !== undefined && part.index > 1,
  };
}

/**
 * Merges the carrier's units, in order, into one call: first invite and answer, last end, sums of
 * the durations.
 */
export function mergeUnits(units: readonly [CarrierUnit, ...CarrierUnit[]]): CarrierUnit {
  const [first] = units;
  const last = units.at(-1) ?? first;
  const records = units.flatMap((unit) => unit.records);
  return {
    ...first,
    records,
    answerMs: units.find((unit) => unit.answerMs !== undefined)?.answerMs,
    endMs: last.endMs,
    lastStartMs: last.lastStartMs,
    answered: units.some((unit) => unit.answered),
    connectedMs: sum(units.map((unit) => unit.connectedMs)),
    arrivalMs: Math.max(...units.map((unit) => unit.arrivalMs)),
    billedS: sum(units.map((unit) => unit.billedS)),
    lacksParts: lacksParts(records),
  };
}

export function withOffset(unit: CarrierUnit, offset: ClockOffset): CarrierUnit {
  const byMs = (unit.offset?.offsetMs ?? 0) - offset.offsetMs;
  const moved = (ms: number | undefined) => (ms === undefined ? undefined : ms + byMs);
  return {
    ...unit,
    inviteMs: moved(unit.inviteMs),
    answerMs: moved(unit.answerMs),
    endMs: moved(unit.endMs),
    startMs: unit.startMs + byMs,
    lastStartMs: unit.lastStartMs + byMs,
    offset,
  };
}

/** The length by the finest figure, milliseconds; undefined: unknown. */
export function lengthOf(unit: CallUnit): number | undefined {
  if (unit.connectedMs !== undefined) return unit.connectedMs;
  const billedS = (unit as Partial<CarrierUnit>).billedS;
  return billedS === undefined ? undefined : billedS * 1_000;
}

/** By start, then by identity, so that the order of the input does not matter. */
export function byStart(a: CallUnit, b: CallUnit): number {
  return a.startMs - b.startMs || compareIdentity(a.facts, b.facts);
}

export function compareIdentity(a: CommonFacts, b: CommonFacts): number {
  if (a.recordDate !== b.recordDate) return a.recordDate < b.recordDate ? -1 : 1;
  if (a.recordId !== b.recordId) return a.recordId < b.recordId ? -1 : 1;
  return a.revision - b.revision;
}

/**
 * The difference of like times, b minus a: answers, else invites, else one invite and one answer.
 * Undefined: a side has no times.
 */
export function startDelta(a: CallUnit, b: CallUnit): number | undefined {
  if (a.answerMs !== undefined && b.answerMs !== undefined) return b.answerMs - a.answerMs;
  if (a.inviteMs !== undefined && b.inviteMs !== undefined) return b.inviteMs - a.inviteMs;
  const mine = a.inviteMs ?? a.answerMs;
  const others = b.inviteMs ?? b.answerMs;
  return mine === undefined || others === undefined ? undefined : others - mine;
}

/** Whether `startDelta` compares times of one event. */
export function hasLikeTimes(a: CallUnit, b: CallUnit): boolean {
  const areAnswers = a.answerMs !== undefined && b.answerMs !== undefined;
  return areAnswers || (a.inviteMs !== undefined && b.inviteMs !== undefined);
}

export function beginOf({ answerMs, startMs }: CallUnit): number {
  return answerMs ?? startMs;
}

export function showsBothParties({ numbers }: CallUnit): boolean {
  return numbers.callers.length > 0 && numbers.called.length > 0;
}

/** When the first revision arrived; corrections do not make a record late. */
export function arrivalOf(facts: CommonFacts): number {
  return facts.firstIngestMs ?? facts.ingestMs;
}

/** A switch that writes coarser times than this knows its bill better than its times. */
const FINE_RESOLUTION_MS = 1_000;

/** Answer to end of a platform's record; 0: unanswered; undefined: unknown. */
export function connectedAtPlatform({ answered, connectedMs, answerMs, endMs }: PlatformFacts): number | undefined {
  return answered ? (connectedMs ?? timeBetween(answerMs, endMs)) : 0;
}

/** Answer to end of a carrier's record; 0: unanswered; undefined: unknown. */
export function connectedAtCarrier(facts: CarrierFacts): number | undefined {
  const { answered, connectedMs, answerMs, endMs, billedS, resolutionMs } = facts;
  if (!answered) return 0;
  if (connectedMs !== undefined) return connectedMs;
  return billedS === undefined || resolutionMs <= FINE_RESOLUTION_MS ? timeBetween(answerMs, endMs) : undefined;
}

/**
 * From a call's end to the begin of the next, milliseconds; undefined: that begins before its
 * middle, as a copy of a short call does.
 */
export function gapBefore(next: CallUnit, last: CallUnit): number | undefined {
  if (last.endMs === undefined) return undefined;
  const isBehind = (beginOf(next) - beginOf(last)) * 2 > last.endMs - beginOf(last);
  return isBehind ? beginOf(next) - last.endMs : undefined;
}

/** From one time to another, at least 0; undefined: one is not known. */
export function timeBetween(fromMs: number | undefined, toMs: number | undefined): number | undefined {
  return fromMs === undefined || toMs === undefined ? undefined : Math.max(0, toMs - fromMs);
}

function sum(values: readonly (number | undefined)[]): number | undefined {
  let total = 0;
  for (const value of values) {
    if (value === undefined) return undefined;
    total += value;
  }
  return total;
}

function lacksParts(records: readonly CarrierFacts[]): boolean {
  const parts = records.flatMap((record) => record.part ?? []);
  const last = parts.at(-1);
  if (last === undefined) return false;
  const count = parts.find((part) => part.count !== undefined)?.count;
  if (last.isLast === false && last.index !== count) return true;
  return new Set(parts.map((part) => part.index)).size < (count ?? last.index);
}

function dayStart({ recordDate }: CommonFacts): number {
  return Date.parse(`${recordDate}T00:00:00Z`);
}

/** Whether the carrier must report the call. A call in progress may yet be answered. */
export function isPlatformInScope(
  { facts, startMs }: Pick<PlatformUnit, "facts" | "startMs">,
  agreement: MatchingAgreement,
): boolean {
  const { direction, isEmergency, isPartial, answered } = facts;
  return isInScope({ direction, isEmergency, answered: answered || isPartial, startMs }, agreement);
}

export function isCarrierInScope(
  { facts, startMs, answered }: Pick<CarrierUnit, "facts" | "startMs" | "answered">,
  agreement: MatchingAgreement,
): boolean {
  const isEmergency = facts.called?.kind === PartyKind.EMERGENCY || facts.dialed?.kind === PartyKind.EMERGENCY;
  return isInScope({ direction: facts.direction, isEmergency, answered, startMs }, agreement);
}

interface ScopedCall {
  readonly direction: number;
  readonly isEmergency: boolean;
  readonly answered: boolean;
  readonly startMs: number;
}

export function isInScope(call: ScopedCall, { scopeAt }: MatchingAgreement): boolean {
  const scope = scopeAt(call.startMs);
  if (scope === undefined || !scope.directions.includes(call.direction)) return false;
  return (call.answered || scope.unanswered) && (!call.isEmergency || scope.emergency);
}
