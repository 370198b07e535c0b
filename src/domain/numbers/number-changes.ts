import { NumberState } from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { ErrorReason } from "../errors.ts";
import { DAY, type Micros } from "../time/instant.ts";
import {
  endTimeline,
  FOREVER,
  type NumberAssignment,
  type NumberAttributes,
  type NumberPeriod,
  type NumberTimeline,
  periodAt,
  timelineBefore,
  timelineFrom,
} from "./number-state.ts";

/** Why an item of a batch failed, as tandem.type.v1.NumberFailure. */
export interface NumberProblem {
  readonly reason: ErrorReason;
  /** Path of the wrong field within the item; empty: no single field. */
  readonly field: string;
  readonly message: string;
  readonly retryable: boolean;
}

export type TimelineChange = { readonly timeline: NumberTimeline } | { readonly problem: NumberProblem };

/** An effective time is at most this many days back. */
export const MAX_PAST_DAYS = 400;
/** An effective time is at most this many days ahead. */
export const MAX_AHEAD_DAYS = 366;

export function isEffectiveTime(time: Micros, now: Micros): boolean {
  return time >= now - BigInt(MAX_PAST_DAYS) * DAY && time <= now + BigInt(MAX_AHEAD_DAYS) * DAY;
}

/** Provisions a number, or gives a held one these attributes from now on. */
export function provision(
  timeline: NumberTimeline,
  attributes: NumberAttributes,
  now: Micros,
  effectiveTime?: Micros,
): TimelineChange {
  if (!periodAt(timeline, now)) return beginHolding(timeline, attributes, now, effectiveTime ?? now);
  const over = timeline.filter((period) => period.end <= now);
  const standing = timeline.filter((period) => period.end > now);
  for (const { assignment } of standing) {
    if (assignment && !attributes.usages.includes(assignment.assigneeKind)) {
      return conflict("usages", "the number is assigned, or is about to be, to a kind that is missing in these usages");
    }
    if (assignment && attributes.customerId !== undefined && attributes.customerId !== assignment.customerId) {
      return conflict("customer_id", "the number is assigned, or is about to be, to another customer");
    }
  }
  return { timeline: [...over, ...standing.map((period) => withAttributes(period, attributes))] };
}

function beginHolding(
  timeline: NumberTimeline,
  attributes: NumberAttributes,
  now: Micros,
  start: Micros,
): TimelineChange {
  const over = timelineBefore(timeline, now);
  if (start > now || !isEffectiveTime(start, now)) {
    return invalid("effective_time", "is in the future or more than 400 days back");
  }
  if (over.some((period) => period.end > start)) {
    return invalid("effective_time", "is before the end of the carrier's earlier holding");
  }
  const period = { start, end: FOREVER, holdingStart: start, attributes, revision: 0n, recordedTime: now };
  return { timeline: [...over, period] };
}

/** Ends an unassigned holding and drops its scheduled changes. A released one stays as it is. */
export function release(timeline: NumberTimeline, now: Micros): TimelineChange {
  const current = periodAt(timeline, now);
  if (!current) return timeline.at(-1)?.endedAs === NumberState.RELEASED ? { timeline } : notHeld();
  if (current.assignment) return conflict("", "the number is ASSIGNED: the platform must unassign it first");
  return { timeline: endTimeline(timeline, now, NumberState.RELEASED) };
}

export interface AssignmentRequest {
  readonly customerId: string;
  readonly assigneeKind: number;
  /** Absent: Tandem makes one, or keeps the one it made for this assignment. */
  readonly sipUri?: string;
  /** Absent: as provisioned. */
  readonly locationId?: string;
  /** Keeps the location of a standing assignment, since the caller may not set one. */
  readonly keepLocation: boolean;
  readonly activationState: number;
  readonly activationFailure?: NumberAssignment["activationFailure"];
  /** Absent: now, or the standing assignment's start. If given, replaces scheduled changes too. */
  readonly effectiveTime?: Micros;
  readonly makeSipUri: () => string;
}

/** Assigns a number from a past, present or future time, or updates a standing assignment. */
export function assign(timeline: NumberTimeline, request: AssignmentRequest, now: Micros): TimelineChange {
  const current = periodAt(timeline, now);
  if (!current) return notHeld();
  const problem = findAssignmentProblem(current.attributes, request);
  if (problem) return { problem };
  const time = request.effectiveTime ?? now;
  if (time > now) return scheduleAssignment(timeline, request, time, now);
  if (time < current.holdingStart) return invalid("effective_time", "is before the start of the carrier's holding");
  const since = timelineFrom(timeline, time).filter((period) => period.start <= now);
  if (since.some(({ assignment }) => assignment && assignment.customerId !== request.customerId)) {
    return conflict("customer_id", "the number is assigned to another customer, or was since then: unassign it first");
  }
  const assignment = makeAssignment(current, request);
  if (current.assignment && request.effectiveTime === undefined) {
    return { timeline: timeline.map((period) => (period === current ? { ...period, assignment } : period)) };
  }
  // The assignment began later than it was said to: before that the number was nobody's.
  const before =
    current.assignment && time > current.start ? freeBetween(timeline, current, time) : timelineBefore(timeline, time);
  return { timeline: join(before, { ...current, start: time, end: FOREVER, assignment }) };
}

/** Ends the assignment at a time (absent: now), or else withdraws a scheduled one. */
export function unassign(timeline: NumberTimeline, effectiveTime: Micros | undefined, now: Micros): TimelineChange {
  const current = periodAt(timeline, now);
  if (!current) return notHeld();
  const time = effectiveTime ?? now;
  const scheduled = timeline.find((period) => period.start > now && period.assignment);
  if (current.assignment && (time <= now || !scheduled || time <= scheduled.start)) {
    return endCurrent(timeline, current, scheduled, time);
  }
  return { timeline: scheduled ? endScheduled(timeline, scheduled, time) : timeline };
}

/** Undefined: the port can be scheduled, or done at once if the time is past. */
export function findPortProblem(timeline: NumberTimeline, time: Micros, now: Micros): NumberProblem | undefined {
  const current = periodAt(timeline, now);
  if (!current) return notHeld().problem;
  if (time > current.holdingStart) return undefined;
  return invalid("effective_time", "is not after the start of the carrier's holding").problem;
}

/** The periods that a port takes along, as a holding of their own. */
export function periodsMoved(timeline: NumberTimeline, time: Micros): NumberTimeline {
  return timelineFrom(timeline, time).map((period) => ({ ...period, holdingStart: time }));
}

/** The gaining carrier's timeline, without customer reference and with new SIP URIs of ours. */
export function arrive(timeline: NumberTimeline, moved: NumberTimeline, makeSipUri: () => string): NumberTimeline {
  const arrived = moved.map((period) => {
    const { customerReference: _, ...attributes } = period.attributes;
    const { assignment } = period;
    const own = assignment?.sipUriMade ? { assignment: { ...assignment, sipUri: makeSipUri() } } : {};
    return { ...period, ...own, attributes, revision: 0n };
  });
  // If the carriers' clocks differ, what arrived counts.
  return [...timelineBefore(timeline, moved[0]?.start ?? FOREVER), ...arrived];
}

export function notHeld(): { problem: NumberProblem } {
  const message = "the carrier does not hold the number";
  return { problem: { reason: "NUMBER_NOT_FOUND", field: "phone_number", message, retryable: false } };
}

export function invalid(field: string, message: string): { problem: NumberProblem } {
  return { problem: { reason: "INVALID_ARGUMENT", field, message: `${field}: ${message}`, retryable: false } };
}

export function conflict(field: string, message: string): { problem: NumberProblem } {
  return { problem: { reason: "NUMBER_STATE_CONFLICT", field, message, retryable: false } };
}

// Changes scheduled after it stay.
function endCurrent(
  timeline: NumberTimeline,
  current: NumberPeriod,
  scheduled: NumberPeriod | undefined,
  time: Micros,
): TimelineChange {
  if (time < current.start) return invalid("effective_time", "is before the start of the assignment");
  const ended = time > current.start ? [{ ...current, end: time }] : [];
  const before = [...timelineBefore(timeline, current.start), ...ended];
  const freed = join(before, unassigned(current, time, scheduled?.start ?? FOREVER));
  return { timeline: [...freed, ...(scheduled ? timelineFrom(timeline, scheduled.start) : [])] };
}

// Withdraws one that would end before it begins.
function endScheduled(timeline: NumberTimeline, scheduled: NumberPeriod, time: Micros): NumberTimeline {
  const before = timelineBefore(timeline, scheduled.start);
  if (time <= scheduled.start) return join(before, unassigned(scheduled, scheduled.start, FOREVER));
  return join([...before, { ...scheduled, end: time }], unassigned(scheduled, time, FOREVER));
}

// Replaces an earlier scheduled assignment; the number must be free at that time.
function scheduleAssignment(
  timeline: NumberTimeline,
  request: AssignmentRequest,
  time: Micros,
  now: Micros,
): TimelineChange {
  const scheduled = timeline.find((period) => period.start > now && period.assignment);
  const free = scheduled
    ? join(timelineBefore(timeline, scheduled.start), unassigned(scheduled, scheduled.start, FOREVER))
    : timeline;
  const there = periodAt(free, time);
  if (!there) return notHeld();
  if (there.assignment) {
    const whose =
      there.assignment.customerId === request.customerId ? "to this customer already" : "to another customer";
    return conflict("effective_time", `at that time the number is still assigned ${whose}: unassign it first`);
  }
  const standing = scheduled?.start === time ? scheduled : there;
  const assignment = makeAssignment(standing, request);
  return { timeline: join(timelineBefore(free, time), { ...there, start: time, end: FOREVER, assignment }) };
}

function findAssignmentProblem(attributes: NumberAttributes, request: AssignmentRequest): NumberProblem | undefined {
  if (!attributes.usages.includes(request.assigneeKind)) {
    return invalid("assignee_kind", "is not one of the number's usages").problem;
  }
  if (attributes.customerId !== undefined && attributes.customerId !== request.customerId) {
    return conflict("customer_id", "the number was ordered by another customer").problem;
  }
  return undefined;
}

function makeAssignment({ attributes, assignment }: NumberPeriod, request: AssignmentRequest): NumberAssignment {
  const standing = assignment?.customerId === request.customerId ? assignment : undefined;
  const kept = request.keepLocation && standing ? standing : attributes;
  const locationId = request.locationId ?? kept.locationId;
  const made = standing?.sipUriMade ? standing.sipUri : undefined;
  return {
    customerId: request.customerId,
    assigneeKind: request.assigneeKind,
    sipUri: request.sipUri ?? made ?? request.makeSipUri(),
    sipUriMade: request.sipUri === undefined,
    ...(locationId === undefined ? {} : { locationId }),
    activationState: request.activationState,
    ...(request.activationFailure ? { activationFailure: request.activationFailure } : {}),
  };
}

// A carrier's attributes do not change the assignment, except a location.
function withAttributes(period: NumberPeriod, attributes: NumberAttributes): NumberPeriod {
  if (!period.assignment || attributes.locationId === undefined) return { ...period, attributes };
  return { ...period, attributes, assignment: { ...period.assignment, locationId: attributes.locationId } };
}

function freeBetween(timeline: NumberTimeline, assigned: NumberPeriod, time: Micros): NumberPeriod[] {
  return join(timelineBefore(timeline, assigned.start), unassigned(assigned, assigned.start, time));
}

function unassigned(period: NumberPeriod, start: Micros, end: Micros): NumberPeriod {
  const { assignment: _, ...free } = period;
  return { ...free, start, end };
}

// Appends a period; drops empty ones and merges unassigned time.
function join(before: readonly NumberPeriod[], period: NumberPeriod): NumberPeriod[] {
  if (period.start >= period.end) return [...before];
  const last = before.at(-1);
  const goesOn =
    last &&
    !last.assignment &&
    !period.assignment &&
    last.holdingStart === period.holdingStart &&
    last.end === period.start;
  return goesOn ? [...before.slice(0, -1), { ...last, end: period.end }] : [...before, period];
}
