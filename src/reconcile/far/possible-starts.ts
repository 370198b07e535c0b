import type { CarrierFacts, RecordName } from "../../domain/matching/facts.ts";
import { msFromMicros } from "../../domain/time/instant.ts";
import type { Tx } from "../../store/database/run.ts";
import type { FoundCall } from "../../store/reconciliation/call-results.ts";
import { readDurationStarts } from "../../store/reconciliation/reconcile-input.ts";
import type { CarrierVotes } from "../clocks/carrier-votes.ts";
import { rawStartMs } from "../result-row.ts";

// When a carrier's record may begin by the platform's clock. An hour of the carrier's clock has one
// offset or two; matching decides which is right.

/**
 * Of a record that was read: its time with each offset of its hour taken off, and as written, which
 * copies are compared by.
 */
export function placesOf(record: CarrierFacts, votes: CarrierVotes): number[] {
  const rawMs = rawStartMs(record);
  const corrected = votes.offsetsOf(record).map((offsetMs) => rawMs - offsetMs);
  return corrected.includes(rawMs) ? corrected : [...corrected, rawMs];
}

/** Of a stored result: by the trunk and the time of its carrier's record. */
export function correctedStarts({ clockTrunk, clockTime }: FoundCall, votes: CarrierVotes): number[] {
  if (clockTrunk === undefined || clockTime === undefined) return [];
  const ms = msFromMicros(clockTime);
  return votes.offsetsAt(clockTrunk, ms).map((offsetMs) => ms - offsetMs);
}

/**
 * Of records that are only named: which trunk they are of shows when they are read, so every offset
 * in use is tried.
 */
export async function readPossibleStarts(
  tx: Tx,
  carrierId: string,
  records: readonly RecordName[],
  votes: CarrierVotes,
): Promise<number[]> {
  const offsets = [0, ...votes.offsetsInUse()];
  const starts = await readDurationStarts(tx, carrierId, records);
  return starts.flatMap((start) => offsets.map((offsetMs) => msFromMicros(start) - offsetMs));
}
