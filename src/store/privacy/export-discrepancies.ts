import { type RawBuilder, sql } from "kysely";
import { CDR, DURATION, kindOfUpload, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { instant, readRows, type Tx } from "../database/run.ts";
import { DiscrepancyEntryKind, type StoredDiscrepancy } from "../reconciliation/discrepancies.ts";
import { mayHold, type PhoneNumberSearch, payloadsOf, SCANNED } from "./export-phone-number.ts";

// Searches results and the quarantine for a number, as export-phone-number.ts does records.

/** Where a scan of results or of the quarantine stopped. */
export interface NamedPlace {
  readonly time: Micros;
  readonly recordDate: string;
  readonly recordId: string;
  /** The side of a result, the kind of a quarantined record. */
  readonly side: number;
  readonly revision: number;
}

/** A discrepancy that may be of the number, with its records, encoded. */
export interface FoundDiscrepancy {
  readonly stored: StoredDiscrepancy;
  /** The number that the call is attributed to. The discrepancy need not show it. */
  readonly ownNumber: string | undefined;
  readonly cdrs: readonly Buffer[];
  readonly durations: readonly Buffer[];
}

export interface FoundQuarantined {
  readonly kind: RecordKind;
  readonly recordId: string;
  readonly startTime: Micros;
  readonly ingestTime: Micros;
  readonly payload: Buffer;
}

export async function findDiscrepanciesOfNumber(
  tx: Tx,
  search: PhoneNumberSearch,
  after: NamedPlace | undefined,
): Promise<{ found: FoundDiscrepancy[]; next: NamedPlace | undefined }> {
  const { carrierId, forms } = search;
  const rows = await readRows(tx)<PlaceRow & DiscrepancyRow>`
    SELECT s.time, s.record_date, s.record_id, s.side, s.revision, s.is_hit, s.position, c.payload, c.sequence, c.update_time, c.phone_number,
      CASE WHEN s.is_hit THEN ${recordsOf(CDR, carrierId)} END AS cdrs, CASE WHEN s.is_hit THEN ${recordsOf(DURATION, carrierId)} END AS durations
    FROM (
      SELECT r.start_time AS time, r.record_date, r.record_id, r.side, 0 AS revision, (coalesce(r.phone_number = ANY(${textArray([...forms])}::text[]), false) OR ${mayHold(sql`r.payload`, search)}) AS is_hit,
        row_number() OVER (ORDER BY r.start_time, r.record_date, r.record_id, r.side) AS position
      FROM call_result r WHERE r.carrier_id = ${carrierId} AND r.payload IS NOT NULL AND ${isIn(search, after)}
        ${after ? sql`AND (r.start_time, r.record_date, r.record_id, r.side) > (${instant(after.time)}, ${after.recordDate}::date, ${after.recordId}::text, ${after.side}::int2)` : sql``}
      ORDER BY r.start_time, r.record_date, r.record_id, r.side LIMIT ${SCANNED}) s
    CROSS JOIN LATERAL (SELECT * FROM call_result c
      WHERE c.carrier_id = ${carrierId} AND c.record_date = s.record_date AND c.record_id = s.record_id AND c.side = s.side OFFSET 0) c
    WHERE s.is_hit OR s.position = ${SCANNED} ORDER BY s.position`;
  const found = rows
    .filter((row) => row.isHit && row.payload !== undefined)
    .map((row) => ({
      stored: {
        carrierId,
        sequence: row.sequence ?? 0n,
        ingestTime: row.updateTime,
        entryKind: DiscrepancyEntryKind.DISCREPANCY,
        payload: row.payload ?? Buffer.alloc(0),
      },
      ownNumber: row.phoneNumber,
      cdrs: row.cdrs ?? [],
      durations: row.durations ?? [],
    }));
  return { found, next: placeOf(rows.at(-1)) };
}

/** Looks through quarantined records by start; of each record only its highest revision. */
export async function findQuarantinedOfNumber(
  tx: Tx,
  search: PhoneNumberSearch,
  after: NamedPlace | undefined,
): Promise<{ found: FoundQuarantined[]; next: NamedPlace | undefined }> {
  const { carrierId } = search;
  const key = sql`r.start_time, r.record_date, r.record_id, r.kind, r.revision`;
  const rows = await readRows(tx)<PlaceRow & { payload: Buffer | undefined; createTime: Micros }>`
    SELECT s.* FROM (
      SELECT r.start_time AS time, r.record_date, r.record_id, r.kind AS side, r.revision, r.create_time,
        ${mayHold(sql`r.payload`, search)} AND NOT EXISTS (
          SELECT FROM quarantine o WHERE o.carrier_id = ${carrierId} AND o.kind = r.kind AND o.record_id = r.record_id
            AND o.record_date = r.record_date AND o.revision > r.revision) AS is_hit,
        r.payload, row_number() OVER (ORDER BY ${key}) AS position
      FROM quarantine r WHERE r.carrier_id = ${carrierId} AND ${isIn(search, after)}
        ${after ? sql`AND (${key}) > (${instant(after.time)}, ${after.recordDate}::date, ${after.recordId}::text, ${after.side}::int2, ${after.revision}::int4)` : sql``}
      ORDER BY ${key} LIMIT ${SCANNED}) s
    WHERE s.is_hit OR s.position = ${SCANNED} ORDER BY s.position`;
  const found = rows
    .filter((row) => row.isHit)
    .map((row) => ({
      kind: kindOfUpload(row.side),
      recordId: row.recordId,
      startTime: row.time,
      ingestTime: row.createTime,
      payload: row.payload ?? Buffer.alloc(0),
    }));
  return { found, next: placeOf(rows.at(-1)) };
}

interface PlaceRow extends NamedPlace {
  isHit: boolean;
  position: bigint;
}

interface DiscrepancyRow {
  payload: Buffer | undefined;
  sequence: bigint | undefined;
  updateTime: Micros;
  phoneNumber: string | undefined;
  cdrs: Buffer[] | undefined;
  durations: Buffer[] | undefined;
}

function recordsOf(kind: RecordKind, carrierId: string): RawBuilder<unknown> {
  const names =
    kind === CDR
      ? sql`(SELECT c.record_id, c.record_date, c.revision WHERE c.side = ${sql.lit(PLATFORM_SIDE)})`
      : sql`unnest(c.carrier_record_ids, c.carrier_record_dates, c.carrier_revisions)`;
  return sql`(
    SELECT array_agg(v.payload) FROM ${names} AS named(record_id, record_date, revision)
    CROSS JOIN LATERAL (${payloadsOf(kind, carrierId, sql`named`)}) v)`;
}

function isIn({ start, end }: PhoneNumberSearch, after: NamedPlace | undefined): RawBuilder<boolean> {
  return sql<boolean>`r.start_time >= ${instant(after?.time ?? start)} AND r.start_time < ${instant(end)}`;
}

function placeOf(row: PlaceRow | undefined): NamedPlace | undefined {
  if (row?.position !== BigInt(SCANNED)) return undefined;
  const { time, recordDate, recordId, side, revision } = row;
  return { time, recordDate, recordId, side, revision };
}
