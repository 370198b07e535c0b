import { type RawBuilder, sql } from "kysely";
import { CARRIER_SIDE, CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { int8Array } from "../database/binary-array.ts";
import { run, type Tx } from "../database/run.ts";
import {
  cdrOfRow,
  counterpartsOfCdr,
  counterpartsOfDuration,
  durationOfRow,
  type FoundCdr,
  type FoundDuration,
  mayHold,
  type PhoneNumberSearch,
  type ScanPlace,
} from "./export-phone-number.ts";

// Records that are held beyond their retention, found as those that are not: see
// export-phone-number.ts.

/** How many records one statement looks through. */
const SCANNED = 5_000;

/** Looks through the platform's held records. One that is still where it was is not among them. */
export async function findHeldCdrs(
  tx: Tx,
  search: PhoneNumberSearch,
  after: ScanPlace | undefined,
  withNetwork: boolean,
): Promise<{ found: FoundCdr[]; next: ScanPlace | undefined }> {
  const { carrierId } = search;
  const { hits, next } = await scanHeld(tx, search, PLATFORM_SIDE, after);
  const rows = await readHeld(tx, carrierId, { kind: CDR, hits, counterparts: counterpartsOfCdr(carrierId) });
  const found = rows.map((row) => {
    const network = withNetwork ? row.network : undefined;
    const reported = cdrOfRow(carrierId, { ...row, inviteTime: row.startTime, network });
    const counterparts = row.counterparts ?? [];
    return { reported, newest: reported, ownNumber: row.phoneNumber, counterparts };
  });
  return { found, next };
}

/** Looks through the carrier's held records, likewise. */
export async function findHeldDurations(
  tx: Tx,
  search: PhoneNumberSearch,
  after: ScanPlace | undefined,
): Promise<{ found: FoundDuration[]; next: ScanPlace | undefined }> {
  const { carrierId } = search;
  const { hits, next } = await scanHeld(tx, search, CARRIER_SIDE, after);
  const rows = await readHeld(tx, carrierId, { kind: DURATION, hits, counterparts: counterpartsOfDuration(carrierId) });
  const found = rows.map((row) => {
    const reported = durationOfRow(row);
    return { reported, newest: reported, counterparts: row.counterparts ?? [] };
  });
  return { found, next };
}

async function scanHeld(
  tx: Tx,
  search: PhoneNumberSearch,
  side: number,
  after: ScanPlace | undefined,
): Promise<{ hits: bigint[]; next: ScanPlace | undefined }> {
  const { carrierId, start, end } = search;
  const from = after ?? { time: start, sequence: -1n };
  const { rows } = await run(tx)<{ sequence: bigint; time: Micros; isHit: boolean; position: bigint }>`
    SELECT s.* FROM (
      SELECT r.sequence, r.start_time AS time, ${mayHold(sql`r.payload`, search)} AS is_hit,
        row_number() OVER (ORDER BY r.start_time, r.sequence) AS position
      FROM held_record r
      WHERE r.carrier_id = ${carrierId} AND r.side = ${side} AND r.start_time < ${instant(end)}
        AND (r.start_time, r.sequence) > (${instant(from.time)}, ${from.sequence}::int8)
      ORDER BY r.start_time, r.sequence LIMIT ${SCANNED}) s
    WHERE s.is_hit OR s.position = ${SCANNED} ORDER BY s.position`;
  const last = rows.at(-1);
  return {
    hits: rows.filter((row) => row.isHit).map((row) => row.sequence),
    next: last?.position === BigInt(SCANNED) ? { time: last.time, sequence: last.sequence } : undefined,
  };
}

// Of each record the newest revision that reports the call, unless a newer one, or this one itself,
// is not only held.
async function readHeld(
  tx: Tx,
  carrierId: string,
  { kind, hits, counterparts }: { kind: RecordKind; hits: readonly bigint[]; counterparts: RawBuilder<unknown> },
): Promise<HeldRow[]> {
  if (hits.length === 0) return [];
  const { rows } = await run(tx)<HeldRow>`
    SELECT r.*, ${counterparts} AS counterparts
    FROM held_record r
    WHERE r.carrier_id = ${carrierId} AND r.side = ${kind.side} AND r.sequence = ANY(${int8Array(hits)}::int8[])
      AND NOT EXISTS (
        SELECT FROM held_record o
        WHERE o.carrier_id = ${carrierId} AND o.side = ${kind.side} AND o.record_id = r.record_id AND o.record_date = r.record_date
          AND (o.entry_kind < r.entry_kind OR (o.entry_kind = r.entry_kind AND o.revision > r.revision)))
      AND NOT EXISTS (
        SELECT FROM ${sql.table(kind.keys)} k
        JOIN ${sql.table(kind.records)} v ON v.carrier_id = ${carrierId} AND v.sequence = k.sequence AND v.ingest_time = k.ingest_time
        WHERE k.carrier_id = ${carrierId} AND k.record_id = r.record_id AND k.record_date = r.record_date
          AND (v.entry_kind < r.entry_kind OR (v.entry_kind = r.entry_kind AND k.revision >= r.revision)))
    ORDER BY r.start_time, r.sequence`;
  return rows;
}

interface HeldRow {
  sequence: bigint;
  ingestTime: Micros;
  recordId: string;
  entryKind: number;
  startTime: Micros;
  phoneNumber: string | undefined;
  customerId: string | undefined;
  payload: Buffer;
  quality: Buffer | undefined;
  network: Buffer | undefined;
  counterparts: Buffer[] | undefined;
}

function instant(micros: Micros): RawBuilder<unknown> {
  return sql`${isoFromMicros(micros)}::timestamptz`;
}
