import { areOfSameParties, calledKey } from "../../src/simulator/reconciliation/ambiguity.ts";
import { bestOtherReading, misfitOfTruth, type SeenCall } from "./readings.ts";
import { seenCallsOf } from "./seen-calls.ts";
import type { TrafficCall } from "./site.ts";

/** Calls no further apart than this, by invite or answer, can be taken for each other. */
const RIVAL_MS = 60_000;
/** Longest from an invite to its answer. */
const MAX_SETUP_MS = 200_000;
/** A reading that is not so many times less likely than the truth cannot be told from it. */
const LIKELY_MARGIN = Math.log(20);

/**
 * Which calls nobody can tell for certain, by their index. Two calls of the same parties are near
 * each other, and their records read another way are nearly as likely as the truth, or likelier.
 * Tries every reading of any two such calls, with the noise that the simulator put in.
 */
export function findUndecidable(calls: readonly TrafficCall[]): Set<number> {
  const undecidable = new Set<number>();
  const seen = calls.flatMap((call, index) => seenCallsOf(call, index));
  for (const group of Map.groupBy(seen, ({ ends }) => calledKey(ends)).values()) {
    const inOrder = group.toSorted((a, b) => a.startMs - b.startMs);
    for (const [place, call] of inOrder.entries()) {
      for (const other of inOrder.slice(place + 1)) {
        if (other.startMs - call.startMs > RIVAL_MS + MAX_SETUP_MS) break;
        if (areRivals(call, other) && isOtherReadingLikely(call, other)) undecidable.add(call.index).add(other.index);
      }
    }
  }
  return undecidable;
}

function areRivals(a: SeenCall, b: SeenCall): boolean {
  const isNear = b.startMs - a.startMs <= RIVAL_MS || Math.abs((a.answerMs ?? 0) - (b.answerMs ?? 0)) <= RIVAL_MS;
  return isNear && areOfSameParties(a.ends, b.ends);
}

function isOtherReadingLikely(a: SeenCall, b: SeenCall): boolean {
  return bestOtherReading(a, b) - misfitOfTruth(a, b) < LIKELY_MARGIN;
}
