import { microsFromMs, msFromMicros } from "../domain/instant.ts";
import { voteBucket } from "../domain/matching/clock-offset.ts";
import type { CarrierFacts, PlatformFacts } from "../domain/matching/facts.ts";
import { type CallResult, MatchStatus, Side } from "../domain/matching/result.ts";
import { findOpenCalls, findSplitCalls, type OpenCall, readOpenOfClock } from "../store/call-results.ts";
import type { Votes } from "../store/clock-offsets.ts";
import type { Tx } from "../store/database.ts";
import { markMinutes } from "../store/reconcile-progress.ts";
import { correlationKeyOf, pairKeyOf } from "./call-keys.ts";
import { clockHourMs, type JudgedRow, rawStartMs } from "./result-row.ts";
import { type CarrierVotes, parseClockKey } from "./votes.ts";
import { minuteOf, type Span } from "./window.ts";

// Counterparts that begin far from each other: found by keys among the calls that are open, never by reading all calls between.

const HOUR_MS = 3_600_000;
/** A zone shift is at most 14 h, and its pairs are a window off it. */
const ZONE_REACH_HOURS = 15;
/** Twice the window: no pair by numbers and time is so far apart by its own clocks, unless an offset was taken off. */
const FAR_MS = 120_000;
const CORRELATION_REACH_HOURS = 25;
const SPLIT_REACH_HOURS = 24;
/** Most calls that one search brings. */
const MAX_FOUND = 5_000;
/** Most calls without a counterpart that are looked for as parts of longer ones: more of them are no split calls. */
const MAX_PARTS_SOUGHT = 500;

/**
 * Where counterparts of calls that lack theirs begin: by ids of the signalling, and as parts of split calls; and the calls that a record which stands alone
 * here is a part of by now. Each is looked for once.
 */
export async function farSpans(
  tx: Tx,
  carrierId: string,
  kept: readonly CallResult[],
  sought: Set<string>,
  marginMs: number,
): Promise<Span[]> {
  const found: OpenCall[] = [];
  for (const side of [Side.PLATFORM, Side.CARRIER] as const) {
    const lacking = kept.filter((result) => isLacking(result) && sideOf(result) === side);
    const correlated = once(sought, "id", lacking, (record) => correlationKeyOf(record.ids));
    found.push(...(await findOpenCalls(tx, carrierId, correlationSearch(otherSide(side), correlated))));
  }
  const parts = once(
    sought,
    "part",
    kept.filter((result) => isLacking(result) && sideOf(result) === Side.CARRIER),
    pairKeyOf,
  );
  const longer = { by: "pair_key", side: Side.PLATFORM, hoursBefore: SPLIT_REACH_HOURS, hoursAfter: 0 } as const;
  if (parts.length <= MAX_PARTS_SOUGHT)
    found.push(...(await findOpenCalls(tx, carrierId, { ...longer, wanted: parts, limit: MAX_FOUND })));
  const short = once(sought, "rest", kept.filter(isShortAtCarrier), pairKeyOf);
  const later = { by: "pair_key", side: Side.CARRIER, hoursBefore: 0, hoursAfter: SPLIT_REACH_HOURS } as const;
  if (short.length <= MAX_PARTS_SOUGHT)
    found.push(...(await findOpenCalls(tx, carrierId, { ...later, wanted: short, limit: MAX_FOUND })));
  const alone = kept.filter((result) => !result.platform && !sought.has(`whole/${identityOf(result)}`));
  for (const result of alone) sought.add(`whole/${identityOf(result)}`);
  const whole = await findSplitCalls(
    tx,
    carrierId,
    alone.flatMap((result) => result.carrier),
  );
  return [...found.map(({ startTime }) => startTime), ...whole].map((startTime) => {
    const ms = msFromMicros(startTime);
    return { startMs: ms - marginMs, endMs: ms + marginMs };
  });
}

function identityOf(result: CallResult): string {
  return result.carrier.map(({ recordDate, recordId }) => `${recordDate}/${recordId}`).join();
}

function correlationSearch(side: number, wanted: { key: bigint; time: bigint }[]) {
  const hours = { hoursBefore: CORRELATION_REACH_HOURS, hoursAfter: CORRELATION_REACH_HOURS };
  return { by: "correlation_key" as const, side, wanted, ...hours, limit: MAX_FOUND };
}

function once(
  sought: Set<string>,
  purpose: string,
  results: readonly CallResult[],
  keyOf: (record: PlatformFacts | CarrierFacts) => bigint | undefined,
): { key: bigint; time: bigint }[] {
  const wanted: { key: bigint; time: bigint }[] = [];
  for (const result of results) {
    const record = result.platform ?? result.carrier[0];
    const key = record && keyOf(record);
    if (!record || key === undefined) continue;
    const text = `${purpose}/${sideOf(result)}/${record.recordDate}/${record.recordId}`;
    if (sought.has(text)) continue;
    sought.add(text);
    wanted.push({ key, time: microsFromMs(result.startMs) });
  }
  return wanted;
}

/** What calls far off say of the clock of a trunk and hour. */
export interface FarVotes {
  readonly trunkId: string;
  readonly hourMs: number;
  readonly votes: Votes;
}

/**
 * Looks for a zone shift where calls of a trunk and hour of the carrier's clock lack their counterparts: among calls of the same two parties within 15 h.
 * All calls of that hour that are open have their say, whenever they came. Of the platform's calls, the minutes of the carrier's records are
 * marked, whose own turn finds the same.
 */
export async function findFarVotes(tx: Tx, carrierId: string, kept: readonly CallResult[]): Promise<FarVotes[]> {
  const lacking = kept.filter(isLacking);
  await markFarOff(tx, carrierId, lacking);
  const records = keyTimes(lacking.flatMap((result) => (result.platform ? [] : result.carrier.slice(0, 1))));
  const found = await findFarOff(tx, carrierId, Side.PLATFORM, records);
  const byClock = Map.groupBy(found, ({ record }) => `${clockHourMs(record)}/${record.trunkId ?? ""}`);
  const said: FarVotes[] = [];
  for (const [key, pairs] of byClock) {
    const clock = parseClockKey(key);
    const differences = pairs.map(({ timeMs, call }) => timeMs - msFromMicros(call.startTime));
    said.push({
      ...clock,
      votes: sumVotes([...differences, ...(await earlierDifferences(tx, carrierId, clock, records))]),
    });
  }
  return said;
}

// Of calls of the hour that were judged in other turns.
async function earlierDifferences(
  tx: Tx,
  carrierId: string,
  { trunkId, hourMs }: { trunkId: string; hourMs: number },
  judgedNow: ReadonlyMap<bigint, unknown>,
): Promise<number[]> {
  const open = await readOpenOfClock(tx, carrierId, { trunkId, hour: microsFromMs(hourMs), limit: MAX_FOUND });
  const calls = unique(
    open
      .filter(({ key }) => !judgedNow.has(key))
      .map(({ key, clockTime }) => ({ key, timeMs: msFromMicros(clockTime) })),
  );
  const found = await findFarOff(tx, carrierId, Side.PLATFORM, calls);
  return found.map(({ timeMs, call }) => timeMs - msFromMicros(call.startTime));
}

/** Pairs whose clocks are further apart than any window, as the ids of the signalling join them, say the same. */
export function farPairs(
  judged: readonly { row: Pick<JudgedRow, "clockTrunk" | "clockTime" | "voteMs"> }[],
): FarVotes[] {
  return judged.flatMap(({ row: { clockTrunk, clockTime, voteMs } }) => {
    if (clockTrunk === null || clockTime === null || voteMs === null) return [];
    const difference = Number(voteMs);
    if (Math.abs(difference) < FAR_MS) return [];
    return [
      {
        trunkId: clockTrunk,
        hourMs: Math.floor(msFromMicros(clockTime) / HOUR_MS) * HOUR_MS,
        votes: sumVotes([difference]),
      },
    ];
  });
}

/** What was said of clocks in the trials of one turn: of each trunk and hour, the opinion of most calls. */
export class FarOpinions {
  readonly #most = new Map<string, FarVotes>();

  /** Hears what one trial says. */
  hear(said: readonly FarVotes[]): void {
    for (const [key, group] of Map.groupBy(said, ({ hourMs, trunkId }) => `${hourMs}/${trunkId}`)) {
      const sums: Votes = {};
      for (const { votes } of group) {
        for (const [bucket, count] of Object.entries(votes)) sums[bucket] = (sums[bucket] ?? 0) + count;
      }
      const known = this.#most.get(key);
      if (!known || total(known.votes) < total(sums)) this.#most.set(key, { ...parseClockKey(key), votes: sums });
    }
  }

  /** Adds what was said to the votes of a carrier, where it is more than what they have. */
  tell(votes: CarrierVotes): void {
    for (const { trunkId, hourMs, votes: sums } of this.#most.values()) votes.setFar(trunkId, hourMs, sums);
  }
}

function total(votes: Votes): number {
  return Object.values(votes).reduce((sum, count) => sum + count, 0);
}

async function markFarOff(tx: Tx, carrierId: string, lacking: readonly CallResult[]): Promise<void> {
  const records = keyTimes(lacking.flatMap((result) => (result.platform ? [result.platform] : [])));
  const found = await findFarOff(tx, carrierId, Side.CARRIER, records);
  await markMinutes(
    tx,
    carrierId,
    found.map(({ call }) => minuteOf(msFromMicros(call.startTime))),
  );
}

// Pairs of the same two parties, who have no other open call on either side within reach. Near ones too: a neighbouring hour's offset may have
// parted them.
async function findFarOff<C extends { timeMs: number }>(
  tx: Tx,
  carrierId: string,
  side: Side,
  calls: ReadonlyMap<bigint, C>,
): Promise<(C & { call: OpenCall })[]> {
  const wanted = [...calls].map(([key, { timeMs }]) => ({ key, time: microsFromMs(timeMs) }));
  const reach = { hoursBefore: ZONE_REACH_HOURS, hoursAfter: ZONE_REACH_HOURS, limit: MAX_FOUND };
  const found = await findOpenCalls(tx, carrierId, { by: "pair_key", side, wanted, ...reach });
  return [...Map.groupBy(found, ({ key }) => key)].flatMap(([key, [call, ...others]]) => {
    const known = calls.get(key);
    return call && known && others.length === 0 ? [{ ...known, call }] : [];
  });
}

function sumVotes(differencesMs: readonly number[]): Votes {
  const sums: Votes = {};
  for (const difference of differencesMs) {
    if (Math.abs(difference) > ZONE_REACH_HOURS * HOUR_MS) continue;
    const bucket = voteBucket(difference);
    sums[bucket] = (sums[bucket] ?? 0) + 1;
  }
  return sums;
}

function keyTimes<R extends PlatformFacts | CarrierFacts>(
  records: readonly R[],
): Map<bigint, { key: bigint; timeMs: number; record: R }> {
  return unique(
    records.flatMap((record) => {
      const key = pairKeyOf(record);
      return key === undefined ? [] : [{ key, timeMs: rawStartMs(record), record }];
    }),
  );
}

function unique<C extends { key: bigint }>(calls: readonly C[]): Map<bigint, C> {
  const groups = Map.groupBy(calls, ({ key }) => key);
  return new Map([...groups].flatMap(([key, [call, ...others]]) => (call && others.length === 0 ? [[key, call]] : [])));
}

const LACKING: ReadonlySet<number> = new Set([
  MatchStatus.PENDING,
  MatchStatus.MISSING_AT_CARRIER,
  MatchStatus.MISSING_AT_PLATFORM,
]);

// Without a counterpart that it should have.
function isLacking(result: CallResult): boolean {
  return LACKING.has(result.status) && (result.platform === undefined || result.carrier.length === 0);
}

function isShortAtCarrier({ status, platformMeasure, carrierMeasure }: CallResult): boolean {
  if (status !== MatchStatus.DURATION_MISMATCH && status !== MatchStatus.PENDING) return false;
  return (carrierMeasure?.connectedMs ?? Number.POSITIVE_INFINITY) < (platformMeasure?.connectedMs ?? 0);
}

function sideOf(result: CallResult): Side {
  return result.platform ? Side.PLATFORM : Side.CARRIER;
}

function otherSide(side: Side): Side {
  return side === Side.PLATFORM ? Side.CARRIER : Side.PLATFORM;
}
