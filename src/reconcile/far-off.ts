import { addDays, type Micros, microsFromMs, msFromMicros } from "../domain/instant.ts";
import { voteBucket } from "../domain/matching/clock-offset.ts";
import { MAX_COMPONENT } from "../domain/matching/components.ts";
import type { CarrierFacts, PlatformFacts } from "../domain/matching/facts.ts";
import { type CallResult, MatchedBy, MatchStatus, Side } from "../domain/matching/result.ts";
import {
  type CallResultRow,
  type FoundCall,
  findByIds,
  findCalls,
  findSplitCalls,
  readOpenOfClock,
  readResultsNamed,
  type WantedCall,
} from "../store/call-results.ts";
import type { Votes } from "../store/clock-offsets.ts";
import { type Tx, together } from "../store/database.ts";
import { readDurationStarts } from "../store/reconcile-input.ts";
import { markMinutes } from "../store/reconcile-progress.ts";
import { durationKeyOf, echoKeyOf, hasIds, idKeysOf, pairKeyOf } from "./call-keys.ts";
import { clockHourMs, type JudgedRow, nameText, rawStartMs } from "./result-row.ts";
import { type CarrierVotes, parseClockKey } from "./votes.ts";
import { minuteOf, type Span } from "./window.ts";

// Counterparts that begin far from each other: found by keys, never by reading all calls between.

const HOUR_MS = 3_600_000;
/** A zone shift is at most 14 h, and its pairs are a window off it. */
const ZONE_MS = 15 * HOUR_MS;
/** Twice the window: no pair by numbers and time is so far apart by its own clocks, unless an offset was taken off. */
const FAR_MS = 120_000;
const CORRELATION_MS = 25 * HOUR_MS;
/** What is sought by an id may be a pair whose other record is as far again. */
const ID_MS = 2 * CORRELATION_MS;
const SPLIT_MS = 24 * HOUR_MS;
/** A pair's starts are at most 24 h apart, and a zone shift more. */
const HOLDER_MS = CORRELATION_MS + ZONE_MS;
/** Most calls that are looked at of one pair of parties, or of one id: more tell nothing apart. */
const MOST_OF_A_KEY = MAX_COMPONENT;
/** Most calls of an hour of a trunk that have their say on its clock. */
const MOST_OF_AN_HOUR = 5_000;

/**
 * Where calls begin whose records have an id of these, and counterparts of calls that lack theirs as parts of split calls; and the calls that a record which
 * stands alone here is a part of by now. Each is looked for once.
 */
export async function farSpans(
  tx: Tx,
  carrierId: string,
  kept: readonly CallResult[],
  { sought, votes, marginMs }: { sought: Set<string>; votes: CarrierVotes; marginMs: number },
): Promise<Span[]> {
  const fresh = (purpose: string, results: readonly CallResult[]) =>
    results.filter((result) => {
      const text = `${purpose}/${sideOf(result)}/${identityOf(result)}`;
      const isNew = !sought.has(text);
      sought.add(text);
      return isNew;
    });
  const lacking = fresh("lacking", kept.filter(isLacking));
  const atPlatform = lacking.filter(({ platform }) => !platform);
  const short = fresh("short", kept.filter(isShortAtCarrier));
  const alone = fresh(
    "alone",
    kept.filter(({ platform }) => !platform),
  );
  const find = (side: Side, wanted: WantedCall[]) =>
    findCalls(tx, carrierId, { by: "pair_key", side, wanted, limit: MOST_OF_A_KEY });
  const [sharing, echoed, longer, rest, whole] = await together([
    findByIds(tx, carrierId, { wanted: wantedIds(fresh("ids", kept)), most: MOST_OF_A_KEY }),
    findEchoed(tx, carrierId, alone),
    find(
      Side.PLATFORM,
      wantedOf(atPlatform, (ms) => [ms - SPLIT_MS, ms, ms]),
    ),
    find(
      Side.CARRIER,
      wantedOf(short, (ms, result) => [ms, ms + lengthOf(result)]),
    ),
    findHolders(tx, carrierId, alone),
  ]);
  const starts = [...sharing, ...echoed, ...longer, ...rest].map(({ startTime }) => msFromMicros(startTime));
  const ofCarrier = sharing.flatMap((call) => correctedStart(call, votes));
  return [...starts, ...ofCarrier, ...whole.map(msFromMicros)].map((ms) => ({
    startMs: ms - marginMs,
    endMs: ms + marginMs,
  }));
}

// Ids of the signalling by which records of a call are found, and the name of a call of the platform's that the carrier may have named. Each once, wherever
// any of those that have it may lie.
function wantedIds(results: readonly CallResult[]): WantedCall[] {
  const wanted = new Map<bigint, WantedCall>();
  for (const result of results) {
    const [start, end] = [microsFromMs(result.startMs - ID_MS), microsFromMs(result.startMs + ID_MS)];
    for (const key of [...idKeysOf(result), ...echoKeys(result)]) {
      const known = wanted.get(key);
      const isFirst = known === undefined || start < known.start;
      const isLast = known === undefined || end > known.end;
      wanted.set(key, { key, start: isFirst ? start : known.start, end: isLast ? end : known.end });
    }
  }
  return [...wanted.values()];
}

// The carrier's records look the platform's up by name.
function echoKeys({ platform, carrier, matchedBy, candidateCount }: CallResult): bigint[] {
  const isOpen = carrier.length === 0 || matchedBy === MatchedBy.ECHOED;
  return platform === undefined || !isOpen || candidateCount !== undefined ? [] : [echoKeyOf(platform.recordId)];
}

// Where the carrier's record of a call is, its clock's offset taken off.
function correctedStart({ clockTrunk, clockTime }: FoundCall, votes: CarrierVotes): number[] {
  if (clockTrunk === undefined || clockTime === undefined) return [];
  const ms = msFromMicros(clockTime);
  return [ms - (votes.offsetAt(clockTrunk, Math.floor(ms / HOUR_MS) * HOUR_MS)?.offsetMs ?? 0)];
}

// The calls of the platform that the carrier names, if they are there.
function findEchoed(tx: Tx, carrierId: string, alone: readonly CallResult[]): Promise<CallResultRow[]> {
  const names = alone.flatMap(({ carrier: [record] }) => {
    const recordId = record?.echoedRecordId;
    if (record === undefined || recordId === undefined) return [];
    return [-1, 0, 1].map((days) => ({ side: Side.PLATFORM, recordId, recordDate: addDays(record.recordDate, days) }));
  });
  return readResultsNamed(tx, carrierId, names);
}

type Reach = (startMs: number, result: CallResult) => readonly [startMs: number, endMs: number, duringMs?: number];

// By the two parties.
function wantedOf(results: readonly CallResult[], reach: Reach): WantedCall[] {
  return results.flatMap((result) => {
    const record = result.platform ?? result.carrier[0];
    const key = record && pairKeyOf(record);
    if (key === undefined) return [];
    const [start, end, during] = reach(result.startMs, result);
    const range = { start: microsFromMs(start), end: microsFromMs(end) };
    return [during === undefined ? { key, ...range } : { key, ...range, during: microsFromMs(during) }];
  });
}

// When the calls begin that have, as they are stored, the carrier's records of these results among theirs.
async function findHolders(
  tx: Tx,
  carrierId: string,
  alone: readonly CallResult[],
  joined: readonly CallResult[] = [],
): Promise<Micros[]> {
  const recordsOf = (results: readonly CallResult[]) => results.flatMap(({ carrier }) => carrier);
  const wanted = recordsOf([...alone, ...joined]).map((record) => ({
    key: durationKeyOf(record),
    start: microsFromMs(rawStartMs(record) - HOLDER_MS),
    end: microsFromMs(rawStartMs(record) + HOLDER_MS),
  }));
  const [pairs, splits] = await together([
    findCalls(tx, carrierId, { by: "correlation_key", side: Side.PLATFORM, wanted, limit: MOST_OF_A_KEY }),
    findSplitCalls(tx, carrierId, recordsOf(alone)),
  ]);
  return [...pairs.map(({ startTime }) => startTime), ...splits];
}

/**
 * The minutes of records that stored results tie to these, and that are in none of them: those that a result has no more, and calls that had a record which
 * stands alone or in another's result now, or went with another call for want of better. Judged apart, a record would be in two results or in none. Each is looked for once.
 */
export async function findTied(
  tx: Tx,
  carrierId: string,
  { judged, rows, offsets, sought }: TiedSearch,
): Promise<Micros[]> {
  const isIn = new Set(judged.flatMap(({ result }) => result.carrier.map(refText)));
  const names = judged.flatMap(({ name, result }) => [
    name,
    ...result.carrier.map((record) => nameText({ ...record, side: Side.CARRIER })),
  ]);
  const released = names.flatMap((name) => {
    const row = rows.get(name);
    return row === undefined || row.isMerged ? [] : row.carrierRecords.filter((record) => !isIn.has(refText(record)));
  });
  const alone = judged.flatMap(({ result }) => (result.platform ? [] : [result]));
  const joined = judged.flatMap(({ name, result }) => {
    const before = new Set(rows.get(name)?.carrierRecords.map(refText));
    return mayBeOfAnother(result) && result.carrier.some((record) => !before.has(refText(record))) ? [result] : [];
  });
  // A record that an id gives to a call here, and that is stored with another which is not judged.
  const isJudged = new Set(judged.map(({ name }) => name));
  const losing = [...rows].filter(([name, row]) => {
    const isElsewhere = row.isMerged || isJudged.has(name) || (row.side === Side.CARRIER && isIn.has(refText(row)));
    return !isElsewhere && row.carrierRecords.some((record) => isIn.has(refText(record)));
  });
  const isFresh = (purpose: string, text: string) => {
    const isNew = !sought.has(`${purpose}/${text}`);
    sought.add(`${purpose}/${text}`);
    return isNew;
  };
  const [starts, holders] = await together([
    readDurationStarts(
      tx,
      carrierId,
      released.filter((record) => isFresh("released", refText(record))),
    ),
    findHolders(
      tx,
      carrierId,
      alone.filter((result) => isFresh("held", identityOf(result))),
      joined.filter((result) => isFresh("held", identityOf(result))),
    ),
  ]);
  const corrected = starts.flatMap((start) => [0, ...offsets].map((offset) => minuteOf(msFromMicros(start) - offset)));
  const lost = losing.flatMap(([name, row]) => (isFresh("losing", name) ? [row.startTime] : []));
  return [...corrected, ...[...holders, ...lost].map((start) => minuteOf(msFromMicros(start)))];
}

// An id, or what the carrier says of the platform's, may have joined its record to a call that is far, and goes before numbers.
function mayBeOfAnother({ platform, carrier: [record], matchedBy }: CallResult): boolean {
  if (platform === undefined || record === undefined) return false;
  if (matchedBy !== MatchedBy.NUMBERS_AND_TIME && matchedBy !== MatchedBy.ECHOED) return false;
  return record.echoedRecordId !== undefined || hasIds(record.ids);
}

/** What is asked when a run of results is held against what is stored. */
interface TiedSearch {
  readonly judged: readonly { result: CallResult; name: string }[];
  readonly rows: ReadonlyMap<string, CallResultRow>;
  /** Offsets in use: by which of them a record's start is to be corrected shows when it is read. */
  readonly offsets: readonly number[];
  readonly sought: Set<string>;
}

function refText({ recordDate, recordId }: { recordDate: string; recordId: string }): string {
  return `${recordDate}/${recordId}`;
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
  const open = await readOpenOfClock(tx, carrierId, { trunkId, hour: microsFromMs(hourMs), limit: MOST_OF_AN_HOUR });
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
): Promise<(C & { call: FoundCall })[]> {
  const wanted = [...calls].map(([key, { timeMs }]) => ({
    key,
    start: microsFromMs(timeMs - ZONE_MS),
    end: microsFromMs(timeMs + ZONE_MS),
  }));
  const found = await findCalls(tx, carrierId, { by: "pair_key", side, wanted, limit: 2 });
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
