import { type RawBuilder, sql } from "kysely";
import { CDR, DURATION, type RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { int8Array } from "../database/binary-array.ts";
import { readRows, type Tx } from "../database/run.ts";
import {
  cdrOfRow,
  counterpartsOfCdr,
  counterpartsOfDuration,
  durationOfRow,
  type FoundCdr,
  type FoundDuration,
  type Hit,
  type PhoneNumberSearch,
  type Scan,
  type ScanPlace,
  scan,
} from "./export-phone-number.ts";

// Searches copies under holds for a number, as export-phone-number.ts does records.

/** Looks through the platform's held records, without those that are still in the feed. */
export async function findHeldCdrs(
  tx: Tx,
  search: PhoneNumberSearch,
  after: ScanPlace | undefined,
  withNetwork: boolean,
): Promise<{ found: FoundCdr[]; next: ScanPlace | undefined }> {
  const { carrierId } = search;
  const { hits, next } = await scanHeld(tx, search, CDR, after);
  const rows = await readHeld(tx, carrierId, { kind: CDR, hits, counterparts: counterpartsOfCdr(carrierId) });
  const found = rows.map((row) => {
    const network = withNetwork ? row.network : undefined;
    const reported = cdrOfRow(carrierId, { ...row, inviteTime: row.startTime, network });
    const counterparts = row.counterparts ?? [];
    return { reported, newest: reported, counterparts };
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
  const { hits, next } = await scanHeld(tx, search, DURATION, after);
  const rows = await readHeld(tx, carrierId, { kind: DURATION, hits, counterparts: counterpartsOfDuration(carrierId) });
  const found = rows.map((row) => {
    const reported = durationOfRow(row);
    return { reported, newest: reported, counterparts: row.counterparts ?? [] };
  });
  return { found, next };
}

function scanHeld(
  tx: Tx,
  search: PhoneNumberSearch,
  { side }: RecordKind,
  after: ScanPlace | undefined,
): Promise<Scan> {
  return scan(tx, search, { table: "held_record", time: sql.ref("r.start_time"), where: sql`r.side = ${side}` }, after);
}

// Of each record the newest revision that reports the call, unless the feed has it or a newer one.
async function readHeld(
  tx: Tx,
  carrierId: string,
  { kind, hits, counterparts }: { kind: RecordKind; hits: readonly Hit[]; counterparts: RawBuilder<unknown> },
): Promise<HeldRow[]> {
  if (hits.length === 0) return [];
  return readRows(tx)<HeldRow>`
    SELECT r.*, ${counterparts} AS counterparts
    FROM held_record r
    WHERE r.carrier_id = ${carrierId} AND r.side = ${kind.side} AND r.sequence = ANY(${int8Array(hits.map((hit) => hit.sequence))}::int8[])
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
