import type { CarrierFacts, RecordName } from "../../domain/matching/facts.ts";
import { msFromMicros } from "../../domain/time/instant.ts";
import type { Tx } from "../../store/database/run.ts";
import type { FoundCall } from "../../store/reconciliation/call-results.ts";
import { readDurationStarts } from "../../store/reconciliation/reconcile-input.ts";
import type { CarrierVotes } from "../clocks/carrier-votes.ts";
import { rawStartMs } from "../result-row.ts";

// When a carrier's record may begin by the platform's clock. An hour has one offset or two;
// matching decides which is right.

/**
 * Of a read record: with each offset of its hour taken off, and as written, by which copies are
 * compared.
 */
export function placesOf(record: CarrierFacts, votes: CarrierVotes): number[] {
  const rawMs = rawStartMs(record);
  const corrected = votes.offsetsOf(record).map((offsetMs) => rawMs - offsetMs);
  return corrected.includes(rawMs) ? corrected : [...corrected, rawMs];
}

/** Of a stored result, by its carrier's record. */
export function correctedStarts({ clockTrunk, clockTime }: FoundCall, votes: CarrierVotes): number[] {
  if (clockTrunk === undefined || clockTime === undefined) return [];
  const ms = msFromMicros(clockTime);
  return votes.offsetsAt(clockTrunk, ms).map((offsetMs) => ms - offsetMs);
}

/** Of records whose trunk is not known yet: every offset in use is tried. */
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
