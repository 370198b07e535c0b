import { isDeepStrictEqual } from "node:util";
import { NumberState } from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { Micros } from "../time/instant.ts";

// A timeline is what a carrier's holding of a number was, is and will be; readers see it at a
// moment. So scheduled changes take effect by the clock. The operations are in number-changes.ts.

/** No known end: the last microsecond of the year 9999. */
export const FOREVER: Micros = 253_402_300_799_999_999n;

/** Stated by the carrier. */
export interface NumberAttributes {
  readonly numberType: number;
  readonly usages: readonly number[];
  readonly capabilities: readonly number[];
  readonly countryCode?: string;
  readonly locationId?: string;
  readonly customerReference?: string;
  /** The customer that ordered it. */
  readonly customerId?: string;
}

/** Stated by the platform. */
export interface NumberAssignment {
  readonly customerId: string;
  readonly assigneeKind: number;
  readonly sipUri: string;
  readonly sipUriMade: boolean;
  readonly locationId?: string;
  readonly activationState: number;
  readonly activationFailure?: ActivationFailure;
}

export interface ActivationFailure {
  readonly reason: number;
  readonly actingParty: number;
  readonly message: string;
}

/** A period [start, end) in which a carrier held the number and its assignment did not change. */
export interface NumberPeriod {
  readonly start: Micros;
  /** FOREVER: no known end. */
  readonly end: Micros;
  /** When the holding began; equal in all its periods. */
  readonly holdingStart: Micros;
  readonly attributes: NumberAttributes;
  /** Absent: unassigned. */
  readonly assignment?: NumberAssignment;
  /** In the last period of an ended holding. */
  readonly endedAs?: EndState;
  /** Sequence of the entry that last told readers; 0: scheduled. */
  readonly revision: bigint;
  readonly recordedTime: Micros;
}

export type EndState = typeof NumberState.RELEASED | typeof NumberState.PORTED_OUT;

/** Ascending, without overlap. */
export type NumberTimeline = readonly NumberPeriod[];

export interface NumberKey {
  readonly carrierId: string;
  readonly phoneNumber: string;
}

/** A number at one moment, as tandem.type.v1.PhoneNumber. */
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

/** Undefined: the carrier does not hold the number then. */
export function periodAt(timeline: NumberTimeline, time: Micros): NumberPeriod | undefined {
  return timeline.find((period) => period.start <= time && time < period.end);
}

/** The time in which two timelines have different customers, or one has none; undefined: none. */
export function spanOfChange(
  before: NumberTimeline,
  after: NumberTimeline,
): { start: Micros; end: Micros } | undefined {
  const bounds = new Set([...before, ...after].flatMap(({ start, end }) => [start, end]));
  const times = [...bounds].sort((a, b) => (a < b ? -1 : 1));
  const customerAt = (timeline: NumberTimeline, time: Micros) => periodAt(timeline, time)?.assignment?.customerId;
  const isOther = (time: Micros) => customerAt(before, time) !== customerAt(after, time);
  const first = times.findIndex(isOther);
  const [start, end] = [times[first], times[times.findLastIndex(isOther) + 1]];
  return start === undefined || end === undefined ? undefined : { start, end };
}

/** The current period, else the last one; undefined before the first. */
export function rowAt(key: NumberKey, timeline: NumberTimeline, time: Micros): NumberRow | undefined {
  const period = timeline.findLast((candidate) => candidate.start <= time);
  return period && rowOfPeriod(key, period, time < period.end ? stateOf(period) : (period.endedAs ?? stateOf(period)));
}

/** The row that readers see within a period. */
export function rowOfPeriod(key: NumberKey, period: NumberPeriod, state: NumberState = stateOf(period)): NumberRow {
  const { assignment } = period;
  const { customerId: orderedBy, locationId: provisionedLocation, ...attributes } = period.attributes;
  const customerId = assignment ? assignment.customerId : orderedBy;
  const locationId = assignment ? assignment.locationId : provisionedLocation;
  const standing = state === NumberState.ASSIGNED ? assignment : undefined;
  return {
    carrierId: key.carrierId,
    phoneNumber: key.phoneNumber,
    telUri: `tel:${key.phoneNumber}`,
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

/** The periods before a time; the last one is cut. */
export function timelineBefore(timeline: NumberTimeline, time: Micros): NumberPeriod[] {
  return timeline.flatMap((period) => {
    if (period.start >= time) return [];
    return [period.end > time ? { ...period, end: time } : period];
  });
}

/** The periods from a time on; the first one is cut. */
export function timelineFrom(timeline: NumberTimeline, time: Micros): NumberPeriod[] {
  return timeline.flatMap((period) => {
    if (period.end <= time) return [];
    return [period.start < time ? { ...period, start: time } : period];
  });
}

/** Ends the last holding at a time after its start. */
export function endTimeline(timeline: NumberTimeline, time: Micros, endedAs: EndState): NumberTimeline {
  const kept = timelineBefore(timeline, time);
  const last = kept.at(-1);
  return last?.end === time ? [...kept.slice(0, -1), { ...last, endedAs }] : kept;
}

/** The timeline ends with the port; later changes go with the number. */
export function timelineUnderPort(timeline: NumberTimeline, portTime: Micros | undefined): NumberTimeline {
  return portTime === undefined ? timeline : endTimeline(timeline, portTime, NumberState.PORTED_OUT);
}

/** PROVISIONED or ASSIGNED. */
export function stateOf(period: NumberPeriod): NumberState {
  return period.assignment ? NumberState.ASSIGNED : NumberState.PROVISIONED;
}

export interface NumberStamp {
  readonly revision: bigint;
  readonly recordedTime: Micros;
}

/** Stamps new and changed periods; those that have not begun have no revision. */
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

export function isSameTimeline(before: NumberTimeline, after: NumberTimeline): boolean {
  return before.length === after.length && before.every((period, index) => period === after[index]);
}

/** Scheduled periods that have begun without an entry, ascending. */
export function findDuePeriods(timeline: NumberTimeline, now: Micros): NumberPeriod[] {
  return timeline.filter((period) => period.revision === 0n && period.start <= now);
}

/** The database's time, but not before the number's last change. */
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
