import { create, toBinary } from "@bufbuild/protobuf";
import { FeedId } from "../../src/domain/feed-id.ts";
import { RULE_VERSION } from "../../src/domain/matching/result.ts";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { isoFromMicros, type Micros, utcDay } from "../../src/domain/time/instant.ts";
import { DiscrepancyStatus, MatchedBy } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { ErasureEntrySchema } from "../../src/gen/tandem/type/v1/erasure_pb.js";
import { type Database, systemTransaction } from "../../src/store/database/database.ts";
import { readRow, run, type Tx } from "../../src/store/database/run.ts";
import { advanceFeed, type FeedLock, lockFeed } from "../../src/store/feeds/feed-head.ts";
import type { StoredRow } from "../../src/store/reconciliation/call-result-columns.ts";
import type { ReconcilePosition } from "../../src/store/reconciliation/reconcile-progress.ts";
import { fillSummary, readSummarizedFrom } from "../../src/store/reconciliation/summary-sums.ts";
import { encodeDiscrepancy } from "./discrepancy-payload.ts";
import { type Columns, insertRow, type ResultRow } from "./rows.ts";

/**
 * What a test says of a row of call_result; the rest is as of a call of 60 s by the two sides that
 * its status says.
 */
export type PartialResult = Partial<ResultRow>;

const CALL_MS = 60_000n;
const FILLED_AT_ONCE = 20_000;
/** Statuses of calls that the platform does not have, and that the carrier does not have. */
const CARRIER_ONLY: ReadonlySet<number> = new Set([
  DiscrepancyStatus.MISSING_AT_PLATFORM,
  DiscrepancyStatus.DUPLICATE_AT_CARRIER,
]);
const PLATFORM_ONLY: ReadonlySet<number> = new Set([
  DiscrepancyStatus.MISSING_AT_CARRIER,
  DiscrepancyStatus.DUPLICATE_AT_PLATFORM,
  DiscrepancyStatus.NOT_REPORTED,
  DiscrepancyStatus.PENDING,
]);

let rows = 0;

/**
 * Writes rows of call_result as they are, without a discrepancy unless they say so. Left out: an
 * outbound call of 60 s an hour ago, matched exactly by its numbers; without the side that its
 * status says is missing (side 2: the platform).
 */
export async function insertCallResults(
  db: Database,
  carrierId: string,
  partialRows: readonly PartialResult[],
): Promise<void> {
  if (partialRows.length === 0) return;
  const values = partialRows.map((partial) => completeRow(carrierId, partial));
  await systemTransaction(db, async (tx) => {
    for (const row of values) await insertRow(tx, "call_result", row);
    await makeSumsAnew(tx, carrierId);
  });
}

// Results were written beside the sums. Those of usage are left empty.
async function makeSumsAnew(tx: Tx, carrierId: string): Promise<void> {
  await emptySums(tx, carrierId);
  while (await fillSummary(tx, carrierId, await readSummarizedFrom(tx, carrierId), FILLED_AT_ONCE));
}

/** Empties a carrier's sums, as an installation has them whose calls are older. */
export async function emptySums(tx: Tx, carrierId: string): Promise<void> {
  await run(tx)`UPDATE usage_zone SET filled_from = '9999-12-31T00:00:00Z' WHERE carrier_id = ${carrierId}`;
  await run(tx)`DELETE FROM usage_sum WHERE carrier_id = ${carrierId}`;
  await run(tx)`DELETE FROM summary_sum WHERE carrier_id = ${carrierId}`;
  await run(tx)`DELETE FROM summary_fill WHERE carrier_id = ${carrierId}`;
}

/**
 * Appends an entry to the discrepancy feed for each row, in order, as the reconciler does: the row
 * is written with it, and what it was before is in the entry. A row with the `discrepancy_id` of an
 * earlier one changes that one. @returns the sequences.
 */
export async function appendDiscrepancies(
  db: Database,
  carrierId: string,
  partialRows: readonly PartialResult[],
): Promise<bigint[]> {
  return append(db, carrierId, partialRows.length, async (tx, lock, index) =>
    writeDiscrepancy(tx, carrierId, lock, partialRows[index] ?? {}, lock.nextSequence + BigInt(index)),
  );
}

/** Appends an erasure of these discrepancies to the feed. @returns its sequence. */
export async function appendErasure(
  db: Database,
  carrierId: string,
  discrepancyIds: readonly string[],
): Promise<bigint> {
  const [sequence = 0n] = await append(db, carrierId, 1, async (tx, lock) => {
    const records = discrepancyIds.map((recordId) => ({ recordId, recordDate: utcDay(lock.ingestTime) }));
    const payload = toBinary(ErasureEntrySchema, create(ErasureEntrySchema, { erasureId: "erasure", records }));
    await insertEntry(tx, carrierId, lock, {
      sequence: lock.nextSequence,
      entry_kind: 2,
      payload: Buffer.from(payload),
    });
  });
  return sequence;
}

/** Says how far a carrier is reconciled. */
export async function setReconciled(
  db: Database,
  carrierId: string,
  position: Partial<Columns<ReconcilePosition>> = {},
): Promise<void> {
  const row = {
    carrier_id: carrierId,
    cdr_sequence: 0n,
    duration_sequence: 0n,
    cdr_epoch: 1n,
    duration_epoch: 1n,
    agreement_revision: 1n,
    rule_version: RULE_VERSION,
    reconciled_through: "2026-01-01T00:00:00Z",
    update_time: "2026-01-01T00:00:00Z",
    ...position,
  };
  await systemTransaction(db, async (tx) => {
    await run(tx)`DELETE FROM reconcile_position WHERE carrier_id = ${carrierId}`;
    await insertRow(tx, "reconcile_position", row);
  });
}

async function append(
  db: Database,
  carrierId: string,
  count: number,
  write: (tx: Tx, lock: FeedLock, index: number) => Promise<void>,
): Promise<bigint[]> {
  return systemTransaction(db, async (tx) => {
    const lock = await lockFeed(tx, carrierId, FeedId.DISCREPANCIES);
    for (let index = 0; index < count; index++) await write(tx, lock, index);
    await makeSumsAnew(tx, carrierId);
    await advanceFeed(tx, carrierId, FeedId.DISCREPANCIES, lock.nextSequence + BigInt(count));
    return Array.from({ length: count }, (_, index) => lock.nextSequence + BigInt(index));
  });
}

async function writeDiscrepancy(
  tx: Tx,
  carrierId: string,
  lock: FeedLock,
  partial: PartialResult,
  sequence: bigint,
): Promise<void> {
  const discrepancyId = partial.discrepancy_id ?? `discrepancy-${++rows}`;
  const before = await readRow(tx)<StoredRow>`
    SELECT * FROM call_result WHERE carrier_id = ${carrierId} AND discrepancy_id = ${discrepancyId}`;
  const ingestTime = isoFromMicros(lock.ingestTime);
  const status = partial.status ?? DiscrepancyStatus.DURATION_MISMATCH;
  const isDisagreement = status >= DiscrepancyStatus.DURATION_MISMATCH && status <= DiscrepancyStatus.PENDING;
  const kept = before && {
    record_id: before.recordId,
    record_date: before.recordDate,
    side: before.side,
    start_time: isoFromMicros(before.startTime),
    customer_id: before.customerId ?? null,
    trunk_id: before.trunkId ?? null,
    direction: before.direction,
  };
  const row = completeRow(carrierId, {
    ...kept,
    resolved_time: isDisagreement ? null : ingestTime,
    ...partial,
    status,
    discrepancy_id: discrepancyId,
    discrepancy_revision: (before?.discrepancyRevision ?? 0) + 1,
    first_seen_time: before?.firstSeenTime ? isoFromMicros(before.firstSeenTime) : ingestTime,
    update_time: ingestTime,
    sequence,
  });
  row.payload ??= encodeDiscrepancy(row);
  if (before)
    await run(tx)`DELETE FROM call_result WHERE carrier_id = ${carrierId} AND discrepancy_id = ${discrepancyId}`;
  await insertRow(tx, "call_result", row);
  await insertEntry(tx, carrierId, lock, {
    sequence,
    entry_kind: 1,
    discrepancy_id: discrepancyId,
    ...filterColumns(row),
    ...(before ? previousColumns(before) : {}),
    payload: row.payload,
  });
}

async function insertEntry(
  tx: Tx,
  carrierId: string,
  lock: FeedLock,
  entry: { sequence: bigint; entry_kind: number; payload: Buffer } & Readonly<Record<string, unknown>>,
): Promise<void> {
  const row = { carrier_id: carrierId, ingest_time: isoFromMicros(lock.ingestTime), ...entry };
  await insertRow(tx, "discrepancy_entry", row);
}

interface FilterRow {
  readonly status: number;
  readonly causes: number;
  readonly customer_id?: string | null;
  readonly trunk_id?: string | null;
  readonly direction: number;
  readonly resolved_time?: unknown;
  readonly platform_ms?: bigint | null;
  readonly carrier_ms?: bigint | null;
  readonly billed_s?: bigint | null;
}

function filterColumns(row: FilterRow) {
  const delta = (row.carrier_ms ?? (row.billed_s ?? 0n) * 1_000n) - (row.platform_ms ?? 0n);
  return {
    status: row.status,
    causes: row.causes,
    customer_id: row.customer_id ?? null,
    trunk_id: row.trunk_id ?? null,
    direction: row.direction,
    unresolved: (row.resolved_time ?? null) === null,
    absolute_delta_ms: delta < 0n ? -delta : delta,
  };
}

function previousColumns({ customerId, trunkId, platformMs, carrierMs, billedS, ...row }: StoredRow) {
  const columns = filterColumns({
    ...row,
    customer_id: customerId ?? null,
    trunk_id: trunkId ?? null,
    resolved_time: row.resolvedTime,
    platform_ms: platformMs ?? null,
    carrier_ms: carrierMs ?? null,
    billed_s: billedS ?? null,
  });
  return Object.fromEntries(Object.entries(columns).map(([name, value]) => [`previous_${name}`, value]));
}

function completeRow(carrierId: string, partial: PartialResult): ResultRow {
  const number = ++rows;
  const startTime = partial.start_time ?? isoFromMicros(hourAgo());
  const day = startTime.slice(0, 10);
  return {
    carrier_id: carrierId,
    record_id: `call-${number}`,
    record_date: day,
    revision: 1,
    start_time: startTime,
    call_date: day,
    causes: 0,
    pending_reason: 0,
    is_open: false,
    is_merged: false,
    direction: 1,
    result_hash: 0n,
    arrival_time: startTime,
    update_time: startTime,
    discrepancy_revision: 0,
    ...sidesOf(partial, `duration-${number}`, day),
    ...partial,
  };
}

function sidesOf({ side, status = DiscrepancyStatus.MATCHED_EXACT }: PartialResult, durationId: string, day: string) {
  const hasPlatform = side !== CARRIER_SIDE && !CARRIER_ONLY.has(status);
  const hasCarrier = side === CARRIER_SIDE || !PLATFORM_ONLY.has(status);
  const isAnswered = status !== DiscrepancyStatus.MATCHED_UNANSWERED;
  const length = isAnswered ? CALL_MS : null;
  return {
    status,
    side: hasPlatform ? PLATFORM_SIDE : CARRIER_SIDE,
    carrier_record_ids: hasCarrier ? [durationId] : [],
    carrier_record_dates: hasCarrier ? [day] : [],
    carrier_revisions: hasCarrier ? [1] : [],
    matched_by: hasPlatform && hasCarrier ? MatchedBy.NUMBERS_AND_TIME : 0,
    platform_answered: hasPlatform ? isAnswered : null,
    carrier_answered: hasCarrier ? isAnswered : null,
    platform_ms: hasPlatform ? length : null,
    carrier_ms: hasCarrier ? length : null,
  };
}

function hourAgo(): Micros {
  return BigInt(Date.now() - 3_600_000) * 1_000n;
}
