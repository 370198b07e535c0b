import { numberOf } from "../domain/known-numbers.ts";
import { type CallEvidence, explainCall } from "../domain/matching/explain/explain.ts";
import { findNearMisses, type NearMiss, type OpenCall } from "../domain/matching/explain/near-misses.ts";
import { revisionsText } from "../domain/matching/facts.ts";
import { WINDOW_MS } from "../domain/matching/pairing/time-window.ts";
import type { CallResult } from "../domain/matching/result.ts";
import { CARRIER_SIDE, kindOfSide, PLATFORM_SIDE, type RecordKind } from "../domain/record-kind.ts";
import { HOUR_MS, type Micros, microsFromMs, msFromMicros } from "../domain/time/instant.ts";
import { DiscrepancyStatus } from "../gen/tandem/type/v1/discrepancy_pb.js";
import type { Tx } from "../store/database/run.ts";
import type { CallResultRow } from "../store/reconciliation/call-result-columns.ts";
import { readResultsIn, readResultsNamed } from "../store/reconciliation/call-results.ts";
import type { ExplainedRecord } from "../store/reconciliation/explain-targets.ts";
import { type OpenCallRow, readOpenCalls } from "../store/reconciliation/explain-targets.ts";
import { pairKeyOf } from "./call-keys.ts";
import type { Reconciled } from "./carrier.ts";
import { findHolders } from "./far/stored-holders.ts";
import { nameOf, nameText } from "./result-row.ts";
import { gatherAround } from "./settle-turn.ts";
import { spanAround, timeRange } from "./spans.ts";

/** Why a call came out as it did, and its stored result. */
export interface ExplainedCall {
  readonly evidence: CallEvidence;
  /** Undefined: the call is not reconciled yet. */
  readonly stored: CallResultRow | undefined;
  /** Whether judging again gives the stored result. If not, its minutes wait. */
  readonly isInForce: boolean;
  /** Unpaired records that nearly fit, the best first. */
  readonly near: readonly NearMiss[];
}

/** A zone shift (14 h) and the window. */
const NEAR_REACH_MS = 15 * HOUR_MS;
const MOST_OPEN = 200;

/** Pairs further apart are found by a key. Milliseconds, one second for rounding. */
const NEAR_MS = WINDOW_MS + 1_000;

/**
 * Explains the call of a record: matches all that was judged with it again and changes nothing.
 * Undefined: the record is gone.
 */
export async function explainRecord(
  tx: Tx,
  carrier: Reconciled,
  record: ExplainedRecord,
  now: Micros,
): Promise<ExplainedCall | undefined> {
  const startMs = msFromMicros(record.startTime);
  const holder = await findHolder(tx, carrier.carrierId, record);
  const instants = holder === undefined ? [startMs] : [startMs, msFromMicros(holder.startTime)];
  const { input, matched } = await gatherAround(tx, carrier, instants, now);
  const side = kindOfSide(record.side).side;
  const evidence = explainCall(input, { side, recordId: record.recordId, recordDate: record.recordDate }, matched);
  if (!evidence) return undefined;
  const stored = holder ?? (await readResultsNamed(tx, carrier.carrierId, [nameOf(evidence.result)])).at(0);
  const near = await findNear(tx, carrier.carrierId, evidence.result);
  return { evidence, stored, isInForce: stored !== undefined && isAlike(stored, evidence), near };
}

async function findHolder(tx: Tx, carrierId: string, record: ExplainedRecord): Promise<CallResultRow | undefined> {
  const { side, recordId, recordDate, startTime } = record;
  const [own] = await readResultsNamed(tx, carrierId, [{ side, recordId, recordDate }]);
  if (side === PLATFORM_SIDE || (own !== undefined && !own.isMerged)) return own;
  const startMs = msFromMicros(startTime);
  const holders = await findHolders(tx, carrierId, [{ recordId, recordDate, inviteMs: startMs }]);
  const far = holders.map(({ startTime: start }) => ({ start, end: start + 1n }));
  const rows = await readResultsIn(tx, carrierId, [timeRange(spanAround(startMs, NEAR_MS)), ...far]);
  const isOfRecord = (each: { recordId: string; recordDate: string }) =>
    each.recordId === recordId && each.recordDate === recordDate;
  return rows.find((row) => !row.isMerged && row.carrierRecords.some(isOfRecord)) ?? own;
}

function isAlike(stored: CallResultRow, { result }: CallEvidence): boolean {
  if (stored.isMerged || nameText(stored) !== nameText(nameOf(result)) || stored.status !== result.status) return false;
  return revisionsText(stored.carrierRecords) === revisionsText(result.carrier);
}

const LACKING: ReadonlySet<number> = new Set([
  DiscrepancyStatus.MISSING_AT_CARRIER,
  DiscrepancyStatus.MISSING_AT_PLATFORM,
  DiscrepancyStatus.PENDING,
]);

async function findNear(tx: Tx, carrierId: string, result: CallResult): Promise<NearMiss[]> {
  const isPair = result.platform !== undefined && result.carrier.length > 0;
  if (isPair || !LACKING.has(result.status)) return [];
  const record = result.platform ?? result.carrier[0];
  const measure = result.platformMeasure ?? result.carrierMeasure;
  const pairKey = record && pairKeyOf(record);
  if (record === undefined || measure === undefined || pairKey === undefined) return [];
  const [side, other] = result.platform ? [PLATFORM_SIDE, CARRIER_SIDE] : [CARRIER_SIDE, PLATFORM_SIDE];
  const { startMs } = result;
  const range = timeRange(spanAround(startMs, NEAR_REACH_MS));
  const search = { side: other, pairKey, around: microsFromMs(startMs), ...range, limit: MOST_OPEN };
  const open = (await readOpenCalls(tx, carrierId, search)).map((row) => openCall(other, row));
  const { answered, connectedMs, billedS } = measure;
  return findNearMisses({ side, record, startMs, answered, connectedMs, billedS }, open);
}

function openCall(side: RecordKind["side"], row: OpenCallRow): OpenCall {
  const { recordId, recordDate, revision, startTime, answered } = row;
  return {
    side,
    record: { recordId, recordDate, revision },
    startMs: msFromMicros(startTime),
    answered,
    connectedMs: numberOf(row.connectedMs),
    billedS: numberOf(row.billedS),
    lacksMs: numberOf(row.lacksMs),
  };
}
