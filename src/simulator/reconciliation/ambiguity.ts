import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { type CallEnds, directionOf } from "./parties.ts";
import type { Signalling } from "./planned-call.ts";
import type { CallClock } from "./platform-record.ts";

/**
 * Two calls of one pair and direction that are no further apart than this can be taken for each
 * other.
 */
const RIVAL_MS = 60_000;
/** Longest from an invite to its answer or end without one: setup and ringing. */
const MAX_SETUP_MS = 200_000;

/** What can be seen of a call that another might be taken for. */
export interface VisibleCall {
  readonly ends: CallEnds;
  readonly clock: CallClock;
  readonly signalling: Signalling;
  /** Whether each side has a record of it. */
  readonly isPaired: boolean;
}

/** Which calls are ambiguous, by their index. */
export function findAmbiguous(calls: readonly VisibleCall[]): Set<number> {
  const ambiguous = new Set<number>();
  const byCalled = Map.groupBy(calls.keys(), (index) => endsKey(calls[index]));
  for (const indexes of byCalled.values()) markRivals(calls, indexes, ambiguous);
  return ambiguous;
}

function markRivals(calls: readonly VisibleCall[], indexes: readonly number[], ambiguous: Set<number>): void {
  const inOrder = indexes.toSorted((a, b) => startOf(calls[a]) - startOf(calls[b]));
  for (const [place, index] of inOrder.entries()) {
    for (const other of inOrder.slice(place + 1)) {
      if (startOf(calls[other]) - startOf(calls[index]) > RIVAL_MS + MAX_SETUP_MS) break;
      const [a, b] = [calls[index], calls[other]];
      if (!a || !b || !areRivals(a, b)) continue;
      ambiguous.add(index);
      ambiguous.add(other);
    }
  }
}

function areRivals(a: VisibleCall, b: VisibleCall): boolean {
  return isNear(a.clock, b.clock) && areOfSameParties(a.ends, b.ends) && !areToldApart(a, b);
}

/**
 * Near by the invite, or by the answer, which is what two records are compared by when both have
 * one.
 */
function isNear(a: CallClock, b: CallClock): boolean {
  if (Math.abs(a.inviteMs - b.inviteMs) <= RIVAL_MS) return true;
  return a.answerMs !== undefined && b.answerMs !== undefined && Math.abs(a.answerMs - b.answerMs) <= RIVAL_MS;
}

/**
 * An id of its own that both sides have joins a call whatever is near. One that only one side has
 * joins nothing, and so tells nothing.
 */
function areToldApart(a: VisibleCall, b: VisibleCall): boolean {
  return [a, b].some(({ signalling, isPaired }) => signalling.ids === "own" && isPaired);
}

/**
 * Whether two calls to one number may be of one caller: the other's is not shown, or is among those
 * that are.
 */
export function areOfSameParties(a: CallEnds, b: CallEnds): boolean {
  if (a.kind === "inboundRestricted" || b.kind === "inboundRestricted") return true;
  return callersOf(a).some((caller) => callersOf(b).includes(caller));
}

function callersOf({ kind, number, contact, originalCaller }: CallEnds): string[] {
  if (kind === "inbound") return [contact.value];
  return kind === "forwarded" ? [number.phoneNumber, originalCaller.value] : [number.phoneNumber];
}

/** Who is called, as a text that tells them apart. */
export function calledKey({ kind, number, contact }: CallEnds): string {
  if (kind === "emergency") return "emergency";
  return directionOf(kind) === Direction.INBOUND ? `in ${number.phoneNumber}` : `out ${contact.value}`;
}

function endsKey(call: VisibleCall | undefined): string {
  return call ? calledKey(call.ends) : "";
}

function startOf(call: VisibleCall | undefined): number {
  return call?.clock.inviteMs ?? 0;
}
