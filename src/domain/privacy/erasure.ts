import { PartyKind } from "../calls/party.ts";
import { type Micros, utcDay } from "../time/instant.ts";
import type { ErasedNumber } from "./erased-number.ts";

/** The numbers of tandem.platform.v1.SubjectRole. */
export const SubjectRole = { SUBSCRIBER: 1, OTHER_PARTY: 2, ANY: 3 } as const;
export type SubjectRole = (typeof SubjectRole)[keyof typeof SubjectRole];

/** The numbers of tandem.platform.v1.ErasureState. */
export const ErasureState = {
  ACCEPTED: 1,
  RUNNING: 2,
  DRAINING: 3,
  COMPLETED_WITH_EXCEPTIONS: 4,
  COMPLETED: 5,
} as const;
export type ErasureState = (typeof ErasureState)[keyof typeof ErasureState];

/** The numbers of tandem.platform.v1.ErasureExceptionReason. */
export const ExceptionReason = { HELD: 1, LEGAL_MINIMUM: 2, IN_SERVICE: 3, PENDING: 4 } as const;
export type ExceptionReason = (typeof ExceptionReason)[keyof typeof ExceptionReason];

/** A number to erase, in calls of `[start, end)`, in a role. */
export interface ErasureScope {
  readonly erasureId: string;
  readonly number: ErasedNumber;
  readonly start: Micros;
  readonly end: Micros;
  readonly role: number;
}

/** Replaces an erased hash, which can no longer be compared. A real hash is 0 once in 2^64. */
export const ERASED_HASH = 0n;

export const PARTY_NAMES = ["calling", "asserted", "called", "dialed", "redirecting"] as const;
export type PartyName = (typeof PARTY_NAMES)[number];

/**
 * The parties that a role reaches. A subscriber is the caller when OUTBOUND and the called party
 * when INBOUND; another party the reverse. If an OUTBOUND call was forwarded, its first caller is
 * another party too. A call without direction is reached whole.
 */
export function partiesInRole(role: number, direction: number, isForwarded: boolean): readonly PartyName[] {
  if (role === SubjectRole.ANY || direction === 0) return PARTY_NAMES;
  if ((role === SubjectRole.SUBSCRIBER) === (direction === 1)) return CALLERS;
  return direction === 1 && isForwarded ? [...CALLED, "calling", "asserted"] : CALLED;
}

/** Whether the attributed number may be the person's. */
export function reachesSubscriber(role: number): boolean {
  return role !== SubjectRole.OTHER_PARTY;
}

/** By the call's start, or else its day. */
export function isInScope(
  { start, end }: Pick<ErasureScope, "start" | "end">,
  call: { startTime: Micros | undefined; recordDate: string },
): boolean {
  if (call.startTime !== undefined) return call.startTime >= start && call.startTime < end;
  return call.recordDate >= utcDay(start) && call.recordDate <= utcDay(end - 1n);
}

/** Only its country is left. */
export function erasedParty(countryCode: string | undefined) {
  return { kind: PartyKind.ERASED, presentation: 0, ...(countryCode === undefined ? {} : { countryCode }) };
}

const CALLERS: readonly PartyName[] = ["calling", "asserted", "redirecting"];
const CALLED: readonly PartyName[] = ["called", "dialed"];
