import { type Micros, microsFromMs, msFromMicros } from "../domain/instant.ts";
import { type CallEvidence, type ExplainTarget, explainCall } from "../domain/matching/explain.ts";
import { findNearMisses, type NearMiss, type OpenCall } from "../domain/matching/near-misses.ts";
import { type CallResult, MatchStatus, Side } from "../domain/matching/result.ts";
import {
  type CallResultRow,
  findCalls,
  findSplitCalls,
  readResultsIn,
  readResultsNamed,
} from "../store/call-results.ts";
import type { Tx } from "../store/database.ts";
import type { ExplainedRecord } from "../store/explain-targets.ts";
import { type OpenCallRow, readOpenCalls } from "../store/near-calls.ts";
import { readDurationStarts } from "../store/reconcile-input.ts";
import { durationKeyOf, pairKeyOf } from "./call-keys.ts";
import type { Reconciled } from "./carrier.ts";
import { nameOf } from "./result-row.ts";
import { gatherAround } from "./turn.ts";

/** Why a call came out as it did, and how it stands in the store. */
export interface ExplainedCall {
  readonly evidence: CallEvidence;
  /** Undefined: it has not been reconciled yet. */
  readonly stored: CallResultRow | undefined;
  /** Open records that nearly fit a call without a counterpart, the best first. */
  readonly near: readonly NearMiss[];
}

/** A zone shift is at most 14 h, and its pairs are a window off it. */
const NEAR_REACH_MS = 15 * 3_600_000;
/** A pair of which one clock is off, or that an id joins, begins within this of its records. */
const FAR_REACH_MS = 40 * 3_600_000;
/** Most open calls of two parties that are looked at. */
const MOST_OPEN = 200;

/**
 * Explains the call of a record: matches it anew with everything that was judged together with it, in a transaction that changes nothing. Undefined when the
 * record is not there any more.
 */
export async function explainRecord(
  tx: Tx,
  carrier: Reconciled,
  record: ExplainedRecord,
  now: Micros,
): Promise<ExplainedCall | undefined> {
  const { carrierId } = carrier;
  const side = record.side === Side.PLATFORM ? Side.PLATFORM : Side.CARRIER;
  const target = { side, recordId: record.recordId, recordDate: record.recordDate };
  const around = { aroundMs: msFromMicros(record.startTime), byCarrier: side === Side.CARRIER };
  const explain = async (alsoMs: readonly number[]) => {
    const { input, matched } = await gatherAround(tx, carrier, { ...around, alsoMs }, now);
    return explainCall(input, target, matched);
  };
  const first = await explain([]);
  if (!first) return undefined;
  const stored = await storedOf(tx, carrierId, target, first.result, record.startTime);
  if (!stored || isAsStored(first.result, stored)) return withNear(tx, carrierId, first, stored);
  // What it was judged with lies further away: where the records begin that it has.
  const alsoMs = [stored.startTime, ...(await readDurationStarts(tx, carrierId, stored.carrierRecords))];
  const evidence = (await explain(alsoMs.map(msFromMicros))) ?? first;
  return withNear(tx, carrierId, evidence, stored);
}

/** Whether a result rests on the same records as the stored one, and came to the same. */
export function isAsStored(result: CallResult, stored: CallResultRow): boolean {
  const text = ({ recordDate, recordId }: { recordDate: string; recordId: string }) => `${recordDate}/${recordId}`;
  const name = nameOf(result);
  if (name.side !== stored.side || text(name) !== text(stored) || result.status !== stored.status) return false;
  return result.carrier.map(text).sort().join() === stored.carrierRecords.map(text).sort().join();
}

// The row in force that has the record: under the name that was found, else under its own, else
// another's.
async function storedOf(
  tx: Tx,
  carrierId: string,
  target: ExplainTarget,
  result: CallResult,
  startTime: Micros,
): Promise<CallResultRow | undefined> {
  const found = await readResultsNamed(tx, carrierId, [nameOf(result), target]);
  const inForce = found.find((row) => !row.isMerged && hasRecord(row, target));
  if (inForce !== undefined || target.side === Side.PLATFORM) return inForce ?? found[0];
  const reach = BigInt(FAR_REACH_MS) * 1_000n;
  const wanted = [{ key: durationKeyOf(target), start: startTime - reach, end: startTime + reach }];
  const search = { by: "correlation_key" as const, side: Side.PLATFORM, wanted, limit: 1 };
  const far = (await findCalls(tx, carrierId, search)).map((call) => call.startTime);
  const [holder] = await readHolders(tx, carrierId, target, [
    ...far,
    ...(await findSplitCalls(tx, carrierId, [target])),
  ]);
  return holder ?? found[0];
}

async function readHolders(tx: Tx, carrierId: string, target: ExplainTarget, starts: readonly Micros[]) {
  const ranges = [...new Set(starts)].map((start) => ({ start, end: start + 1n }));
  const rows = ranges.length === 0 ? [] : await readResultsIn(tx, carrierId, ranges);
  return rows.filter((row) => !row.isMerged && hasRecord(row, target));
}

function hasRecord(row: CallResultRow, { side, recordId, recordDate }: ExplainTarget): boolean {
  if (side === Side.PLATFORM)
    return row.side === Side.PLATFORM && row.recordId === recordId && row.recordDate === recordDate;
  return row.carrierRecords.some((record) => record.recordId === recordId && record.recordDate === recordDate);
}

async function withNear(
  tx: Tx,
  carrierId: string,
  evidence: CallEvidence,
  stored: CallResultRow | undefined,
): Promise<ExplainedCall> {
  const { result } = evidence;
  const isPair = result.platform !== undefined && result.carrier.length > 0;
  const near = isPair || !LACKING.has(result.status) ? [] : await nearMissesOf(tx, carrierId, result);
  return { evidence, stored, near };
}

const LACKING: ReadonlySet<number> = new Set([
  MatchStatus.MISSING_AT_CARRIER,
  MatchStatus.MISSING_AT_PLATFORM,
  MatchStatus.PENDING,
]);

async function nearMissesOf(tx: Tx, carrierId: string, result: CallResult): Promise<NearMiss[]> {
  const record = result.platform ?? result.carrier[0];
  const measure = result.platformMeasure ?? result.carrierMeasure;
  const pairKey = record && pairKeyOf(record);
  if (record === undefined || measure === undefined || pairKey === undefined) return [];
  const [side, other] = result.platform ? [Side.PLATFORM, Side.CARRIER] : [Side.CARRIER, Side.PLATFORM];
  const rows = await readOpenCalls(tx, carrierId, {
    side: other,
    pairKey,
    around: microsFromMs(result.startMs),
    start: microsFromMs(result.startMs - NEAR_REACH_MS),
    end: microsFromMs(result.startMs + NEAR_REACH_MS),
    limit: MOST_OPEN,
  });
  const { answered, connectedMs, billedS } = measure;
  const missing = { side, record, startMs: result.startMs, answered, connectedMs, billedS };
  return findNearMisses(
    missing,
    rows.map((row) => openCall(other, row)),
  );
}

function openCall(side: Side, row: OpenCallRow): OpenCall {
  const { recordId, recordDate, revision, startTime, answered } = row;
  const number = (value: bigint | null) => (value === null ? undefined : Number(value));
  return {
    side,
    record: { recordId, recordDate, revision },
    startMs: msFromMicros(startTime),
    answered,
    connectedMs: number(row.connectedMs),
    billedS: number(row.billedS),
    lacksMs: number(row.lacksMs),
  };
}
