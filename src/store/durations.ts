import { type RawBuilder, sql } from "kysely";
import { isoFromMicros, type Micros } from "../domain/instant.ts";
import { isTip } from "./cdrs.ts";
import type { Tx } from "./database.ts";
import { EntryKind } from "./record-rows.ts";
import { UploadKind } from "./schema.ts";

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

interface Row {
  record_id: string;
  start_time: Micros;
  payload: Buffer;
  sequence: bigint | null;
  ingest_time: Micros;
  customer_id: string | null;
}

export interface DurationSearch {
  start: Micros;
  end: Micros;
  recordId: string | undefined;
  after: { startTime: Micros; recordId: string } | undefined;
  /** Those that were taken back as well. Default false. */
  withVoids?: boolean;
  limit: number;
}

/** Lists the latest revision of each applied duration that was not taken back, by start and record id. */
export async function listDurations(tx: Tx, carrierId: string, search: DurationSearch): Promise<StoredDuration[]> {
  const { rows } = await sql<Row>`
    SELECT r.record_id, r.start_time, r.payload, r.sequence, r.ingest_time, r.customer_id FROM duration_record r
    WHERE r.carrier_id = ${carrierId} AND ${inSearch(search)} AND ${isTip("duration_key")}
      ${search.withVoids ? sql`` : sql`AND r.entry_kind <> ${EntryKind.VOID}`}
    ORDER BY r.start_time, r.record_id LIMIT ${search.limit}`.execute(tx);
  return rows.map((row) => storedDuration(row, false));
}

/** Lists the durations in quarantine, by start and record id. */
export async function listQuarantinedDurations(
  tx: Tx,
  carrierId: string,
  search: DurationSearch,
): Promise<StoredDuration[]> {
  const { rows } = await sql<Row>`
    SELECT r.record_id, r.start_time, r.payload, NULL::int8 AS sequence, r.create_time AS ingest_time, NULL::text AS customer_id FROM quarantine r
    WHERE r.carrier_id = ${carrierId} AND r.kind = ${UploadKind.DURATIONS} AND ${inSearch(search)}
    ORDER BY r.start_time, r.record_id LIMIT ${search.limit}`.execute(tx);
  return rows.map((row) => storedDuration(row, true));
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

function storedDuration(row: Row, quarantined: boolean): StoredDuration {
  return {
    recordId: row.record_id,
    startTime: row.start_time,
    payload: row.payload,
    sequence: row.sequence ?? undefined,
    ingestTime: row.ingest_time,
    customerId: row.customer_id ?? undefined,
    quarantined,
  };
}
