import { SubjectRole } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import { type Micros, utcDay } from "../time/instant.ts";
import type { ErasedNumber } from "./erased-number.ts";

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
  if (role === SubjectRole.ANY || direction === Direction.UNSPECIFIED) return PARTY_NAMES;
  if ((role === SubjectRole.SUBSCRIBER) === (direction === Direction.OUTBOUND)) return CALLERS;
  return direction === Direction.OUTBOUND && isForwarded ? [...CALLED, "calling", "asserted"] : CALLED;
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
