import { type RawBuilder, sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { CARRIER_SIDE, DURATION } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { readRows, type Tx } from "../database/run.ts";
import { isHeldTip, isTip, mergeHeld } from "./cdrs.ts";
import { recordsOfId } from "./record-at.ts";
import { EntryKind } from "./record-rows.ts";

/** A stored duration: its encoded record, and what Tandem adds to it. */
export interface StoredDuration {
  recordId: string;
  startTime: Micros;
  payload: Buffer;
  /** Absent while quarantined. */
  sequence: bigint | undefined;
  ingestTime: Micros;
  customerId: string | undefined;
  quarantined: boolean;
}

export interface DurationSearch {
  start: Micros;
  end: Micros;
  recordId: string | undefined;
  after: { startTime: Micros; recordId: string } | undefined;
  /** Whether VOIDs are listed too. Default false. */
  withVoids?: boolean;
  limit: number;
}

/**
 * Lists the latest revision of each applied duration that was not taken back, by start and record
 * id: what is kept, and what is held beyond its retention.
 */
export async function listDurations(tx: Tx, carrierId: string, search: DurationSearch): Promise<StoredDuration[]> {
  const floor = sql<bigint>`(SELECT f.earliest_sequence FROM feed_head f WHERE f.carrier_id = ${carrierId} AND f.feed = ${FeedId.DURATIONS})`;
  const read = async (from: RawBuilder<unknown>, which: RawBuilder<unknown>) => {
    const rows = await readRows(tx)<Omit<StoredDuration, "quarantined">>`
      SELECT r.record_id, r.start_time, r.payload, r.sequence, r.ingest_time, r.customer_id FROM ${from}
      WHERE r.carrier_id = ${carrierId} AND ${inSearch(search)} AND ${isTip("duration_key", carrierId)} AND ${which}
        ${search.withVoids ? sql`` : sql`AND r.entry_kind <> ${EntryKind.VOID}`}
      ORDER BY r.start_time, r.record_id LIMIT ${search.limit}`;
    return rows.map((row) => ({ ...row, quarantined: false }));
  };
  // In this order: a record that retention takes between the two is in both, and never in neither.
  const records =
    search.recordId === undefined ? sql`duration_record r` : recordsOfId(DURATION, carrierId, search.recordId);
  const kept = await read(records, sql`r.sequence >= ${floor}`);
  const held = await read(
    sql`held_record r`,
    sql`r.side = ${sql.lit(CARRIER_SIDE)} AND r.sequence < ${floor} AND ${isHeldTip(carrierId)}`,
  );
  const inOrder = (a: StoredDuration, b: StoredDuration) =>
    compare(a.startTime, b.startTime) || compare(a.recordId, b.recordId);
  return mergeHeld(kept, held, search.limit, inOrder);
}

function compare<T extends bigint | string>(left: T, right: T): number {
  return left < right ? -1 : Number(left > right);
}

/** Lists the durations in quarantine, by start and record id. */
export async function listQuarantinedDurations(
  tx: Tx,
  carrierId: string,
  search: DurationSearch,
): Promise<StoredDuration[]> {
  const rows = await readRows(tx)<Omit<StoredDuration, "quarantined">>`
    SELECT r.record_id, r.start_time, r.payload, NULL::int8 AS sequence, r.create_time AS ingest_time, NULL::text AS customer_id FROM quarantine r
    WHERE r.carrier_id = ${carrierId} AND r.kind = ${DURATION.upload} AND ${inSearch(search)}
    ORDER BY r.start_time, r.record_id LIMIT ${search.limit}`;
  return rows.map((row) => ({ ...row, quarantined: true }));
}

function inSearch(search: DurationSearch): RawBuilder<boolean> {
  const wheres = [
    sql`r.start_time >= ${isoFromMicros(search.start)}::timestamptz AND r.start_time < ${isoFromMicros(search.end)}::timestamptz`,
  ];
  if (search.recordId !== undefined) wheres.push(sql`r.record_id = ${search.recordId}`);
  if (search.after)
    wheres.push(
      sql`(r.start_time, r.record_id) > (${isoFromMicros(search.after.startTime)}::timestamptz, ${search.after.recordId})`,
    );
  return sql<boolean>`${sql.join(wheres, sql` AND `)}`;
}
