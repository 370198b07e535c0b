import { type RawBuilder, sql } from "kysely";
import { CARRIER_SIDE, CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { HoldState } from "../../gen/tandem/platform/v1/hold_pb.js";
import { textArray } from "../database/binary-array.ts";
import { clockFrom } from "../database/clock-from.ts";
import { instant, readColumn, readRows, readValue, run, type Tx, unnest } from "../database/run.ts";
import { readStartOfDay } from "../zone-days/zone-days.ts";

// Holds are on single records or on a period. In system transactions.

/** A held record, in every revision. */
export interface HeldName {
  readonly side: RecordKind["side"];
  readonly recordId: string;
  readonly recordDate: string;
}

/** The records of both sides in a period. */
export interface HeldPeriod {
  readonly startDate: string;
  readonly endDate: string;
  readonly customerId: string | undefined;
  readonly trunkId: string | undefined;
  /** 0: both. */
  readonly direction: number;
}

export interface NewHold {
  readonly carrierId: string;
  readonly holdId: string;
  readonly target: { readonly records: readonly HeldName[] } | { readonly period: HeldPeriod };
  readonly reason: number;
  readonly caseReference: string;
  readonly owner: string;
  readonly endTime: Micros;
  readonly createdBy: string;
}

export interface StoredHold extends NewHold {
  readonly state: HoldState;
  /** Revisions that it kept at `countTime`. Absent: not counted yet. */
  readonly heldCount: bigint | undefined;
  readonly countTime: Micros | undefined;
  readonly createTime: Micros;
  /** Absent while active. */
  readonly releaseTime: Micros | undefined;
  readonly releasedBy: string | undefined;
  readonly releaseNote: string | undefined;
}

/**
 * Tells retention that the carrier's holds change: until this transaction ends it neither raises a
 * floor nor deletes a part without looking again. Call it before looking for records.
 */
export async function lockHolds(tx: Tx, carrierId: string): Promise<void> {
  await run(tx)`
    INSERT INTO retention_state AS s (carrier_id, hold_generation) VALUES (${carrierId}, 1)
    ON CONFLICT (carrier_id) DO UPDATE SET hold_generation = s.hold_generation + 1`;
}

/** The first of these records that is not there: never stored, or past retention and not held. */
export async function findMissing(
  tx: Tx,
  carrierId: string,
  names: readonly HeldName[],
): Promise<HeldName | undefined> {
  const isStored = ({ side, feed, keys }: RecordKind) => sql`EXISTS (
        SELECT FROM ${sql.table(keys)} k JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = ${feed}
        WHERE n.side = ${side} AND k.carrier_id = ${carrierId} AND k.record_id = n.record_id AND k.record_date = n.record_date
          AND k.sequence >= h.earliest_sequence)`;
  const rows = await readRows(tx)<{ position: number }>`
    SELECT n.position FROM ${unnested(names)}
    WHERE NOT ${isStored(CDR)} AND NOT ${isStored(DURATION)} AND NOT EXISTS (
        SELECT FROM held_record r WHERE r.carrier_id = ${carrierId} AND r.side = n.side AND r.record_id = n.record_id
          AND r.record_date = n.record_date)`;
  return names[Math.min(...rows.map(({ position }) => position))];
}

/** Makes a hold, after `lockHolds`. */
export async function insertHold(tx: Tx, hold: NewHold, timeZone: string): Promise<void> {
  const period = "period" in hold.target ? hold.target.period : undefined;
  const start = period && (await readStartOfDay(tx, timeZone, period.startDate));
  const end = period && (await readStartOfDay(tx, timeZone, period.endDate));
  await run(tx)`
    INSERT INTO hold (carrier_id, hold_id, start_date, end_date, start_time, before_time, customer_id, trunk_id, direction, reason,
      case_reference, owner, end_time, create_time, created_by)
    VALUES (${hold.carrierId}, ${hold.holdId}, ${period?.startDate ?? null}::date, ${period?.endDate ?? null}::date,
      ${instant(start)}, ${instant(end)}, ${period?.customerId ?? null}, ${period?.trunkId ?? null},
      ${period?.direction ?? 0}::int2, ${hold.reason}::int2, ${hold.caseReference}, ${hold.owner}, ${instant(hold.endTime)},
      clock_timestamp(), ${hold.createdBy})`;
  if (!("records" in hold.target)) return;
  await run(tx)`
    INSERT INTO hold_item (carrier_id, hold_id, side, record_id, record_date)
    SELECT DISTINCT c.carrier_id, ${hold.holdId}, n.side, n.record_id, n.record_date FROM carrier c CROSS JOIN ${unnested(hold.target.records)}
    WHERE c.carrier_id = ${hold.carrierId}`;
}

/** Ends an active hold. */
export async function endHold(
  tx: Tx,
  { carrierId, holdId }: HoldName,
  { by, note }: { by: string; note: string },
): Promise<void> {
  await run(tx)`
    UPDATE hold SET release_time = ${clockFrom("release_time")}, released_by = ${by}, release_note = ${note}
    WHERE carrier_id = ${carrierId} AND hold_id = ${holdId} AND release_time IS NULL AND end_time > ${clockFrom("end_time")}`;
}

export type HoldName = Pick<StoredHold, "carrierId" | "holdId">;

/** Whose a hold is; undefined: there is none with this id. */
export function findCarrierOfHold(tx: Tx, holdId: string): Promise<string | undefined> {
  return readValue(tx)<string | undefined>`SELECT carrier_id FROM hold WHERE hold_id = ${holdId}`;
}

export async function readHold(tx: Tx, { carrierId, holdId }: HoldName): Promise<StoredHold | undefined> {
  const rows = await readRows(tx)<HoldRow>`
    SELECT o.*, ${STATE} AS state FROM hold o WHERE o.carrier_id = ${carrierId} AND o.hold_id = ${holdId}`;
  return (await withItems(tx, rows))[0];
}

/** Lists holds, newest first. */
export async function listHolds(
  tx: Tx,
  of: {
    carrierId: string | undefined;
    state: HoldState | undefined;
    /** Only of carriers of this region; undefined: of all. */
    region?: string | undefined;
  },
  page: { before: { createTime: Micros; holdId: string } | undefined; limit: number },
): Promise<StoredHold[]> {
  const wheres = [sql`true`];
  if (of.carrierId !== undefined) wheres.push(sql`o.carrier_id = ${of.carrierId}`);
  if (of.region !== undefined)
    wheres.push(sql`EXISTS (SELECT FROM carrier c WHERE c.carrier_id = o.carrier_id AND c.region = ${of.region})`);
  if (of.state !== undefined) wheres.push(sql`${STATE} = ${of.state}`);
  if (page.before)
    wheres.push(sql`(o.create_time, o.hold_id) < (${instant(page.before.createTime)}, ${page.before.holdId})`);
  const rows = await readRows(tx)<HoldRow>`
    SELECT o.*, ${STATE} AS state FROM hold o WHERE ${sql.join(wheres, sql` AND `)}
    ORDER BY o.create_time DESC, o.hold_id DESC LIMIT ${page.limit}`;
  return withItems(tx, rows);
}

/** Counts how many revisions a hold keeps now, stored or copied, for whoever reads it. */
export async function writeHeldCount(tx: Tx, { carrierId, holdId }: HoldName): Promise<void> {
  const count = await countHeld(tx, { carrierId, holdId });
  await run(tx)`
    UPDATE hold SET held_count = ${count}::int8, count_time = ${clockFrom("count_time")} WHERE carrier_id = ${carrierId} AND hold_id = ${holdId}`;
}

/** The ids of a carrier's holds in force that were not counted since an instant. */
export function listUncounted(tx: Tx, carrierId: string, of: { now: Micros; since: Micros }): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT o.hold_id FROM hold o
    WHERE o.carrier_id = ${carrierId} AND ${isInForce(of.now)} AND (o.count_time IS NULL OR o.count_time < ${instant(of.since)}) ORDER BY 1`;
}

function countHeld(tx: Tx, { carrierId, holdId }: HoldName): Promise<bigint> {
  const isOf = (side: RecordKind["side"], start: string) => sql`EXISTS (
    SELECT FROM hold o WHERE o.hold_id = ${holdId} AND o.carrier_id = ${carrierId} AND ${covers(carrierId, side, start)})`;
  return readValue(tx)<bigint>`
    SELECT (SELECT count(*) FROM cdr_record r WHERE ${within(CDR, carrierId, holdId)} AND ${isOf(CDR.side, CDR.start)})
      + (SELECT count(*) FROM duration_record r WHERE ${within(DURATION, carrierId, holdId)} AND ${isOf(DURATION.side, DURATION.start)})
      + (SELECT count(*) FROM held_record r JOIN feed_head h ON h.carrier_id = ${carrierId}
          AND h.feed = CASE r.side WHEN 1 THEN ${CDR.feed}::int2 ELSE ${DURATION.feed}::int2 END
        WHERE r.carrier_id = ${carrierId} AND r.sequence < h.earliest_sequence
          AND (r.side = ${sql.lit(PLATFORM_SIDE)} AND ${isOf(PLATFORM_SIDE, "start_time")} OR r.side = ${sql.lit(CARRIER_SIDE)} AND ${isOf(CARRIER_SIDE, "start_time")})) AS held`;
}

/**
 * The condition that a hold is on a record `r`.
 * @param start the column of its start in cdr_record, duration_record or held_record.
 * @param now holds that end later are in force.
 */
export function isHeld(
  carrierId: string,
  side: RecordKind["side"],
  start: RecordKind["start"],
  now: Micros,
): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (
    SELECT FROM hold o WHERE o.carrier_id = ${carrierId} AND ${isInForce(now)} AND ${covers(carrierId, side, start)})`;
}

/** The condition that a hold `o` is in force. */
export function isInForce(now: Micros): RawBuilder<boolean> {
  return sql<boolean>`o.release_time IS NULL AND o.end_time > ${instant(now)}`;
}

/** The condition that a hold `o` of a carrier is on a record `r` of it. */
export function covers(carrierId: string, side: RecordKind["side"], start: string): RawBuilder<boolean> {
  const startTime = sql.ref(`r.${start}`);
  return sql<boolean>`CASE WHEN o.start_time IS NULL
    THEN EXISTS (SELECT FROM hold_item i WHERE i.carrier_id = ${carrierId} AND i.side = ${sql.lit(side)} AND i.record_id = r.record_id
      AND i.record_date = r.record_date AND i.hold_id = o.hold_id)
    ELSE ${startTime} >= o.start_time AND ${startTime} < o.before_time AND (o.customer_id IS NULL OR o.customer_id = r.customer_id)
      AND (o.trunk_id IS NULL OR o.trunk_id = r.trunk_id) AND o.direction IN (0, r.direction) END`;
}

// What a hold can be on, found by an index: the period's calls, or the named records.
function within(kind: RecordKind, carrierId: string, holdId: string): RawBuilder<boolean> {
  const start = sql.ref(`r.${kind.start}`);
  const hold = (column: string) =>
    sql`(SELECT ${sql.ref(column)} FROM hold WHERE carrier_id = ${carrierId} AND hold_id = ${holdId})`;
  return sql<boolean>`r.carrier_id = ${carrierId}
    AND r.sequence >= (SELECT earliest_sequence FROM feed_head WHERE carrier_id = ${carrierId} AND feed = ${kind.feed})
    AND (${start} >= ${hold("start_time")} AND ${start} < ${hold("before_time")} OR r.sequence = ANY(ARRAY(
      SELECT k.sequence FROM hold_item i JOIN ${sql.table(kind.keys)} k ON k.carrier_id = ${carrierId} AND k.record_id = i.record_id
        AND k.record_date = i.record_date
      WHERE i.carrier_id = ${carrierId} AND i.hold_id = ${holdId} AND i.side = ${kind.side})))`;
}

const STATE = sql<HoldState>`(CASE WHEN o.release_time IS NOT NULL THEN 2 WHEN o.end_time <= clock_timestamp() THEN 3 ELSE 1 END)`;

function unnested(names: readonly HeldName[]) {
  const rows = names.map((name, position) => ({ ...name, position }));
  return unnest("n", rows, { side: "int2", recordId: "text", recordDate: "date", position: "int4" });
}

interface HoldRow extends Omit<StoredHold, "target"> {
  startDate: string | undefined;
  endDate: string | undefined;
  customerId: string | undefined;
  trunkId: string | undefined;
  direction: number;
}

async function withItems(tx: Tx, rows: readonly HoldRow[]): Promise<StoredHold[]> {
  const single = rows.filter((row) => row.startDate === undefined);
  if (single.length === 0) return rows.map((row) => storedHold(row, []));
  const items = await readRows(tx)<HeldName & { holdId: string }>`
    SELECT hold_id, side, record_id, record_date FROM hold_item
    WHERE carrier_id = ANY(${textArray([...new Set(single.map((row) => row.carrierId))])}::text[])
      AND hold_id = ANY(${textArray(single.map((row) => row.holdId))}::text[])
    ORDER BY side, record_date, record_id`;
  const byHold = Map.groupBy(items, (item) => item.holdId);
  return rows.map((row) => storedHold(row, byHold.get(row.holdId) ?? []));
}

function storedHold(row: HoldRow, items: readonly (HeldName & { holdId: string })[]): StoredHold {
  const { startDate, endDate, customerId, trunkId, direction, ...hold } = row;
  const target =
    startDate === undefined || endDate === undefined
      ? { records: items.map(({ holdId: _, ...name }) => name) }
      : { period: { startDate, endDate, customerId, trunkId, direction } };
  return {
    ...hold,
    target,
    releaseTime: row.releaseTime ?? (row.state === HoldState.EXPIRED ? row.endTime : undefined),
  };
}
