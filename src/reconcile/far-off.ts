import { microsFromMs, msFromMicros } from "../domain/instant.ts";
import { voteBucket } from "../domain/matching/clock-offset.ts";
import type { CarrierFacts, PlatformFacts } from "../domain/matching/facts.ts";
import { type CallResult, MatchStatus, Side } from "../domain/matching/result.ts";
import { findOpenCalls, type OpenCall } from "../store/call-results.ts";
import type { Votes } from "../store/clock-offsets.ts";
import type { Tx } from "../store/database.ts";
import { markMinutes } from "../store/reconcile-progress.ts";
import { correlationKeyOf, pairKeyOf } from "./call-keys.ts";
import { clockHourMs, rawStartMs } from "./result-row.ts";
import { parseClockKey } from "./votes.ts";
import { minuteOf, type Span } from "./window.ts";

// Counterparts that begin far from each other: found by keys among the calls that are open, never by reading all calls between.

const HOUR_MS = 3_600_000;
/** A zone shift is at most 14 h, and its pairs are a window off it. */
const ZONE_REACH_HOURS = 15;
const CORRELATION_REACH_HOURS = 25;
const SPLIT_REACH_HOURS = 24;
/** So few pairs are no sign of a clock that is off, whatever the ids of the signalling have told already. */
const MIN_PAIRS = 5;
/** Most calls that one search brings. */
const MAX_FOUND = 5_000;
/** Most calls without a counterpart that are looked for as parts of longer ones: more of them are no split calls. */
const MAX_PARTS_SOUGHT = 500;

/** Where counterparts of calls that lack theirs begin: by ids of the signalling, and as parts of split calls. Each call is looked for once. */
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
  return found.map(({ startTime }) => {
    const ms = msFromMicros(startTime);
    return { startMs: ms - marginMs, endMs: ms + marginMs };
  });
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
 * What it finds of this run's carrier's records votes; of the platform's, the minutes of the carrier's records are marked, whose own turn finds the
 * same.
 */
export async function findFarVotes(tx: Tx, carrierId: string, kept: readonly CallResult[]): Promise<FarVotes[]> {
  const lacking = kept.filter(isLacking);
  await markFarOff(tx, carrierId, lacking);
  const records = uniqueByPair(lacking.flatMap((result) => (result.platform ? [] : result.carrier.slice(0, 1))));
  const found = await findFarOff(tx, carrierId, Side.PLATFORM, records);
  const byClock = Map.groupBy(found, ({ record }) => `${clockHourMs(record)}/${record.trunkId ?? ""}`);
  return [...byClock].map(([key, pairs]) => ({
    ...parseClockKey(key),
    votes: sumVotes(pairs.map(({ record, call }) => rawStartMs(record) - msFromMicros(call.startTime))),
  }));
}

async function markFarOff(tx: Tx, carrierId: string, lacking: readonly CallResult[]): Promise<void> {
  const records = uniqueByPair(lacking.flatMap((result) => (result.platform ? [result.platform] : [])));
  const found = await findFarOff(tx, carrierId, Side.CARRIER, records);
  for (const pairs of Map.groupBy(found, ({ call }) => `${call.clockHour}/${call.clockTrunk}`).values()) {
    const sums = sumVotes(pairs.map(({ record, call }) => msFromMicros(call.startTime) - rawStartMs(record)));
    if (Math.max(0, ...Object.values(sums)) < MIN_PAIRS) continue;
    const minutes = pairs.map(({ call }) => minuteOf(msFromMicros(call.startTime)));
    await markMinutes(tx, carrierId, minutes);
  }
}

// Pairs of the same two parties, who have no other open call on either side within reach.
async function findFarOff<R extends PlatformFacts | CarrierFacts>(
  tx: Tx,
  carrierId: string,
  side: Side,
  records: ReadonlyMap<bigint, R>,
): Promise<{ record: R; call: OpenCall }[]> {
  if (records.size < MIN_PAIRS) return [];
  const wanted = [...records].map(([key, record]) => ({ key, time: microsFromMs(rawStartMs(record)) }));
  const reach = { hoursBefore: ZONE_REACH_HOURS, hoursAfter: ZONE_REACH_HOURS, limit: MAX_FOUND };
  const calls = await findOpenCalls(tx, carrierId, { by: "pair_key", side, wanted, ...reach });
  return [...Map.groupBy(calls, ({ key }) => key)].flatMap(([key, [call, ...others]]) => {
    const record = records.get(key);
    return record && call && others.length === 0 ? [{ record, call }] : [];
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

function uniqueByPair<R extends PlatformFacts | CarrierFacts>(records: readonly R[]): Map<bigint, R> {
  const found = new Map<bigint, R>();
  const repeated = new Set<bigint>();
  for (const record of records) {
    const key = pairKeyOf(record);
    if (key === undefined) continue;
    if (found.has(key)) repeated.add(key);
    else found.set(key, record);
  }
  for (const key of repeated) found.delete(key);
  return found;
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
