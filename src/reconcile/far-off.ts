import { microsFromMs, msFromMicros } from "../domain/instant.ts";
import { voteBucket } from "../domain/matching/clock-offset.ts";
import type { CarrierFacts, PlatformFacts } from "../domain/matching/facts.ts";
import { type CallResult, MatchStatus, Side } from "../domain/matching/result.ts";
import {
  findOpenCalls,
  findSplitCalls,
  type OpenCall,
  readOpenOfClock,
  type WantedCall,
} from "../store/call-results.ts";
import type { Votes } from "../store/clock-offsets.ts";
import { type Tx, together } from "../store/database.ts";
import { markMinutes } from "../store/reconcile-progress.ts";
import { correlationKeyOf, pairKeyOf } from "./call-keys.ts";
import { clockHourMs, type JudgedRow, rawStartMs } from "./result-row.ts";
import { type CarrierVotes, parseClockKey } from "./votes.ts";
import { minuteOf, type Span } from "./window.ts";

// Counterparts that begin far from each other: found by keys among the calls that are open, never by reading all calls between.

const HOUR_MS = 3_600_000;
/** A zone shift is at most 14 h, and its pairs are a window off it. */
const ZONE_MS = 15 * HOUR_MS;
/** Twice the window: no pair by numbers and time is so far apart by its own clocks, unless an offset was taken off. */
const FAR_MS = 120_000;
const CORRELATION_MS = 25 * HOUR_MS;
const SPLIT_MS = 24 * HOUR_MS;
/** Most calls that one search brings. */
const MAX_FOUND = 5_000;

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
  const fresh = (purpose: string, results: readonly CallResult[]) =>
    results.filter((result) => {
      const text = `${purpose}/${sideOf(result)}/${identityOf(result)}`;
      const isNew = !sought.has(text);
      sought.add(text);
      return isNew;
    });
  const lacking = fresh("lacking", kept.filter(isLacking));
  const [atCarrier, atPlatform] = [
    lacking.filter(({ platform }) => platform),
    lacking.filter(({ platform }) => !platform),
  ];
  const short = fresh("short", kept.filter(isShortAtCarrier));
  const alone = fresh(
    "alone",
    kept.filter(({ platform }) => !platform),
  );
  const find = (by: "pair_key" | "correlation_key", side: Side, wanted: WantedCall[]) =>
    findOpenCalls(tx, carrierId, { by, side, wanted, limit: MAX_FOUND });
  const [ids, echoes, longer, rest, whole] = await together([
    find("correlation_key", Side.CARRIER, wantedOf(atCarrier, correlationKey, CORRELATION_REACH)),
    find("correlation_key", Side.PLATFORM, wantedOf(atPlatform, correlationKey, CORRELATION_REACH)),
    find(
      "pair_key",
      Side.PLATFORM,
      wantedOf(atPlatform, pairKeyOf, (ms) => [ms - SPLIT_MS, ms, ms]),
    ),
    find(
      "pair_key",
      Side.CARRIER,
      wantedOf(short, pairKeyOf, (ms, result) => [ms, ms + lengthOf(result)]),
    ),
    findSplitCalls(
      tx,
      carrierId,
      alone.flatMap((result) => result.carrier),
    ),
  ]);
  const starts = [...[...ids, ...echoes, ...longer, ...rest].map(({ startTime }) => startTime), ...whole];
  return starts.map((startTime) => {
    const ms = msFromMicros(startTime);
    return { startMs: ms - marginMs, endMs: ms + marginMs };
  });
}

type Reach = (startMs: number, result: CallResult) => readonly [startMs: number, endMs: number, duringMs?: number];

const CORRELATION_REACH: Reach = (ms) => [ms - CORRELATION_MS, ms + CORRELATION_MS];

function wantedOf(
  results: readonly CallResult[],
  keyOf: (record: PlatformFacts | CarrierFacts) => bigint | undefined,
  reach: Reach,
): WantedCall[] {
  return results.flatMap((result) => {
    const record = result.platform ?? result.carrier[0];
    const key = record && keyOf(record);
    if (key === undefined) return [];
    const [start, end, during] = reach(result.startMs, result);
    const range = { key, start: microsFromMs(start), end: microsFromMs(end) };
    return [during === undefined ? range : { ...range, during: microsFromMs(during) }];
  });
}

function correlationKey(record: PlatformFacts | CarrierFacts): bigint | undefined {
  return correlationKeyOf(record.ids);
}

function lengthOf({ platformMeasure }: CallResult): number {
  return Math.min(SPLIT_MS, (platformMeasure?.totalMs ?? platformMeasure?.connectedMs ?? 0) + 60_000);
}

function identityOf(result: CallResult): string {
  const records = result.platform ? [result.platform, ...result.carrier] : result.carrier;
  return records.map(({ recordDate, recordId }) => `${recordDate}/${recordId}`).join();
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
  const wanted = [...calls].map(([key, { timeMs }]) => ({
    key,
    start: microsFromMs(timeMs - ZONE_MS),
    end: microsFromMs(timeMs + ZONE_MS),
  }));
  const found = await findOpenCalls(tx, carrierId, { by: "pair_key", side, wanted, limit: MAX_FOUND });
  return [...Map.groupBy(found, ({ key }) => key)].flatMap(([key, [call, ...others]]) => {
    const known = calls.get(key);
    return call && known && others.length === 0 ? [{ ...known, call }] : [];
  });
}

function sumVotes(differencesMs: readonly number[]): Votes {
  const sums: Votes = {};
  for (const difference of differencesMs) {
    if (Math.abs(difference) > ZONE_MS) continue;
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
