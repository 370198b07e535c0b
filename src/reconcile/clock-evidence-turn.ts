import { type Micros, microsFromMs, msFromMicros } from "../domain/instant.ts";
import { voteBucket } from "../domain/matching/clock-offset.ts";
import { Side } from "../domain/matching/result.ts";
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
} from "../store/clock-evidence.ts";
import type { Tx } from "../store/database.ts";
import { EVIDENCE_MS, evidenceOf } from "./clock-evidence.ts";
import type { ClockVote } from "./votes.ts";
import { mergeSpans, type Span, type TurnRecords } from "./window.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Whole minutes, in which a record may change what others say. */
const TOUCHED_MS = Math.ceil(EVIDENCE_MS / MINUTE_MS) * MINUTE_MS;
/** A zone shift is at most 14 h, and its pairs are a window off it. */
const ZONE_MS = 15 * HOUR_MS;
/** How far from a record the hours may lie of which it changes the votes: it takes from a call what made it another's only one. */
export const FAR_VOTES_MS = 2 * ZONE_MS;
/** Most calls of two parties that are looked at: more tell nothing apart. */
const MOST_OF_A_PAIR = 2_000;

/**
 * Gathers anew what the records say that lie in or around some spans of minutes, and keeps it.
 * @returns what that changes of the votes of hours.
 */
export async function renewEvidence(
  tx: Tx,
  carrierId: string,
  { records, base }: { records: TurnRecords; base: readonly Span[] },
): Promise<ClockVote[]> {
  const spans = mergeSpans(base.map((span) => widened(span, TOUCHED_MS)));
  const { platform, carrier } = await records.readAsReported(spans.map((span) => widened(span, EVIDENCE_MS)));
  const found = evidenceOf(platform, carrier, spans);
  const ranges = spans.map(({ startMs, endMs }) => ({ start: microsFromMs(startMs), end: microsFromMs(endMs) }));
  const before = await readMinuteVotes(tx, carrierId, ranges);
  const near = await replaceMinutes(tx, carrierId, before, found.minutes);
  const far = await replaceLacking(tx, carrierId, await readLackingIn(tx, carrierId, ranges), found.lacking);
  return [...near, ...far];
}

function widened({ startMs, endMs }: Span, byMs: number): Span {
  return { startMs: startMs - byMs, endMs: endMs + byMs };
}

async function replaceMinutes(
  tx: Tx,
  carrierId: string,
  before: readonly MinuteVotes[],
  found: readonly MinuteVotes[],
): Promise<ClockVote[]> {
  const was = new Map(before.map((each) => [each.minute, each]));
  const is = new Map(found.map((each) => [each.minute, each]));
  const minutes = [...new Set([...was.keys(), ...is.keys()])].filter(
    (minute) => textOf(was.get(minute)) !== textOf(is.get(minute)),
  );
  await writeMinuteVotes(
    tx,
    carrierId,
    minutes.map((minute) => is.get(minute) ?? { minute, votes: {} }),
  );
  return minutes.flatMap((minute) => [...votesOf(was.get(minute), -1), ...votesOf(is.get(minute), 1)]);
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
  const was = new Map(before.map((call) => [nameOf(call), call]));
  const is = new Map(found.map((call) => [nameOf(call), call]));
  const gone = [...was].flatMap(([name, call]) => (is.has(name) ? [] : [call]));
  const come = [...is].flatMap(([name, call]) => (was.has(name) ? [] : [call]));
  if (gone.length === 0 && come.length === 0) return [];
  await deleteLacking(tx, carrierId, gone);
  await writeLacking(tx, carrierId, come);
  const taken = gone.flatMap((call) => farVote(call, call.voteMs, -1));
  return [...taken, ...(await countAgain(tx, carrierId, [...gone, ...come]))];
}

function nameOf({ side, recordDate, recordId, startTime, pairKey, trunkId }: LackingCall): string {
  return `${side}/${recordDate}/${recordId}/${startTime}/${pairKey}/${trunkId}`;
}

// A call of each side of the same two parties, each the only one within the reach of the other, are the same call by clocks that are apart.
async function countAgain(tx: Tx, carrierId: string, changed: readonly LackingCall[]): Promise<ClockVote[]> {
  const touched = await findLacking(tx, carrierId, {
    side: Side.CARRIER,
    wanted: changed.filter(({ pairKey }) => pairKey !== ERASED_PAIR).map((call) => around(call, FAR_VOTES_MS)),
    limit: MOST_OF_A_PAIR,
  });
  const carriers = [...new Map(touched.map(({ position: _, ...call }) => [nameOf(call), call])).values()];
  const platform = await onlyOnes(tx, carrierId, Side.PLATFORM, carriers);
  const mates = carriers.flatMap((call) => platform.get(call) ?? []);
  const back = await onlyOnes(tx, carrierId, Side.CARRIER, mates);
  const votes: ClockVote[] = [];
  const written: LackingCall[] = [];
  for (const call of carriers) {
    const mate = platform.get(call);
    const voteMs = mate && back.get(mate) ? BigInt(msFromMicros(call.startTime) - msFromMicros(mate.startTime)) : null;
    if (voteMs === call.voteMs) continue;
    votes.push(...farVote(call, call.voteMs, -1), ...farVote(call, voteMs, 1));
    written.push({ ...call, voteMs });
  }
  await writeLacking(tx, carrierId, written);
  return votes;
}

function around({ pairKey, startTime }: LackingCall, reachMs: number) {
  const ms = msFromMicros(startTime);
  return { pairKey, start: microsFromMs(ms - reachMs), end: microsFromMs(ms + reachMs) };
}

/** Of each of some calls the only one of a side that it can be. */
async function onlyOnes(
  tx: Tx,
  carrierId: string,
  side: Side,
  calls: readonly LackingCall[],
): Promise<Map<LackingCall, LackingCall>> {
  const found = await findLacking(tx, carrierId, {
    side,
    wanted: calls.map((call) => around(call, ZONE_MS)),
    limit: 2,
  });
  const only = new Map<LackingCall, LackingCall>();
  for (const [position, [first, ...others]] of Map.groupBy(found, (each) => each.position)) {
    const call = calls[Number(position) - 1];
    if (call && first && others.length === 0) only.set(call, first);
  }
  return only;
}

function farVote({ trunkId, startTime }: LackingCall, voteMs: bigint | null, by: 1 | -1): ClockVote[] {
  if (voteMs === null) return [];
  return [{ trunkId, hourMs: hourOf(startTime), bucket: voteBucket(Number(voteMs)), isFar: true, by }];
}
