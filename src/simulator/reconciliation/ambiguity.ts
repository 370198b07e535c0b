import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { directionOf } from "../call-parties.ts";
import type { CallEnds } from "./parties.ts";
import type { Signalling } from "./planned-call.ts";
import type { CallClock } from "./platform-record.ts";

/** Two calls of one pair that begin so close together can be taken for each other. */
const RIVAL_MS = 60_000;
/** Longest setup and ringing. */
const MAX_SETUP_MS = 200_000;

/** A call, as far as another could be taken for it. */
export interface VisibleCall {
  readonly ends: CallEnds;
  readonly clock: CallClock;
  readonly signalling: Signalling;
  /** Whether each side has a record of it. */
  readonly isPaired: boolean;
}

/** Those of the calls that are ambiguous. */
export function findAmbiguous<Call extends VisibleCall>(calls: readonly Call[]): Set<Call> {
  const ambiguous = new Set<Call>();
  for (const group of Map.groupBy(calls, ({ ends }) => calledKey(ends)).values()) {
    const inOrder = group.toSorted((a, b) => a.clock.inviteMs - b.clock.inviteMs);
    for (const [place, call] of inOrder.entries()) {
      for (const other of inOrder.slice(place + 1)) {
        if (other.clock.inviteMs - call.clock.inviteMs > RIVAL_MS + MAX_SETUP_MS) break;
        if (areRivals(call, other)) ambiguous.add(call).add(other);
      }
    }
  }
  return ambiguous;
}

function areRivals(a: VisibleCall, b: VisibleCall): boolean {
  return isNear(a.clock, b.clock) && areOfSameParties(a.ends, b.ends) && !areToldApart(a, b);
}

/** By the invite, or by the answer, by which two answered calls are compared. */
function isNear(a: CallClock, b: CallClock): boolean {
  if (Math.abs(a.inviteMs - b.inviteMs) <= RIVAL_MS) return true;
  return a.answerMs !== undefined && b.answerMs !== undefined && Math.abs(a.answerMs - b.answerMs) <= RIVAL_MS;
}

/** An id tells a call apart only if both sides have it. */
function areToldApart(a: VisibleCall, b: VisibleCall): boolean {
  return [a, b].some(({ signalling, isPaired }) => signalling.ids === "own" && isPaired);
}

/** Whether two calls to one number may have one caller: they share one, or one hides it. */
export function areOfSameParties(a: CallEnds, b: CallEnds): boolean {
  if (a.kind === "inboundRestricted" || b.kind === "inboundRestricted") return true;
  return callersOf(a).some((caller) => callersOf(b).includes(caller));
}

function callersOf({ kind, number, contact, originalCaller }: CallEnds): string[] {
  if (kind === "inbound") return [contact.value];
  return kind === "forwarded" ? [number.phoneNumber, originalCaller.value] : [number.phoneNumber];
}

/** The called party, as a text. */
export function calledKey({ kind, number, contact }: CallEnds): string {
  if (kind === "emergency") return "emergency";
  return directionOf(kind) === Direction.INBOUND ? `in ${number.phoneNumber}` : `out ${contact.value}`;
}
