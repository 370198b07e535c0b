import { areAlike } from "./clock-votes.ts";

/** A call without a counterpart near it. */
export interface FarCall {
  /** As written, milliseconds since 1970. */
  readonly startMs: number;
  /** Undefined: unknown. */
  readonly lengthMs: number | undefined;
}

/** The platform's call that goes with the carrier's. */
export interface FarMate<C> {
  readonly call: C;
  readonly isAlike: boolean;
}

/** A zone shift of at most 14 h, its rest, and the window. */
export const FAR_REACH_MS = 15 * 3_600_000;
/** With more calls within reach, two parties' calls cannot be told apart. */
const MOST_WITHIN_REACH = 50;

/**
 * Pairs lacking calls of the same two parties whose clocks are hours apart. A pair must be each
 * other's only candidate within 15 h whose length agrees, or the only candidate at all.
 */
export function pairFarCalls<C extends FarCall>(platform: readonly C[], carrier: readonly C[]): Map<C, FarMate<C>> {
  const calls = platform.toSorted(byTime);
  const records = carrier.toSorted(byTime);
  const mates = new Map<C, FarMate<C>>();
  for (const record of records) {
    const there = only(record, calls);
    if (there.alike !== undefined && only(there.alike, records).alike === record) {
      mates.set(record, { call: there.alike, isAlike: true });
    } else if (there.any !== undefined && only(there.any, records).any === record) {
      mates.set(record, { call: there.any, isAlike: false });
    }
  }
  return mates;
}

interface Only<C> {
  /** The only candidate within reach. */
  readonly any?: C | undefined;
  /** The only one whose length agrees. */
  readonly alike?: C | undefined;
}

function only<C extends FarCall>(call: C, others: readonly C[]): Only<C> {
  const start = firstAtOrAfter(others, call.startMs - FAR_REACH_MS);
  const within: C[] = [];
  for (let at = start; at < others.length && within.length <= MOST_WITHIN_REACH; at++) {
    const other = others[at];
    if (other === undefined || other.startMs > call.startMs + FAR_REACH_MS) break;
    within.push(other);
  }
  if (within.length > MOST_WITHIN_REACH) return {};
  const alike = within.filter(({ lengthMs }) => areAlike(lengthMs, call.lengthMs));
  return {
    any: within.length === 1 ? within[0] : undefined,
    alike: alike.length === 1 ? alike[0] : undefined,
  };
}

function firstAtOrAfter(calls: readonly FarCall[], ms: number): number {
  let low = 0;
  let high = calls.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((calls[middle]?.startMs ?? 0) < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

function byTime(a: FarCall, b: FarCall): number {
  return a.startMs - b.startMs;
}
