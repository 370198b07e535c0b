import type { Micros } from "../time/instant.ts";

// Tells whether a record with an id that was used on the neighbouring day is the same call: by its
// parties, duration and time. Ids that count anew each day recur after about 24 hours; a time zone
// error moves a record by at most 15 hours.

/**
 * The hash of parties and duration; its last 12 bits hold the quarter of an hour in which the call
 * began, which saves a column.
 */
export function partyHashOf(hash: bigint, startTime: Micros | undefined): bigint {
  const quarter = startTime === undefined ? 0n : (startTime / QUARTER_HOUR_US) & QUARTERS_MASK;
  return BigInt.asIntN(64, (hash & ~QUARTERS_MASK) | quarter);
}

/** As `partyHashOf`, of a hash in 8 bytes of a buffer, which are changed. */
export function writeQuarter(bytes: Uint8Array, at: number, startMicros: number): void {
  const quarter = Math.floor(startMicros / Number(QUARTER_HOUR_US)) % QUARTERS;
  bytes[at + 6] = ((bytes[at + 6] as number) & 0xf0) | (quarter >> 8);
  bytes[at + 7] = quarter & 0xff;
}

/**
 * Whether two records may be one call on different days: equal parties and duration, and times that
 * a wrong zone explains.
 */
export function mayBeRedated(a: bigint, b: bigint): boolean {
  if ((a ^ b) >> QUARTERS_BITS !== 0n) return false;
  const apart = Number((a - b) & QUARTERS_MASK);
  return Math.min(apart, QUARTERS - apart) <= MOST_QUARTERS;
}

const QUARTER_HOUR_US = 900_000_000n;
/** Quarters recur after 42 days; neighbouring days are less than 48 hours apart. */
const QUARTERS_BITS = 12n;
const QUARTERS = 4_096;
const QUARTERS_MASK = 4_095n;
/** 15 hours. */
const MOST_QUARTERS = 60;
