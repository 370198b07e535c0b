import { sql } from "kysely";
import { ALL_FEEDS, FeedId } from "../../domain/feed-id.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { clockFrom } from "../database/clock-from.ts";
import { dayOf, instant, readClock, readColumn, readRow, readRows, readValue, run, type Tx } from "../database/run.ts";
import { advanceFeed, type FeedLock } from "../feeds/feed-head.ts";
import { ENTRY_TABLES } from "../feeds/feed-position.ts";
import { EntryKind } from "../records/record-rows.ts";

export interface ErasureRow {
  erasureId: string;
  requestId: string;
  state: number;
  start: Micros;
  end: Micros;
  role: number;
  caseReference: string;
  verifiedBy: string;
  requestedBy: string;
  journal: Buffer;
  createTime: Micros;
  drainTime: Micros | undefined;
  completeTime: Micros | undefined;
  receiptTime: Micros | undefined;
}

/** What was erased of one part at one carrier. */
export interface ErasedCounts {
  records: number;
  copies: number;
  hashes: number;
}

export interface ErasureHeldBack {
  reason: number;
  part: number;
  count: number;
  /** Microseconds since 1970, as text; absent: no date. */
  due?: string;
  source?: string;
}

/** An erasure at one carrier. */
export interface ErasureAtCarrier {
  carrierId: string;
  isDone: boolean;
  lookTime: Micros | undefined;
  /** By RecordPart. */
  counts: Record<string, ErasedCounts>;
  exceptions: ErasureHeldBack[];
  /** By feed: the first and the last ERASURE entry, as text. */
  notices: Record<string, { first: string; last: string }>;
  lateCdrs: bigint;
  lateDurations: bigint;
  lateTime: Micros | undefined;
}

/** Keeps a journalled erasure. False: one with its id or request id exists. */
export async function insertErasure(
  tx: Tx,
  erasure: Omit<ErasureRow, "state" | "drainTime" | "completeTime" | "receiptTime">,
): Promise<boolean> {
  const { count } = await run(tx)`
    INSERT INTO erasure (erasure_id, request_id, state, start_time, end_time, role, case_reference, verified_by, requested_by, journal, create_time)
    VALUES (${erasure.erasureId}, ${erasure.requestId}, 1, ${instant(erasure.start)}, ${instant(erasure.end)}, ${erasure.role},
      ${erasure.caseReference}, ${erasure.verifiedBy}, ${erasure.requestedBy}, ${erasure.journal}, ${instant(erasure.createTime)})
    ON CONFLICT DO NOTHING`;
  return count === 1;
}

const COLUMNS = sql.raw(`e.*, e.start_time AS start, e.end_time AS "end"`);

export function readErasure(
  tx: Tx,
  name: { erasureId: string } | { requestId: string },
): Promise<ErasureRow | undefined> {
  const named = "erasureId" in name ? sql`erasure_id = ${name.erasureId}` : sql`request_id = ${name.requestId}`;
  return readRow(tx)<ErasureRow>`SELECT ${COLUMNS} FROM erasure e WHERE ${named}`;
}

export function listErasures(tx: Tx): Promise<{ erasureId: string; requestId: string; state: number }[]> {
  return readRows(tx)<{ erasureId: string; requestId: string; state: number }>`
    SELECT erasure_id, request_id, state FROM erasure ORDER BY create_time`;
}

/** Entries of the journal that the database has, by id. */
export function readErasureEntries(
  tx: Tx,
  after: string,
  limit: number,
): Promise<{ erasureId: string; sealed: Buffer }[]> {
  return readRows(tx)<{ erasureId: string; sealed: Buffer }>`
    SELECT erasure_id, journal AS sealed FROM erasure WHERE erasure_id > ${after} ORDER BY erasure_id LIMIT ${limit}`;
}

/** Erasures that are unfinished, have an exception to recheck, or miss a carrier. */
export function findErasuresToRun(tx: Tx, limit: number): Promise<ErasureRow[]> {
  return readRows(tx)<ErasureRow>`
    SELECT ${COLUMNS} FROM erasure e
    WHERE e.state < 4
      OR EXISTS (SELECT FROM erasure_carrier c WHERE c.erasure_id = e.erasure_id AND (NOT c.done OR c.look_time <= clock_timestamp()))
      OR EXISTS (SELECT FROM carrier k WHERE NOT EXISTS (
        SELECT FROM erasure_carrier c WHERE c.carrier_id = k.carrier_id AND c.erasure_id = e.erasure_id))
    ORDER BY e.create_time LIMIT ${limit}`;
}

/** Whether any rewriting is due now, rechecks included. Draining does not count. */
export function areAnyUnwritten(tx: Tx): Promise<boolean> {
  return readValue(tx)<boolean>`
    SELECT EXISTS (SELECT FROM erasure WHERE state < 3)
      OR EXISTS (SELECT FROM erasure_carrier WHERE NOT done OR look_time <= clock_timestamp()) AS unwritten`;
}

/** Moves an erasure on, under its job's lease. */
export async function writeErasureState(
  tx: Tx,
  erasureId: string,
  state: number,
  times: { drains?: boolean; completes?: boolean } = {},
): Promise<void> {
  // Read apart: on a cluster every server has this table, and all must write the same time.
  const now = instant(await readClock(tx));
  const drains = times.drains ? sql`, drain_time = ${now}` : sql``;
  const completes = times.completes
    ? sql`, complete_time = COALESCE(complete_time, ${now}), receipt_time = ${now}`
    : sql``;
  await run(tx)`UPDATE erasure SET state = ${state}${drains}${completes} WHERE erasure_id = ${erasureId}`;
}

export function findCarriersWithout(tx: Tx, erasureId: string): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT k.carrier_id FROM carrier k
    WHERE NOT EXISTS (SELECT FROM erasure_carrier c WHERE c.carrier_id = k.carrier_id AND c.erasure_id = ${erasureId})
    ORDER BY k.carrier_id`;
}

/** Puts an erasure in force at a carrier: its feeds' generations rise, so that writers load it. */
export async function putInForce(tx: Tx, carrierId: string, erasure: { erasureId: string; journal: Buffer }) {
  for (const feed of ALL_FEEDS) await raiseGeneration(tx, carrierId, feed);
  await run(tx)`
    INSERT INTO erasure_carrier (carrier_id, erasure_id, journal, done, counts, exceptions, notices, late_cdrs, late_durations)
    VALUES (${carrierId}, ${erasure.erasureId}, ${erasure.journal},
      NOT EXISTS (SELECT FROM feed_head WHERE carrier_id = ${carrierId} AND next_sequence > 1)
        AND NOT EXISTS (SELECT FROM upload WHERE carrier_id = ${carrierId})
        AND NOT EXISTS (SELECT FROM number_holding WHERE carrier_id = ${carrierId})
        AND NOT EXISTS (SELECT FROM number_approval WHERE carrier_id = ${carrierId}),
      '{}', '[]', '{}', 0, 0)
    ON CONFLICT DO NOTHING`;
}

/** Has a feed's pages in memory read again. Locks the feed. */
export async function raiseGeneration(tx: Tx, carrierId: string, feed: number): Promise<void> {
  await run(tx)`
    UPDATE feed_head SET payload_generation = payload_generation + 1
    WHERE carrier_id = ${carrierId} AND feed = ${feed}`;
}

/** Of the feeds of numbers and discrepancies. */
const ERASURE = 2;

/** Appends an ERASURE entry to a feed under its lock, and has readers reread the feed's pages. */
export async function appendErasure(
  tx: Tx,
  carrierId: string,
  feed: Exclude<FeedId, typeof FeedId.DURATIONS>,
  lock: Pick<FeedLock, "nextSequence" | "ingestTime">,
  entry: { erasureId: string; payload: Buffer },
): Promise<void> {
  const [sequence, time] = [lock.nextSequence, instant(lock.ingestTime)];
  if (feed === FeedId.CDRS)
    await run(tx)`
      INSERT INTO cdr_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, partial, direction, quality_verdict, payload)
      VALUES (${carrierId}, ${sequence}, ${time}, ${entry.erasureId}, ${dayOf(lock.ingestTime)}, 0, ${EntryKind.ERASURE}, false, 0, 0, ${entry.payload})`;
  else
    await run(tx)`
      INSERT INTO ${sql.table(ENTRY_TABLES[feed])} (carrier_id, sequence, ingest_time, entry_kind, payload)
      VALUES (${carrierId}, ${sequence}, ${time}, ${ERASURE}, ${entry.payload})`;
  await advanceFeed(tx, carrierId, feed, sequence + 1n);
  await raiseGeneration(tx, carrierId, feed);
}

/** What is to be erased as it arrives at a carrier, encrypted. Also in a carrier's transaction. */
export function readInForce(tx: Tx, carrierId: string): Promise<{ erasureId: string; sealed: Buffer }[]> {
  return readRows(tx)<{ erasureId: string; sealed: Buffer }>`
    SELECT erasure_id, journal AS sealed FROM erasure_carrier WHERE carrier_id = ${carrierId} ORDER BY erasure_id`;
}

/** Counts records that were erased as they arrived. */
export async function countLate(
  tx: Tx,
  carrierId: string,
  erasureId: string,
  late: { cdrs: number; durations: number },
): Promise<void> {
  await run(tx)`
    UPDATE erasure_carrier SET late_cdrs = late_cdrs + ${late.cdrs}, late_durations = late_durations + ${late.durations},
      late_time = ${clockFrom("late_time")}
    WHERE carrier_id = ${carrierId} AND erasure_id = ${erasureId}`;
}

export function readErasureCarriers(
  tx: Tx,
  erasureId: string,
  { isToDo = false }: { isToDo?: boolean } = {},
): Promise<ErasureAtCarrier[]> {
  const toDo = isToDo ? sql`AND (NOT done OR look_time <= clock_timestamp())` : sql``;
  return readRows(tx)<ErasureAtCarrier>`
    SELECT *, done AS is_done FROM erasure_carrier WHERE erasure_id = ${erasureId} ${toDo} ORDER BY carrier_id`;
}

export async function readErasureCarrier(tx: Tx, erasureId: string, carrierId: string): Promise<ErasureAtCarrier> {
  const row = await readRow(tx)<ErasureAtCarrier>`
    SELECT *, done AS is_done FROM erasure_carrier WHERE erasure_id = ${erasureId} AND carrier_id = ${carrierId}`;
  if (!row) throw new Error(`erasure ${erasureId} is not in force at ${carrierId}`);
  return row;
}

/** Writes what an erasure came to at a carrier, except late records, which are counted apart. */
export async function writeErasureCarrier(tx: Tx, erasureId: string, at: ErasureAtCarrier): Promise<void> {
  await run(tx)`
    UPDATE erasure_carrier SET done = ${at.isDone}, look_time = ${instant(at.lookTime)}, counts = ${JSON.stringify(at.counts)}::jsonb,
      exceptions = ${JSON.stringify(at.exceptions)}::jsonb, notices = ${JSON.stringify(at.notices)}::jsonb
    WHERE erasure_id = ${erasureId} AND carrier_id = ${at.carrierId}`;
}
