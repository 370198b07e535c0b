import type { CarrierFacts, ClockOffset, CommonFacts, MatchingInput, PlatformFacts } from "./facts.ts";
import { type CallNumbers, numbersOf } from "./number-keys.ts";

/**
 * One side's call as matching sees it: a record, or the merged parts of a split call. The carrier's
 * offset is taken off its times.
 */
export interface CallUnit<Facts extends CommonFacts = CommonFacts> {
  readonly facts: Facts;
  /** In their order. */
  readonly records: readonly Facts[];
  readonly numbers: CallNumbers;
  readonly inviteMs: number | undefined;
  readonly answerMs: number | undefined;
  readonly endMs: number | undefined;
  /** Invite, else answer, else the begin of its day. */
  readonly startMs: number;
  /** The same for its last record. */
  readonly lastStartMs: number;
  readonly answered: boolean;
  /** Answer to end; 0 when unanswered, undefined when not known. */
  readonly connectedMs: number | undefined;
  /** When its last record first arrived. */
  readonly arrivalMs: number;
  /** The resolution of its times widens the window by this much, milliseconds. */
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
    connectedMs: answered ? (facts.connectedMs ?? timeBetween(answerMs, endMs)) : 0,
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
    connectedMs: answered ? connectedOf(facts) : 0,
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
 * Merges the carrier's units, in their order, into one call: first invite and answer, last end,
 * sums of the durations.
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

/** The unit with another offset taken off its times. */
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

/** The call's length by its finest figure, milliseconds; undefined: unknown. */
export function lengthOf(unit: CallUnit): number | undefined {
  if (unit.connectedMs !== undefined) return unit.connectedMs;
  const billedS = (unit as Partial<CarrierUnit>).billedS;
  return billedS === undefined ? undefined : billedS * 1_000;
}

/** Orders by start, then by identity, so that the order of the input does not matter. */
export function byStart(a: CallUnit, b: CallUnit): number {
  return a.startMs - b.startMs || compareIdentity(a.facts, b.facts);
}

/** By day, then by id. */
export function compareIdentity(a: CommonFacts, b: CommonFacts): number {
  if (a.recordDate !== b.recordDate) return a.recordDate < b.recordDate ? -1 : 1;
  if (a.recordId !== b.recordId) return a.recordId < b.recordId ? -1 : 1;
  return a.revision - b.revision;
}

/**
 * The difference of like times, b minus a: answers if both have one, else invites, else one side's
 * invite against the other's answer. Undefined when a side has no times.
 */
export function startDelta(a: CallUnit, b: CallUnit): number | undefined {
  if (a.answerMs !== undefined && b.answerMs !== undefined) return b.answerMs - a.answerMs;
  if (a.inviteMs !== undefined && b.inviteMs !== undefined) return b.inviteMs - a.inviteMs;
  const mine = a.inviteMs ?? a.answerMs;
  const others = b.inviteMs ?? b.answerMs;
  return mine === undefined || others === undefined ? undefined : others - mine;
}

/** Whether `startDelta` compares times of the same event. */
export function hasLikeTimes(a: CallUnit, b: CallUnit): boolean {
  const areAnswers = a.answerMs !== undefined && b.answerMs !== undefined;
  return areAnswers || (a.inviteMs !== undefined && b.inviteMs !== undefined);
}

/** When the connected time begins, if known. */
export function beginOf({ answerMs, startMs }: CallUnit): number {
  return answerMs ?? startMs;
}

/** Whether both caller and called party are shown. */
export function showsBothParties({ numbers }: CallUnit): boolean {
  return numbers.callers.length > 0 && numbers.called.length > 0;
}

/** When the record first arrived; corrections do not make it late. */
export function arrivalOf(facts: CommonFacts): number {
  return facts.firstIngestMs ?? facts.ingestMs;
}

/**
 * A switch that writes whole minutes knows its bill better than its times; one that writes seconds
 * does not.
 */
const FINE_RESOLUTION_MS = 1_000;

function connectedOf({ connectedMs, answerMs, endMs, billedS, resolutionMs }: CarrierFacts): number | undefined {
  if (connectedMs !== undefined) return connectedMs;
  return billedS === undefined || resolutionMs <= FINE_RESOLUTION_MS ? timeBetween(answerMs, endMs) : undefined;
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
