import type { Micros } from "../time/instant.ts";

// What tells whether a record under an id that was used on the day beside it is the same call
// again: its parties and duration, and how far its times are from those of the other. Ids that
// count anew each day come again after about 24 hours; a time zone error moves a record by 15 hours
// at most.

/**
 * The hash of parties and duration, with the quarter of an hour in which the call began in its last
 * 12 bits: no column more for it.
 */
export function partyHashOf(hash: bigint, startTime: Micros | undefined): bigint {
  const quarter = startTime === undefined ? 0n : (startTime / QUARTER_HOUR_US) & QUARTERS_MASK;
  return BigInt.asIntN(64, (hash & ~QUARTERS_MASK) | quarter);
}

/**
 * Whether one of two records may be the other under another day: the same parties and duration, and
 * times that a wrong zone takes apart.
 */
export function mayBeRedated(a: bigint, b: bigint): boolean {
  if ((a ^ b) >> QUARTERS_BITS !== 0n) return false;
  const apart = Number((a - b) & QUARTERS_MASK);
  return Math.min(apart, QUARTERS - apart) <= MOST_QUARTERS;
}

const QUARTER_HOUR_US = 900_000_000n;
/**
 * Of 42 days, after which they count anew: records on neighbouring days are less than 48 hours
 * apart.
 */
const QUARTERS_BITS = 12n;
const QUARTERS = 4_096;
const QUARTERS_MASK = 4_095n;
/** 15 hours. */
const MOST_QUARTERS = 60;
