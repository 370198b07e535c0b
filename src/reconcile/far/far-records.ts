import { recordText } from "../../domain/matching/facts.ts";
import { CUT_SLACK_MS } from "../../domain/matching/pairing/split-calls.ts";
import type { CallResult } from "../../domain/matching/result.ts";
import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import { addDays, DAY_MS, HOUR_MS, MINUTE_MS, microsFromMs, msFromMicros } from "../../domain/time/instant.ts";
import { DiscrepancyStatus, MatchedBy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type Tx, together } from "../../store/database/run.ts";
import type { CallResultRow } from "../../store/reconciliation/call-result-columns.ts";
import { findByIds, findCalls, readResultsNamed, type WantedCall } from "../../store/reconciliation/call-results.ts";
import { echoKeyOf, idKeysOf, pairKeyOf } from "../call-keys.ts";
import type { CarrierVotes } from "../clocks/carrier-votes.ts";
import type { LoneCall } from "../lone-calls.ts";
import { type Span, spanAround, timeRange } from "../spans.ts";
import { correctedStarts, readPossibleStarts } from "./possible-starts.ts";
import { findHolders, identityOf, MOST_OF_A_KEY, type Sought } from "./stored-holders.ts";

// Finds counterparts hours away by keys, without reading all calls in between.

/** Records with one id are at most 25 h apart, and one of them may be of a pair as far again. */
const ID_MS = 50 * HOUR_MS;
const SPLIT_MS = DAY_MS;

/**
 * Finds the starts of calls outside the window that belong with these: by a shared id, as parts of
 * a split call, or because a stored result holds one of these records. Of a call with parts it
 * gives every part's start, since one alone would be judged otherwise. Looks for each record once.
 */
export async function farSpans(
  tx: Tx,
  carrierId: string,
  { kept, lone }: { kept: readonly CallResult[]; lone: readonly LoneCall[] },
  { sought, votes, marginMs }: { sought: Sought; votes: CarrierVotes; marginMs: number },
): Promise<Span[]> {
  const fresh = (purpose: string, results: readonly CallResult[]) => sought.fresh(purpose, results, identityOf);
  const alone = fresh(
    "alone",
    kept.filter(({ platform }) => platform === undefined),
  );
  const parts = fresh("part", kept.filter(mayBePart));
  const short = fresh("short", kept.filter(isShortAtCarrier));
  const find = (side: RecordKind["side"], wanted: WantedCall[]) =>
    findCalls(tx, carrierId, { by: "pair_key", side, wanted, limit: MOST_OF_A_KEY });
  const [sharing, echoed, longer, rest, whole] = await together([
    findByIds(tx, carrierId, { wanted: wantedIds(fresh("ids", kept), sought.freshCalls(lone)), most: MOST_OF_A_KEY }),
    findEchoed(tx, carrierId, alone),
    find(PLATFORM_SIDE, [
      ...parts.flatMap((result) => wantedOf(result, { beforeMs: SPLIT_MS, afterMs: 0, isDuring: true })),
      ...short.flatMap((result) => wantedOf(result, { beforeMs: SPLIT_MS, afterMs: lengthOf(result), isDuring: true })),
    ]),
    find(
      CARRIER_SIDE,
      short.flatMap((result) => wantedOf(result, { beforeMs: 0, afterMs: lengthOf(result) })),
    ),
    findHolders(
      tx,
      carrierId,
      alone.flatMap(({ carrier }) => carrier),
    ),
  ]);
  const calls = [...sharing, ...longer, ...rest, ...whole];
  const records = calls.flatMap((call) => call.parts);
  const starts = [
    ...[...calls, ...echoed].map(({ startTime }) => msFromMicros(startTime)),
    ...sharing.flatMap((call) => correctedStarts(call, votes)),
    ...(await readPossibleStarts(tx, carrierId, sought.fresh("begin", records, recordText), votes)),
  ];
  return starts.map((ms) => spanAround(ms, marginMs));
}

// The signalling ids of calls and the platform ids that carriers may echo: each once, over the
// widest range.
function wantedIds(results: readonly CallResult[], lone: readonly LoneCall[]): WantedCall[] {
  const wanted = new Map<bigint, WantedCall>();
  const want = (startMs: number, keys: readonly bigint[]) => {
    const { start, end } = timeRange(spanAround(startMs, ID_MS));
    for (const key of keys) {
      const known = wanted.get(key);
      const isFirst = known === undefined || start < known.start;
      const isLast = known === undefined || end > known.end;
      wanted.set(key, { key, start: isFirst ? start : known.start, end: isLast ? end : known.end });
    }
  };
  for (const result of results) want(result.startMs, [...idKeysOf(result), ...echoKeys(result)]);
  for (const { result, idKeys } of lone) if (idKeys.length > 0) want(result.startMs, idKeys);
  return [...wanted.values()];
}

function echoKeys({ platform, carrier, matchedBy, candidateCount }: CallResult): bigint[] {
  const isOpen = carrier.length === 0 || matchedBy === MatchedBy.ECHOED;
  return platform === undefined || !isOpen || candidateCount !== undefined ? [] : [echoKeyOf(platform.recordId)];
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

interface Reach {
  readonly beforeMs: number;
  readonly afterMs: number;
  /** Whether the call must still go on when this one begins. */
  readonly isDuring?: boolean;
}

// Looks for calls by the two parties, as either side writes them.
function wantedOf({ platform, carrier, startMs }: CallResult, { beforeMs, afterMs, isDuring }: Reach): WantedCall[] {
  const keys = [platform, carrier[0]].map((record) => record && pairKeyOf(record));
  const range = timeRange({ startMs: startMs - beforeMs, endMs: startMs + afterMs });
  const during = isDuring ? { during: microsFromMs(startMs) } : {};
  return [...new Set(keys)].flatMap((key) => (key === undefined ? [] : [{ key, ...range, ...during }]));
}

function lengthOf({ platformMeasure }: CallResult): number {
  return Math.min(SPLIT_MS, (platformMeasure?.totalMs ?? platformMeasure?.connectedMs ?? 0) + MINUTE_MS);
}

// In a crowd nothing is a part.
function mayBePart({ platform, carrierMeasure, candidateCount, status }: CallResult): boolean {
  if (platform !== undefined || candidateCount !== undefined || status === DiscrepancyStatus.VOIDED) return false;
  return carrierMeasure?.answered === true;
}

// The first part may be missing.
function isShortAtCarrier({ platform, platformMeasure, carrierMeasure, candidateCount, status }: CallResult): boolean {
  if (platform === undefined || candidateCount !== undefined || status === DiscrepancyStatus.VOIDED) return false;
  if (platformMeasure?.answered !== true) return false;
  const knownMs = carrierMeasure?.connectedMs ?? (carrierMeasure?.billedS ?? 0) * 1_000;
  return knownMs < (platformMeasure.connectedMs ?? 0) - CUT_SLACK_MS;
}
