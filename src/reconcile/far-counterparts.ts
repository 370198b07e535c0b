import { MAX_COMPONENT } from "../domain/matching/pairing/components.ts";
import { CUT_SLACK_MS } from "../domain/matching/pairing/ending-parts.ts";
import type { CallResult } from "../domain/matching/result.ts";
import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../domain/record-kind.ts";
import { addDays, microsFromMs, msFromMicros } from "../domain/time/instant.ts";
import { DiscrepancyStatus, MatchedBy } from "../gen/tandem/type/v1/discrepancy_pb.js";
import { type Tx, together } from "../store/database/run.ts";
import type { CallResultRow } from "../store/reconciliation/call-result-columns.ts";
import {
  type FoundCall,
  findByIds,
  findCalls,
  findSplitCalls,
  readResultsNamed,
  type WantedCall,
} from "../store/reconciliation/call-results.ts";
import { readDurationStarts } from "../store/reconciliation/reconcile-input.ts";
import { durationKeyOf, echoKeyOf, idKeysOf, pairKeyOf } from "./call-keys.ts";
import { rawStartMs } from "./result-row.ts";
import type { CarrierVotes } from "./votes.ts";
import type { Span } from "./window.ts";

// Finds counterparts that begin hours apart by keys, without reading all calls in between.

const HOUR_MS = 3_600_000;
/** A zone shift of at most 14 h, and the window. */
const ZONE_MS = 15 * HOUR_MS;
const CORRELATION_MS = 25 * HOUR_MS;
/** The record that has the id may be a pair's, whose other record is as far again. */
const ID_MS = 2 * CORRELATION_MS;
const SPLIT_MS = 24 * HOUR_MS;
/** A pair's starts are at most 24 h apart, plus a zone shift. */
const HOLDER_MS = CORRELATION_MS + ZONE_MS;
/** Most calls that are read for one pair of parties or one id. */
const MOST_OF_A_KEY = MAX_COMPONENT;

/**
 * Finds the start times of calls outside the window that belong with these: by a shared id, as
 * parts of a split call, or because a stored result already holds one of these records. For a call
 * with parts it returns the start of every part, since one part alone would be judged differently.
 * Looks for each record once.
 */
export async function farSpans(
  tx: Tx,
  carrierId: string,
  kept: readonly CallResult[],
  { sought, votes, marginMs }: { sought: Set<string>; votes: CarrierVotes; marginMs: number },
): Promise<Span[]> {
  const fresh = (purpose: string, results: readonly CallResult[]) =>
    results.filter((result) => isFresh(sought, `${purpose}/${sideOf(result)}/${identityOf(result)}`));
  const isCarriers = ({ platform }: CallResult) => platform === undefined;
  const alone = fresh("alone", kept.filter(isCarriers));
  const parts = fresh("part", kept.filter(mayBePart));
  const short = fresh("short", kept.filter(isShortAtCarrier));
  const find = (side: RecordKind["side"], wanted: WantedCall[]) =>
    findCalls(tx, carrierId, { by: "pair_key", side, wanted, limit: MOST_OF_A_KEY });
  const [sharing, echoed, longer, rest, whole] = await together([
    findByIds(tx, carrierId, { wanted: wantedIds(fresh("ids", kept)), most: MOST_OF_A_KEY }),
    findEchoed(tx, carrierId, alone),
    find(PLATFORM_SIDE, [
      ...wantedOf(parts, (ms) => [ms - SPLIT_MS, ms, ms]),
      ...wantedOf(short, (ms, result) => [ms - SPLIT_MS, ms + lengthOf(result), ms]),
    ]),
    find(
      CARRIER_SIDE,
      wantedOf(short, (ms, result) => [ms, ms + lengthOf(result)]),
    ),
    findHolders(tx, carrierId, alone),
  ]);
  const calls = [...sharing, ...longer, ...rest, ...whole];
  const starts = [...calls, ...echoed].map(({ startTime }) => msFromMicros(startTime));
  const ofCarrier = sharing.flatMap((call) => correctedStarts(call, votes));
  const ofParts = await partStarts(tx, carrierId, calls, { sought, votes });
  return [...starts, ...ofCarrier, ...ofParts].map((ms) => ({ startMs: ms - marginMs, endMs: ms + marginMs }));
}

/** Whether this is the first time that a text is asked for. */
export function isFresh(sought: Set<string>, text: string): boolean {
  const isNew = !sought.has(text);
  sought.add(text);
  return isNew;
}

// The trunks of the parts are not known yet, so every offset in use is tried.
async function partStarts(
  tx: Tx,
  carrierId: string,
  calls: readonly FoundCall[],
  { sought, votes }: { sought: Set<string>; votes: CarrierVotes },
): Promise<number[]> {
  const records = calls
    .flatMap(({ parts }) => parts)
    .filter(({ recordDate, recordId }) => isFresh(sought, `begin/${recordDate}/${recordId}`));
  const offsets = [0, ...votes.offsetsInUse()];
  const starts = await readDurationStarts(tx, carrierId, records);
  return starts.flatMap((start) => offsets.map((offset) => msFromMicros(start) - offset));
}

// The signalling ids of these calls and the platform ids that carriers may echo. Each once, over
// the widest range of time.
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

function echoKeys({ platform, carrier, matchedBy, candidateCount }: CallResult): bigint[] {
  const isOpen = carrier.length === 0 || matchedBy === MatchedBy.ECHOED;
  return platform === undefined || !isOpen || candidateCount !== undefined ? [] : [echoKeyOf(platform.recordId)];
}

// Start times of a call by the carrier's clock, corrected by its offsets.
function correctedStarts({ clockTrunk, clockTime }: FoundCall, votes: CarrierVotes): number[] {
  if (clockTrunk === undefined || clockTime === undefined) return [];
  const ms = msFromMicros(clockTime);
  const offset = votes.offsetAt(clockTrunk, Math.floor(ms / HOUR_MS) * HOUR_MS);
  const first = ms - (offset?.offsetMs ?? 0);
  return offset?.second === undefined ? [first] : [first, ms - offset.second.offsetMs];
}

// The platform's calls that these records echo.
function findEchoed(tx: Tx, carrierId: string, alone: readonly CallResult[]): Promise<CallResultRow[]> {
  const names = alone.flatMap(({ carrier: [record] }) => {
    const recordId = record?.echoedRecordId;
    if (record === undefined || recordId === undefined) return [];
    return [-1, 0, 1].map((days) => ({ side: PLATFORM_SIDE, recordId, recordDate: addDays(record.recordDate, days) }));
  });
  return readResultsNamed(tx, carrierId, names);
}

type Reach = (startMs: number, result: CallResult) => readonly [startMs: number, endMs: number, duringMs?: number];

// Looks for calls by the two parties, as either side writes them.
function wantedOf(results: readonly CallResult[], reach: Reach): WantedCall[] {
  return results.flatMap((result) => {
    const keys = [result.platform, result.carrier[0]].map((record) => record && pairKeyOf(record));
    const [start, end, during] = reach(result.startMs, result);
    const range = { start: microsFromMs(start), end: microsFromMs(end) };
    return [...new Set(keys)].flatMap((key) => {
      if (key === undefined) return [];
      return [during === undefined ? { key, ...range } : { key, ...range, during: microsFromMs(during) }];
    });
  });
}

/** The stored results that hold the carrier's records of these results. */
export async function findHolders(
  tx: Tx,
  carrierId: string,
  alone: readonly CallResult[],
  joined: readonly CallResult[] = [],
): Promise<FoundCall[]> {
  const recordsOf = (results: readonly CallResult[]) => results.flatMap(({ carrier }) => carrier);
  const wanted = recordsOf([...alone, ...joined]).map((record) => ({
    key: durationKeyOf(record),
    start: microsFromMs(rawStartMs(record) - HOLDER_MS),
    end: microsFromMs(rawStartMs(record) + HOLDER_MS),
  }));
  const [pairs, splits] = await together([
    findCalls(tx, carrierId, { by: "correlation_key", side: PLATFORM_SIDE, wanted, limit: MOST_OF_A_KEY }),
    findSplitCalls(tx, carrierId, recordsOf(alone)),
  ]);
  return [...pairs, ...splits];
}

function lengthOf({ platformMeasure }: CallResult): number {
  return Math.min(SPLIT_MS, (platformMeasure?.totalMs ?? platformMeasure?.connectedMs ?? 0) + 60_000);
}

/** Names a result by all its records. */
export function identityOf(result: CallResult): string {
  const records = result.platform ? [result.platform, ...result.carrier] : result.carrier;
  return records.map(({ recordDate, recordId }) => `${recordDate}/${recordId}`).join();
}

// In a crowd nothing is a part.
function mayBePart({ platform, carrierMeasure, candidateCount, status }: CallResult): boolean {
  if (platform !== undefined || candidateCount !== undefined || status === DiscrepancyStatus.VOIDED) return false;
  return carrierMeasure?.answered === true;
}

// If the carrier has nothing of a call, its first part may be missing.
function isShortAtCarrier({ platform, platformMeasure, carrierMeasure, candidateCount, status }: CallResult): boolean {
  if (platform === undefined || candidateCount !== undefined || status === DiscrepancyStatus.VOIDED) return false;
  if (platformMeasure?.answered !== true) return false;
  const knownMs = carrierMeasure?.connectedMs ?? billedMs(carrierMeasure) ?? 0;
  return knownMs < (platformMeasure.connectedMs ?? 0) - CUT_SLACK_MS;
}

function billedMs(measure: CallResult["carrierMeasure"]): number | undefined {
  return measure?.billedS === undefined ? undefined : measure.billedS * 1_000;
}

function sideOf(result: CallResult): RecordKind["side"] {
  return result.platform ? PLATFORM_SIDE : CARRIER_SIDE;
}
