import { PartyKind } from "../calls/party.ts";
import { type Micros, utcDay } from "../time/instant.ts";
import type { ErasedNumber } from "./erased-number.ts";

/** In which role a person was in the calls; the numbers of tandem.platform.v1.SubjectRole. */
export const SubjectRole = { SUBSCRIBER: 1, OTHER_PARTY: 2, ANY: 3 } as const;
export type SubjectRole = (typeof SubjectRole)[keyof typeof SubjectRole];

/** Where an erasure stands; the numbers of tandem.platform.v1.ErasureState. */
export const ErasureState = {
  ACCEPTED: 1,
  RUNNING: 2,
  DRAINING: 3,
  COMPLETED_WITH_EXCEPTIONS: 4,
  COMPLETED: 5,
} as const;
export type ErasureState = (typeof ErasureState)[keyof typeof ErasureState];

/** What holds a part back; the numbers of tandem.platform.v1.ErasureExceptionReason. */
export const ExceptionReason = { HELD: 1, LEGAL_MINIMUM: 2, IN_SERVICE: 3, PENDING: 4 } as const;
export type ExceptionReason = (typeof ExceptionReason)[keyof typeof ExceptionReason];

/** What is to be erased: a number in calls of `[start, end)`, in a role. */
export interface ErasureScope {
  readonly erasureId: string;
  readonly number: ErasedNumber;
  readonly start: Micros;
  readonly end: Micros;
  readonly role: number;
}

/**
 * In place of a keyed hash that was erased: what it was made of can no longer be compared. A hash
 * that is 0 by itself is one in 2^64.
 */
export const ERASED_HASH = 0n;

/** The parties of a call, by the contract's names. */
export const PARTY_NAMES = ["calling", "asserted", "called", "dialed", "redirecting"] as const;
export type PartyName = (typeof PARTY_NAMES)[number];

/**
 * Which parties of a call a role reaches: a subscriber calls OUTBOUND and is called INBOUND,
 * another party the other way round. Of an OUTBOUND call that was forwarded for the platform's
 * user, who called is another party as well. A call of no direction is reached by every role.
 */
export function partiesInRole(role: number, direction: number, isForwarded: boolean): readonly PartyName[] {
  if (role === SubjectRole.ANY || direction === 0) return PARTY_NAMES;
  if ((role === SubjectRole.SUBSCRIBER) === (direction === 1)) return CALLERS;
  return direction === 1 && isForwarded ? [...CALLED, "calling", "asserted"] : CALLED;
}

/** Whether the number that a call is attributed to may be the person's. */
export function reachesSubscriber(role: number): boolean {
  return role !== SubjectRole.OTHER_PARTY;
}

/** Whether a call lies in the scope, by its start; by its day when it has none. */
export function isInScope(
  { start, end }: Pick<ErasureScope, "start" | "end">,
  call: { startTime: Micros | undefined; recordDate: string },
): boolean {
  if (call.startTime !== undefined) return call.startTime >= start && call.startTime < end;
  return call.recordDate >= utcDay(start) && call.recordDate <= utcDay(end - 1n);
}

/** A party of which nothing is left but its country. */
export function erasedParty(countryCode: string | undefined) {
  return { kind: PartyKind.ERASED, presentation: 0, ...(countryCode === undefined ? {} : { countryCode }) };
}

const CALLERS: readonly PartyName[] = ["calling", "asserted", "redirecting"];
const CALLED: readonly PartyName[] = ["called", "dialed"];
