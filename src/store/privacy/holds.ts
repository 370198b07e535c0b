import { type RawBuilder, sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { CARRIER_SIDE, CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { HoldState } from "../../gen/tandem/platform/v1/hold_pb.js";
import { dateArray, int2Array, textArray } from "../database/binary-array.ts";
import { clockFrom } from "../database/clock-from.ts";
import { run, type Tx } from "../database/run.ts";
import { readStartOfDay } from "../zone-days/zone-days.ts";

// A hold is on single records or on a period. All of this file is for system transactions.

/** One held record; every revision of it. */
export interface HeldName {
  readonly side: RecordKind["side"];
  readonly recordId: string;
  readonly recordDate: string;
}

/** The records of a period, of both sides. */
export interface HeldPeriod {
  readonly startDate: string;
  readonly endDate: string;
  readonly customerId: string | undefined;
  readonly trunkId: string | undefined;
  /** 0: both. */
  readonly direction: number;
}

/** What a hold is made of. */
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

/** A hold. */
export interface StoredHold extends NewHold {
  readonly state: HoldState;
  readonly createTime: Micros;
  /** Absent while active. */
  readonly releaseTime: Micros | undefined;
  readonly releasedBy: string | undefined;
  readonly releaseNote: string | undefined;
}

/**
 * Tells retention that the carrier's holds change, until the transaction ends: it then neither
 * raises a floor nor lets a part go that it has not looked at again. Take it before looking whether
 * records are there.
 */
export async function lockHolds(tx: Tx, carrierId: string): Promise<void> {
  await run(tx)`
    INSERT INTO retention_state AS s (carrier_id, hold_generation) VALUES (${carrierId}, 1)
    ON CONFLICT (carrier_id) DO UPDATE SET hold_generation = s.hold_generation + 1`;
}

/**
 * Of these records, the first that is not there: never stored, or past its retention and not held.
 */
export async function findMissing(
  tx: Tx,
  carrierId: string,
  names: readonly HeldName[],
): Promise<HeldName | undefined> {
  const { rows } = await run(tx)<HeldName>`
    SELECT n.side, n.record_id, n.record_date FROM ${unnested(names)}
    WHERE NOT EXISTS (
        SELECT FROM cdr_key k JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = ${FeedId.CDRS}
        WHERE n.side = ${PLATFORM_SIDE} AND k.carrier_id = ${carrierId} AND k.record_id = n.record_id AND k.record_date = n.record_date
          AND k.sequence >= h.earliest_sequence)
      AND NOT EXISTS (
        SELECT FROM duration_key k JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = ${FeedId.DURATIONS}
        WHERE n.side = ${CARRIER_SIDE} AND k.carrier_id = ${carrierId} AND k.record_id = n.record_id AND k.record_date = n.record_date
          AND k.sequence >= h.earliest_sequence)
      AND NOT EXISTS (
        SELECT FROM held_record r WHERE r.carrier_id = ${carrierId} AND r.side = n.side AND r.record_id = n.record_id
          AND r.record_date = n.record_date)
    ORDER BY n.position LIMIT 1`;
  return rows[0];
}

/** Makes a hold. The transaction has taken `lockHolds`. */
export async function insertHold(tx: Tx, hold: NewHold, timeZone: string): Promise<void> {
  const period = "period" in hold.target ? hold.target.period : undefined;
  const start = period && (await readStartOfDay(tx, timeZone, period.startDate));
  const end = period && (await readStartOfDay(tx, timeZone, period.endDate));
  const instant = (time: Micros | undefined) => sql`${time === undefined ? null : isoFromMicros(time)}::timestamptz`;
  await run(tx)`
    INSERT INTO hold (carrier_id, hold_id, start_date, end_date, start_time, before_time, customer_id, trunk_id, direction, reason,
      case_reference, owner, end_time, create_time, created_by)
    VALUES (${hold.carrierId}, ${hold.holdId}, ${period?.startDate ?? null}::date, ${period?.endDate ?? null}::date,
      ${instant(start)}, ${instant(end)}, ${period?.customerId ?? null}, ${period?.trunkId ?? null},
      ${period?.direction ?? 0}::int2, ${hold.reason}::int2, ${hold.caseReference}, ${hold.owner}, ${isoFromMicros(hold.endTime)}::timestamptz,
      clock_timestamp(), ${hold.createdBy})`;
  if (!("records" in hold.target)) return;
  await run(tx)`
    INSERT INTO hold_item (carrier_id, hold_id, side, record_id, record_date)
    SELECT DISTINCT c.carrier_id, ${hold.holdId}, n.side, n.record_id, n.record_date FROM carrier c CROSS JOIN ${unnested(hold.target.records)}
    WHERE c.carrier_id = ${hold.carrierId}`;
}

/** Ends a hold that is active. */
export async function endHold(
  tx: Tx,
  { carrierId, holdId }: HoldName,
  { by, note }: { by: string; note: string },
): Promise<void> {
  await run(tx)`
    UPDATE hold SET release_time = ${clockFrom("release_time")}, released_by = ${by}, release_note = ${note}
    WHERE carrier_id = ${carrierId} AND hold_id = ${holdId} AND release_time IS NULL AND end_time > ${clockFrom("end_time")}`;
}

/** A hold, and whose it is. */
export type HoldName = Pick<StoredHold, "carrierId" | "holdId">;

/** Whose a hold is; undefined: there is none with this id. */
export async function findCarrierOfHold(tx: Tx, holdId: string): Promise<string | undefined> {
  const { rows } = await run(tx)<{ carrierId: string }>`SELECT carrier_id FROM hold WHERE hold_id = ${holdId}`;
  return rows[0]?.carrierId;
}

/** One hold. */
export async function readHold(tx: Tx, { carrierId, holdId }: HoldName): Promise<StoredHold | undefined> {
  const { rows } = await run(tx)<HoldRow>`
    SELECT o.*, ${STATE} AS state FROM hold o WHERE o.carrier_id = ${carrierId} AND o.hold_id = ${holdId}`;
  return (await withItems(tx, rows))[0];
}

/** Lists holds, the newest first, before one. */
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
    wheres.push(
      sql`(o.create_time, o.hold_id) < (${isoFromMicros(page.before.createTime)}::timestamptz, ${page.before.holdId})`,
    );
  const { rows } = await run(tx)<HoldRow>`
    SELECT o.*, ${STATE} AS state FROM hold o WHERE ${sql.join(wheres, sql` AND `)}
    ORDER BY o.create_time DESC, o.hold_id DESC LIMIT ${page.limit}`;
  return withItems(tx, rows);
}

/**
 * How many record revisions a hold keeps now: stored ones, and copies of those that are past their
 * retention.
 */
export async function countHeld(tx: Tx, { carrierId, holdId }: HoldName): Promise<bigint> {
  const isOf = (side: RecordKind["side"], start: string) => sql`EXISTS (
    SELECT FROM hold o WHERE o.hold_id = ${holdId} AND o.carrier_id = ${carrierId} AND ${covers(carrierId, side, start)})`;
  const { rows } = await run(tx)<{ held: bigint }>`
    SELECT (SELECT count(*) FROM cdr_record r WHERE ${within(CDR, carrierId, holdId)} AND ${isOf(CDR.side, CDR.start)})
      + (SELECT count(*) FROM duration_record r WHERE ${within(DURATION, carrierId, holdId)} AND ${isOf(DURATION.side, DURATION.start)})
      + (SELECT count(*) FROM held_record r JOIN feed_head h ON h.carrier_id = ${carrierId}
          AND h.feed = CASE r.side WHEN 1 THEN ${CDR.feed}::int2 ELSE ${DURATION.feed}::int2 END
        WHERE r.carrier_id = ${carrierId} AND r.sequence < h.earliest_sequence
          AND (r.side = ${sql.lit(PLATFORM_SIDE)} AND ${isOf(PLATFORM_SIDE, "start_time")} OR r.side = ${sql.lit(CARRIER_SIDE)} AND ${isOf(CARRIER_SIDE, "start_time")})) AS held`;
  return rows[0]?.held ?? 0n;
}

/**
 * The condition that a hold is on a record `r`: of cdr_record (its start is `invite_time`),
 * duration_record or held_record (`start_time`).
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
  return sql<boolean>`o.release_time IS NULL AND o.end_time > ${isoFromMicros(now)}::timestamptz`;
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

// What of a table a hold can be on, so that it is found by an index: the period's calls, or the
// records that are named.
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
  return sql`unnest(${int2Array(names.map(({ side }) => side))}::int2[], ${textArray(names.map(({ recordId }) => recordId))}::text[],
    ${dateArray(names.map(({ recordDate }) => recordDate))}::date[]) WITH ORDINALITY AS n(side, record_id, record_date, position)`;
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
  const { rows: items } = await run(tx)<HeldName & { holdId: string }>`
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
