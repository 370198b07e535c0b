import { areAlike } from "./clock-votes.ts";

export interface FarCall {
  /** As written, milliseconds since 1970. */
  readonly startMs: number;
  /** Undefined: unknown. */
  readonly lengthMs: number | undefined;
}

/** A zone shift (14 h), its rest and the window. */
export const FAR_REACH_MS = 15 * 3_600_000;
/** With more calls in reach, they cannot be told apart. */
const MOST_WITHIN_REACH = 50;

/**
 * Pairs lacking calls of two parties whose clocks are hours apart: each other's only candidate
 * within 15 h with an equal length, or the only candidate at all.
 */
export function pairFarCalls<C extends FarCall>(platform: readonly C[], carrier: readonly C[]) {
  const calls = platform.toSorted(byTime);
  const records = carrier.toSorted(byTime);
  const mates = new Map<C, { readonly call: C; readonly isAlike: boolean }>();
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

/** The only candidate within reach, and the only one whose length agrees. */
function only<C extends FarCall>(call: C, others: readonly C[]): { readonly any?: C; readonly alike?: C } {
  const start = firstAtOrAfter(others, call.startMs - FAR_REACH_MS);
  const within: C[] = [];
  for (let at = start; at < others.length && within.length <= MOST_WITHIN_REACH; at++) {
    const other = others[at];
    if (other === undefined || other.startMs > call.startMs + FAR_REACH_MS) break;
    within.push(other);
  }
  if (within.length > MOST_WITHIN_REACH) return {};
  const [any, ...rivals] = within;
  const [alike, ...alikeToo] = within.filter(({ lengthMs }) => areAlike(lengthMs, call.lengthMs));
  return { ...(any && rivals.length === 0 && { any }), ...(alike && alikeToo.length === 0 && { alike }) };
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
