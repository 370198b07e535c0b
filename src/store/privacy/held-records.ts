import { type RawBuilder, sql } from "kysely";
import { CARRIER_SIDE, kindOfSide, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { readColumn, readRow, run, type Tx } from "../database/run.ts";
import { covers, isHeld, isInForce } from "./holds.ts";

// Copies of held records, which stay when the records go. In system transactions.

/** What is about to go of one side's records. */
export interface Leaving {
  readonly carrierId: string;
  readonly side: RecordKind["side"];
  /** Some part of what arrived before this is about to go. */
  readonly before: Micros;
  /** Holds that end later are in force. */
  readonly now: Micros;
}

export interface CopyPlace {
  readonly startTime: Micros;
  readonly sequence: bigint;
}

/** The ids of a carrier's holds on periods. */
export function listPeriodHolds(tx: Tx, carrierId: string, now: Micros): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT o.hold_id FROM hold o WHERE o.carrier_id = ${carrierId} AND ${isInForce(now)} AND o.start_time IS NOT NULL ORDER BY 1`;
}

/** Copies a page of what a hold on a period keeps, by start. Returns its end; undefined: done. */
export async function copyHeldPeriod(
  tx: Tx,
  leaving: Leaving,
  holdId: string,
  page: { after: CopyPlace | undefined; limit: number },
): Promise<CopyPlace | undefined> {
  const { records, start } = kindOfSide(leaving.side);
  const startTime = sql.ref(`r.${start}`);
  const behind = page.after
    ? sql` AND (${startTime}, r.sequence) > (${isoFromMicros(page.after.startTime)}::timestamptz, ${page.after.sequence}::int8)`
    : sql``;
  const last = await readRow(tx)<{ start: Micros; sequence: bigint; position: bigint }>`
    WITH page AS MATERIALIZED (
      SELECT r.sequence, r.ingest_time, ${startTime} AS start FROM hold o JOIN ${sql.table(records)} r ON r.carrier_id = ${leaving.carrierId}
        AND ${startTime} >= o.start_time AND ${startTime} < o.before_time
      WHERE o.carrier_id = ${leaving.carrierId} AND o.hold_id = ${holdId} AND ${covers(leaving.carrierId, leaving.side, start)} AND ${isLeaving(leaving)}${behind}
      ORDER BY ${startTime}, r.sequence LIMIT ${page.limit}
    ), copied AS (
      ${copyFrom(leaving, sql`JOIN page p ON p.sequence = r.sequence AND p.ingest_time = r.ingest_time WHERE r.carrier_id = ${leaving.carrierId}`)})
    SELECT start, sequence, count(*) OVER () AS position FROM page ORDER BY start DESC, sequence DESC LIMIT 1`;
  return last && last.position >= BigInt(page.limit) ? { startTime: last.start, sequence: last.sequence } : undefined;
}

/** Copies the single records that are held. */
export async function copyHeldItems(tx: Tx, leaving: Leaving): Promise<void> {
  const { keys } = kindOfSide(leaving.side);
  const names = sql`WHERE r.carrier_id = ${leaving.carrierId} AND ${isLeaving(leaving)} AND (r.sequence, r.ingest_time) IN (
    SELECT k.sequence, k.ingest_time FROM hold o JOIN hold_item i ON i.carrier_id = o.carrier_id AND i.hold_id = o.hold_id
    JOIN ${sql.table(keys)} k ON k.carrier_id = ${leaving.carrierId} AND k.record_id = i.record_id AND k.record_date = i.record_date
    WHERE o.carrier_id = ${leaving.carrierId} AND ${isInForce(leaving.now)} AND i.side = ${leaving.side})`;
  await run(tx, copyFrom(leaving, names));
}

/** Deletes a page of copies without a hold. Returns the last sequence seen; undefined: done. */
export async function dropUnheld(
  tx: Tx,
  of: { carrierId: string; side: RecordKind["side"]; now: Micros },
  page: { after: bigint; limit: number },
): Promise<bigint | undefined> {
  const last = await readRow(tx)<{ sequence: bigint; position: bigint }>`
    WITH page AS MATERIALIZED (
      SELECT r.sequence, NOT ${isHeld(of.carrierId, of.side, "start_time", of.now)} AS over FROM held_record r
      WHERE r.carrier_id = ${of.carrierId} AND r.side = ${of.side} AND r.sequence > ${page.after}::int8
      ORDER BY r.sequence LIMIT ${page.limit}
    ), gone AS (
      DELETE FROM held_record h
      WHERE h.carrier_id = ${of.carrierId} AND h.side = ${of.side} AND h.sequence = ANY(ARRAY(SELECT p.sequence FROM page p WHERE p.over)))
    SELECT sequence, count(*) OVER () AS position FROM page ORDER BY sequence DESC LIMIT 1`;
  return last && last.position >= BigInt(page.limit) ? last.sequence : undefined;
}

// What lies below the floor is gone, even if it has not been deleted yet.
function isLeaving({ carrierId, side, before }: Leaving): RawBuilder<boolean> {
  return sql<boolean>`r.ingest_time < ${isoFromMicros(before)}::timestamptz
    AND r.sequence >= (SELECT earliest_sequence FROM feed_head WHERE carrier_id = ${carrierId} AND feed = ${kindOfSide(side).feed})
    AND NOT EXISTS (SELECT FROM held_record x WHERE x.carrier_id = ${carrierId} AND x.side = ${side} AND x.sequence = r.sequence)`;
}

function copyFrom({ carrierId, side }: Leaving, rest: RawBuilder<unknown>): RawBuilder<unknown> {
  const columns = sql`carrier_id, side, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction, phone_number,
    customer_id, trunk_id, call_id, dialog_call_id, correlation_id, calling_number, called_number, quality_verdict, payload, quality, network`;
  const identity = sql`r.carrier_id, ${side}::int2, r.sequence, r.ingest_time, r.record_id, r.record_date, r.revision, r.entry_kind`;
  if (side === CARRIER_SIDE)
    return sql`
      INSERT INTO held_record (${columns})
      SELECT ${identity}, r.start_time, r.direction, r.phone_number, r.customer_id, r.trunk_id, NULL, NULL, NULL, NULL, NULL, 0::int2, r.payload,
        NULL, NULL
      FROM duration_record r ${rest} ON CONFLICT DO NOTHING`;
  return sql`
    INSERT INTO held_record (${columns})
    SELECT ${identity}, r.invite_time, r.direction, r.phone_number, r.customer_id, r.trunk_id, r.call_id, r.dialog_call_id, r.correlation_id,
      r.calling_number, r.called_number, r.quality_verdict, r.payload,
      (SELECT q.payload FROM cdr_quality q WHERE q.carrier_id = ${carrierId} AND q.sequence = r.sequence AND q.ingest_time = r.ingest_time),
      (SELECT n.payload FROM cdr_network n WHERE n.carrier_id = ${carrierId} AND n.sequence = r.sequence AND n.ingest_time = r.ingest_time)
    FROM cdr_record r ${rest} ON CONFLICT DO NOTHING`;
}
