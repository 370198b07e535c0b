import { SubjectRole } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import { type Micros, utcDay } from "../time/instant.ts";
import type { ErasedNumber } from "./erased-number.ts";

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
 * The parties that a role reaches. A subscriber is the caller when OUTBOUND and the called when
 * INBOUND; another party the reverse, and the first caller of a forwarded OUTBOUND call too.
 * Without direction: all.
 */
export function partiesInRole(role: number, direction: number, isForwarded: boolean): readonly PartyName[] {
  if (role === SubjectRole.ANY || direction === Direction.UNSPECIFIED) return PARTY_NAMES;
  if ((role === SubjectRole.SUBSCRIBER) === (direction === Direction.OUTBOUND)) return CALLERS;
  return direction === Direction.OUTBOUND && isForwarded ? [...CALLED, "calling", "asserted"] : CALLED;
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
