import { isDeepStrictEqual } from "node:util";
import { NumberState } from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { Micros } from "../time/instant.ts";
import { formatTelUri } from "./phone-number.ts";

// What a carrier's holding of one number was, is and will be is a timeline. The row that readers
// see is the timeline at a moment, so a change for the past or the future is the same operation as
// one for now, and a scheduled change takes effect by the clock alone. The operations are in
// number-changes.ts.

/** No known end: the last microsecond of the year 9999. */
export const FOREVER: Micros = 253_402_300_799_999_999n;

/** What the carrier states of a number when it provisions it. */
export interface NumberAttributes {
  readonly numberType: number;
  readonly usages: readonly number[];
  readonly capabilities: readonly number[];
  readonly countryCode?: string;
  readonly locationId?: string;
  readonly customerReference?: string;
  /** The customer that has ordered it. */
  readonly customerId?: string;
}

/** What the platform states of a number when it assigns it. */
export interface NumberAssignment {
  readonly customerId: string;
  readonly assigneeKind: number;
  readonly sipUri: string;
  /** Whether Tandem made the SIP URI, from the carrier's domain. */
  readonly sipUriMade: boolean;
  readonly locationId?: string;
  readonly activationState: number;
  readonly activationFailure?: ActivationFailure;
}

/** Why an assigned number cannot carry calls. */
export interface ActivationFailure {
  readonly reason: number;
  readonly actingParty: number;
  readonly message: string;
}

/**
 * A period in which one carrier held the number and its assignment did not change: [start, end).
 */
export interface NumberPeriod {
  readonly start: Micros;
  /** FOREVER while no end is known. */
  readonly end: Micros;
  /** When the carrier got the number; the same in all periods of one holding. */
  readonly holdingStart: Micros;
  readonly attributes: NumberAttributes;
  /** Absent while it is assigned to nobody. */
  readonly assignment?: NumberAssignment;
  /** Of the last period of a holding that is over: how it ended. */
  readonly endedAs?: EndState;
  /** Sequence of the entry by which readers learned of it last; 0 while it is scheduled. */
  readonly revision: bigint;
  readonly recordedTime: Micros;
}

/** How a holding ends. */
export type EndState = typeof NumberState.RELEASED | typeof NumberState.PORTED_OUT;

/** One carrier's periods of one number, ascending, without overlap. */
export type NumberTimeline = readonly NumberPeriod[];

/** Whose timeline it is. */
export interface NumberKey {
  readonly carrierId: string;
  readonly phoneNumber: string;
}

/** A number at its carrier at one moment, as tandem.type.v1.PhoneNumber has it. */
export interface NumberRow extends NumberKey {
  readonly telUri: string;
  readonly sipUri?: string;
  readonly customerId?: string;
  readonly customerReference?: string;
  readonly numberType: number;
  readonly usages: readonly number[];
  readonly capabilities: readonly number[];
  readonly countryCode?: string;
  readonly locationId?: string;
  readonly state: NumberState;
  /** 0 unless ASSIGNED, as assigneeKind. */
  readonly activationState: number;
  readonly activationFailure?: ActivationFailure;
  readonly assigneeKind: number;
  readonly effectiveStart: Micros;
  readonly effectiveEnd?: Micros;
  readonly recordedTime: Micros;
  readonly revision: bigint;
}

/** The period in which a moment lies; undefined when the carrier does not hold the number then. */
export function periodAt(timeline: NumberTimeline, time: Micros): NumberPeriod | undefined {
  return timeline.find((period) => period.start <= time && time < period.end);
}

/**
 * What readers see of a timeline at a moment: the period that it lies in, else the last that is
 * over; undefined before the first.
 */
export function rowAt(key: NumberKey, timeline: NumberTimeline, time: Micros): NumberRow | undefined {
  const period = timeline.findLast((candidate) => candidate.start <= time);
  return period && rowOfPeriod(key, period, time < period.end ? stateOf(period) : (period.endedAs ?? stateOf(period)));
}

/** A period as the row that readers saw, or will see, within it. */
export function rowOfPeriod(key: NumberKey, period: NumberPeriod, state: NumberState = stateOf(period)): NumberRow {
  const { assignment } = period;
  const { customerId: orderedBy, locationId: provisionedLocation, ...attributes } = period.attributes;
  const customerId = assignment ? assignment.customerId : orderedBy;
  const locationId = assignment ? assignment.locationId : provisionedLocation;
  const standing = state === NumberState.ASSIGNED ? assignment : undefined;
  return {
    carrierId: key.carrierId,
    phoneNumber: key.phoneNumber,
    telUri: formatTelUri(key.phoneNumber),
    ...attributes,
    ...(customerId === undefined ? {} : { customerId }),
    ...(locationId === undefined ? {} : { locationId }),
    ...(standing ? { sipUri: standing.sipUri } : {}),
    ...(standing?.activationFailure ? { activationFailure: standing.activationFailure } : {}),
    state,
    activationState: standing?.activationState ?? 0,
    assigneeKind: standing?.assigneeKind ?? 0,
    effectiveStart: period.start,
    ...(period.end === FOREVER ? {} : { effectiveEnd: period.end }),
    recordedTime: period.recordedTime,
    revision: period.revision,
  };
}

/** The periods before a time, the last one cut to end with it. */
export function timelineBefore(timeline: NumberTimeline, time: Micros): NumberPeriod[] {
  return timeline.flatMap((period) => {
    if (period.start >= time) return [];
    return [period.end > time ? { ...period, end: time } : period];
  });
}

/** The periods from a time on, the first one cut to begin with it. */
export function timelineFrom(timeline: NumberTimeline, time: Micros): NumberPeriod[] {
  return timeline.flatMap((period) => {
    if (period.end <= time) return [];
    return [period.start < time ? { ...period, start: time } : period];
  });
}

/** A timeline whose last holding ends at a time, which must lie after its start. */
export function endTimeline(timeline: NumberTimeline, time: Micros, endedAs: EndState): NumberTimeline {
  const kept = timelineBefore(timeline, time);
  const last = kept.at(-1);
  return last?.end === time ? [...kept.slice(0, -1), { ...last, endedAs }] : kept;
}

/**
 * A timeline as readers see it while a port is scheduled: it ends with the port, which its last row
 * names as its end. What is scheduled for later still stands in the timeline itself, and goes with
 * the number.
 */
export function timelineUnderPort(timeline: NumberTimeline, portTime: Micros | undefined): NumberTimeline {
  return portTime === undefined ? timeline : endTimeline(timeline, portTime, NumberState.PORTED_OUT);
}

/** What a period says: PROVISIONED or ASSIGNED. */
export function stateOf(period: NumberPeriod): NumberState {
  return period.assignment ? NumberState.ASSIGNED : NumberState.PROVISIONED;
}

/** What an entry of the feed puts on what it changed. */
export interface NumberStamp {
  readonly revision: bigint;
  readonly recordedTime: Micros;
}

/**
 * A changed timeline with its stamp on every period that is new or differs, and the very periods of
 * before where nothing did. What has not begun has no revision yet.
 */
export function stampTimeline(
  before: NumberTimeline,
  after: NumberTimeline,
  now: Micros,
  stamp: NumberStamp,
): NumberTimeline {
  return after.map((period) => {
    const known = before.find((candidate) => candidate.start === period.start);
    if (known && isSamePeriod(known, period)) return known;
    return { ...period, recordedTime: stamp.recordedTime, revision: period.start > now ? 0n : stamp.revision };
  });
}

/** Whether a stamped timeline is the one that it was made from. */
export function isSameTimeline(before: NumberTimeline, after: NumberTimeline): boolean {
  return before.length === after.length && before.every((period, index) => period === after[index]);
}

/**
 * The periods that have begun without an entry to say so: what was scheduled and is due, ascending.
 */
export function findDuePeriods(timeline: NumberTimeline, now: Micros): NumberPeriod[] {
  return timeline.filter((period) => period.revision === 0n && period.start <= now);
}

/**
 * The time of a change: the database's, but never before what has already happened to the number,
 * should that clock have been set back.
 */
export function timeOfChange(timeline: NumberTimeline, clock: Micros): Micros {
  let time = clock;
  for (const period of timeline) {
    if (period.revision === 0n) continue;
    if (period.start >= time) time = period.start + 1n;
    if (period.endedAs !== undefined && period.end > time) time = period.end;
  }
  return time;
}

function isSamePeriod(a: NumberPeriod, b: NumberPeriod): boolean {
  return isDeepStrictEqual({ ...a, revision: 0n, recordedTime: 0n }, { ...b, revision: 0n, recordedTime: 0n });
}
