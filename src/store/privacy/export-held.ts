import { sql } from "kysely";
import type { RecordKind } from "../../domain/record-kind.ts";
import { int8Array } from "../database/binary-array.ts";
import { readRows, type Tx } from "../database/run.ts";
import {
  counterpartsOf,
  type FoundRecord,
  type FoundRow,
  foundRecord,
  type PhoneNumberSearch,
  type ScanPlace,
  scan,
} from "./export-phone-number.ts";

/**
 * Looks through one side's copies under holds for a number, without those that are still in the
 * feed.
 * @param withNetwork whether network identifiers may be given.
 */
export async function findHeldRecords(
  tx: Tx,
  search: PhoneNumberSearch,
  kind: RecordKind,
  after: ScanPlace | undefined,
  withNetwork: boolean,
): Promise<{ found: FoundRecord[]; next: ScanPlace | undefined }> {
  const { carrierId } = search;
  const table = { table: "held_record", time: sql.ref("r.start_time"), where: sql`r.side = ${kind.side}` };
  const { hits, next } = await scan(tx, search, table, after);
  if (hits.length === 0) return { found: [], next };
  // Of each record the newest revision that reports the call, unless the feed has it or a newer
  // one.
  const rows = await readRows(tx)<FoundRow>`
    SELECT r.sequence, r.ingest_time, r.entry_kind, r.record_id, r.start_time, r.customer_id, r.payload, r.quality,
      ${withNetwork ? sql`r.network` : sql`NULL::bytea`} AS network, ${counterpartsOf(kind, carrierId)} AS counterparts
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
  return { found: rows.map((row) => foundRecord(carrierId, row)), next };
}
