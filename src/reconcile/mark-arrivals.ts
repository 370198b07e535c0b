import { FeedId } from "../domain/feed-id.ts";
import { EVIDENCE_DAYS_MS } from "../domain/matching/clocks/clock-offset.ts";
import { RULE_VERSION } from "../domain/matching/result.ts";
import { CDR, DURATION } from "../domain/record-kind.ts";
import { earlier, HOUR_MS, later, MINUTE_MS, microsFromMs, msFromMicros } from "../domain/time/instant.ts";
import type { Tx } from "../store/database/run.ts";
import { readFeedHead } from "../store/feeds/feed-head.ts";
import { readClockVotes } from "../store/reconciliation/clock-offsets.ts";
import { readArrivals } from "../store/reconciliation/reconcile-input.ts";
import {
  markEveryMinute,
  markMinutes,
  type ReconcilePosition,
  readReconcilePosition,
  takeUpMinutes,
  writeReconcilePosition,
} from "../store/reconciliation/reconcile-progress.ts";
import type { Reconciled } from "./carrier.ts";
import { CarrierVotes } from "./clocks/carrier-votes.ts";
import { trunkOf } from "./facts-codec.ts";
import { minuteOf } from "./spans.ts";

/** Most records of a feed that a transaction reads. */
const PAGE = 20_000n;
const MINUTE = microsFromMs(MINUTE_MS);
/** The offset of an hour rests on votes of hours up to this far away. */
const EVIDENCE_MICROS = microsFromMs(EVIDENCE_DAYS_MS + HOUR_MS);

const START: ReconcilePosition = {
  cdrSequence: 0n,
  durationSequence: 0n,
  markedCdrSequence: 0n,
  markedDurationSequence: 0n,
  cdrEpoch: 0n,
  durationEpoch: 0n,
  agreementRevision: 0n,
  ruleVersion: RULE_VERSION,
  reconciledThrough: 0n,
  markedThrough: undefined,
};

/**
 * Marks the minutes of new records and moves the positions past them, in the caller's transaction.
 * A new agreement or rule version marks every call.
 * @returns whether more records wait.
 */
export async function markArrivals(tx: Tx, carrier: Reconciled, mostRounds: number): Promise<boolean> {
  const { carrierId } = carrier;
  const cdrs = await readFeedHead(tx, carrierId, FeedId.CDRS);
  const durations = await readFeedHead(tx, carrierId, FeedId.DURATIONS);
  const stored = await readReconcilePosition(tx, carrierId);
  let position = stored ?? START;
  const judgedOtherwise =
    position.agreementRevision !== carrier.agreementRevision || position.ruleVersion !== RULE_VERSION;
  if (stored && judgedOtherwise) await markEveryMinute(tx, carrierId);
  // After a restore there are fewer records than were read: read all again.
  const isAhead =
    position.markedCdrSequence > cdrs.headSequence || position.markedDurationSequence > durations.headSequence;
  if (isAhead) position = START;
  const cdrThrough = earlier(cdrs.headSequence, position.markedCdrSequence + PAGE);
  const durationThrough = earlier(durations.headSequence, position.markedDurationSequence + PAGE);
  const ofCdrs = { carrierId, after: position.markedCdrSequence, through: cdrThrough };
  const platform = await readArrivals(tx, CDR, { ...ofCdrs, withPayload: false });
  const ofCarrier = await carrierMinutes(tx, carrierId, position.markedDurationSequence, durationThrough);
  // New records may settle what was set aside.
  if (platform.length > 0 || ofCarrier.length > 0) await takeUpMinutes(tx, carrierId, mostRounds);
  await markMinutes(tx, carrierId, [...platform.map(({ startTime }) => startTime), ...ofCarrier]);
  await writeReconcilePosition(tx, carrierId, {
    ...position,
    markedCdrSequence: cdrThrough,
    markedDurationSequence: durationThrough,
    cdrEpoch: cdrs.epoch,
    durationEpoch: durations.epoch,
    agreementRevision: carrier.agreementRevision,
    ruleVersion: RULE_VERSION,
  });
  return cdrThrough < cdrs.headSequence || durationThrough < durations.headSequence;
}

// By its own time, or with each offset of its hour taken off.
async function carrierMinutes(tx: Tx, carrierId: string, after: bigint, through: bigint): Promise<bigint[]> {
  const request = { carrierId, after, through };
  const arrivals = await readArrivals(tx, DURATION, { ...request, withPayload: false });
  const minutes = arrivals.map(({ startTime }) => startTime);
  if (minutes.length === 0) return [];
  const range = {
    start: minutes.reduce(earlier) - EVIDENCE_MICROS,
    end: minutes.reduce(later) + MINUTE + EVIDENCE_MICROS,
  };
  const votes = new CarrierVotes(await readClockVotes(tx, carrierId, range), []);
  if (votes.offsetsInUse().length === 0) return minutes;
  const encoded = await readArrivals(tx, DURATION, { ...request, withPayload: true });
  return encoded.flatMap(({ startTime, payload }) => {
    const startMs = msFromMicros(startTime);
    const offsets = votes.offsetsAt((payload && trunkOf(payload)) ?? "", startMs);
    return [0, ...offsets].map((offsetMs) => minuteOf(startMs - offsetMs));
  });
}
