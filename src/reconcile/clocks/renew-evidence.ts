import { bigintOf, numberOf } from "../../domain/known-numbers.ts";
import { voteBucket } from "../../domain/matching/clocks/clock-votes.ts";
import { FAR_REACH_MS, pairFarCalls } from "../../domain/matching/clocks/far-calls.ts";
import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import { HOUR_MS, MINUTE_MS, type Micros, msFromMicros } from "../../domain/time/instant.ts";
import type { Tx } from "../../store/database/run.ts";
import {
  deleteLacking,
  ERASED_PAIR,
  findLacking,
  type LackingCall,
  type MinuteVotes,
  readLackingIn,
  readMinuteVotes,
  writeLacking,
  writeMinuteVotes,
} from "../../store/reconciliation/clock-evidence.ts";
import { hullOf, mergeSpans, type Span, spanAround, timeRange, widenSpan } from "../spans.ts";
import type { TurnRecords } from "../turn-records.ts";
import type { ClockVote } from "./carrier-votes.ts";
import { EVIDENCE_MS, evidenceOf } from "./clock-evidence.ts";

/** A record may change what others say up to this far away; whole minutes. */
const TOUCHED_MS = Math.ceil(EVIDENCE_MS / MINUTE_MS) * MINUTE_MS;
/** A record may change votes of hours up to this far away, by ceasing to be an only candidate. */
export const FAR_VOTES_MS = 2 * FAR_REACH_MS;
/** Those votes rest on calls up to this far away. */
const FAR_CALLS_MS = 2 * FAR_VOTES_MS;
/** Most calls of a side that are read for two parties. */
const MOST_OF_A_PAIR = 5_000;

/**
 * Renews the stored evidence of records in and around some minutes.
 * @returns how the votes of hours change.
 */
export async function renewEvidence(
  tx: Tx,
  carrierId: string,
  { records, base }: { records: TurnRecords; base: readonly Span[] },
): Promise<ClockVote[]> {
  const spans = mergeSpans(base.map((span) => widenSpan(span, TOUCHED_MS)));
  const reported = await records.readAsReported(spans.map((span) => widenSpan(span, EVIDENCE_MS)));
  const found = evidenceOf(records.part(reported), spans);
  const ranges = spans.map(timeRange);
  const near = await replaceMinutes(tx, carrierId, await readMinuteVotes(tx, carrierId, ranges), found.minutes);
  const far = await replaceLacking(tx, carrierId, await readLackingIn(tx, carrierId, ranges), found.lacking);
  return [...near, ...far];
}

async function replaceMinutes(
  tx: Tx,
  carrierId: string,
  before: readonly MinuteVotes[],
  found: readonly MinuteVotes[],
): Promise<ClockVote[]> {
  const was = new Map(before.map((each) => [each.minute, each]));
  const is = new Map(found.map((each) => [each.minute, each]));
  const changed = [...new Set([...was.keys(), ...is.keys()])]
    .map((minute) => ({ before: was.get(minute), after: is.get(minute) ?? { minute, votes: {} } }))
    .filter((each) => textOf(each.before) !== textOf(each.after));
  await writeMinuteVotes(
    tx,
    carrierId,
    changed.map(({ after }) => after),
  );
  return changed.flatMap((each) => [...votesOf(each.before, -1), ...votesOf(each.after, 1)]);
}

function textOf(minute: MinuteVotes | undefined): string {
  const trunks = Object.entries(minute?.votes ?? {}).map(([trunkId, votes]) => [trunkId, Object.entries(votes).sort()]);
  return JSON.stringify(trunks.sort());
}

function votesOf(minute: MinuteVotes | undefined, sign: 1 | -1): ClockVote[] {
  if (minute === undefined) return [];
  const hourMs = hourOf(minute.minute);
  return Object.entries(minute.votes).flatMap(([trunkId, votes]) =>
    Object.entries(votes).map(([bucket, count]) => ({ trunkId, hourMs, bucket, isFar: false, by: sign * count })),
  );
}

function hourOf(time: Micros): number {
  return Math.floor(msFromMicros(time) / HOUR_MS) * HOUR_MS;
}

async function replaceLacking(
  tx: Tx,
  carrierId: string,
  before: readonly LackingCall[],
  found: readonly LackingCall[],
): Promise<ClockVote[]> {
  const [was, is] = [new Set(before.map(nameOf)), new Set(found.map(nameOf))];
  const gone = before.filter((call) => !is.has(nameOf(call)));
  const come = found.filter((call) => !was.has(nameOf(call)));
  if (gone.length === 0 && come.length === 0) return [];
  await deleteLacking(tx, carrierId, gone);
  await writeLacking(tx, carrierId, come);
  const taken = gone.flatMap((call) => farVote(call, -1));
  return [...taken, ...(await countAgain(tx, carrierId, [...gone, ...come]))];
}

function nameOf({ side, recordDate, recordId, startTime, pairKey, trunkId, lengthMs }: LackingCall): string {
  return `${side}/${recordDate}/${recordId}/${startTime}/${pairKey}/${trunkId}/${lengthMs}`;
}

// Pairs the lacking calls of the same parties again.
async function countAgain(tx: Tx, carrierId: string, changed: readonly LackingCall[]): Promise<ClockVote[]> {
  const pairKeys = [...new Set(changed.map(({ pairKey }) => pairKey))].filter((key) => key !== ERASED_PAIR);
  const range = timeRange(hullOf(changed.map(({ startTime }) => spanAround(msFromMicros(startTime), FAR_CALLS_MS))));
  const read = async (side: RecordKind["side"]) => {
    const found = await findLacking(tx, carrierId, { side, pairKeys, range, limit: MOST_OF_A_PAIR });
    const calls = new Map(found.map((call) => [nameOf(call), farCall(call)]));
    return Map.groupBy(calls.values(), ({ call }) => call.pairKey);
  };
  const platform = await read(PLATFORM_SIDE);
  const carrier = await read(CARRIER_SIDE);
  const isTouched = touchedBy(changed);
  const votes: ClockVote[] = [];
  const written: LackingCall[] = [];
  for (const [pairKey, records] of carrier) {
    const mates = pairFarCalls(platform.get(pairKey) ?? [], records);
    for (const record of records) {
      if (!isTouched(record.call)) continue;
      const mate = mates.get(record);
      const voteMs = bigintOf(mate && record.startMs - mate.call.startMs);
      const isAlike = mate?.isAlike ?? false;
      if (voteMs === record.call.voteMs && isAlike === record.call.isAlike) continue;
      const call = { ...record.call, voteMs, isAlike };
      votes.push(...farVote(record.call, -1), ...farVote(call, 1));
      written.push(call);
    }
  }
  await writeLacking(tx, carrierId, written);
  return votes;
}

function farCall(call: LackingCall) {
  return { call, startMs: msFromMicros(call.startTime), lengthMs: numberOf(call.lengthMs) };
}

// Beyond, not everything that votes rest on was read.
function touchedBy(changed: readonly LackingCall[]): (call: LackingCall) => boolean {
  const times = Map.groupBy(changed, ({ pairKey }) => pairKey);
  return ({ pairKey, startTime }) =>
    (times.get(pairKey) ?? []).some(
      (each) => Math.abs(msFromMicros(each.startTime) - msFromMicros(startTime)) <= FAR_VOTES_MS,
    );
}

function farVote({ trunkId, startTime, voteMs, isAlike }: LackingCall, by: 1 | -1): ClockVote[] {
  if (voteMs === undefined) return [];
  return [{ trunkId, hourMs: hourOf(startTime), bucket: voteBucket(Number(voteMs), isAlike), isFar: true, by }];
}
