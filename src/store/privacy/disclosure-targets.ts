import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { recordKey, usageName } from "../../domain/privacy/disclosure.ts";
import { CARRIER_SIDE, kindOfSide, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import { addDays, type Micros } from "../../domain/time/instant.ts";
import { readRows, readValue, type Tx, unnest } from "../database/run.ts";
import { recordAt } from "../records/record-at.ts";
import type { FeedEntry } from "./disclosure-lists.ts";
import type { Hit } from "./export-phone-number.ts";

// What to look for in the disclosure log for given records: their places in the feeds, the entries
// of the discrepancy feed about them, and their names in answers. In system transactions.

/** A record, of all its revisions or of one. */
export interface AskedRecord {
  readonly side: RecordKind["side"];
  readonly recordId: string;
  readonly recordDate: string;
  readonly revision?: number | undefined;
}

export interface DisclosureTarget {
  readonly entries: readonly FeedEntry[];
  readonly keys: readonly bigint[];
}

/** A customer's day, in its own time zone, may differ by this many days from the record's. */
const AROUND = [-1, 0, 1];

/** Whether a record is or was stored: in its feed, in quarantine, under a hold, or as a key. */
export function isRecordKnown(tx: Tx, carrierId: string, record: AskedRecord): Promise<boolean> {
  const { side, recordId, recordDate, revision } = record;
  const kind = kindOfSide(side);
  const named = sql`carrier_id = ${carrierId} AND record_id = ${recordId} AND record_date = ${recordDate}::date
    ${revision === undefined ? sql`` : sql`AND revision = ${revision}`}`;
  return readValue(tx)<boolean>`
    SELECT EXISTS (SELECT FROM ${sql.table(kind.keys)} WHERE ${named})
      OR EXISTS (SELECT FROM quarantine WHERE ${named} AND kind = ${kind.upload})
      OR EXISTS (SELECT FROM held_record WHERE ${named} AND side = ${side}) AS known`;
}

/** Finds what of the log may be about records of one side; at most 10,000 of them. */
export async function readDisclosureTarget(
  tx: Tx,
  carrierId: string,
  side: RecordKind["side"],
  records: readonly AskedRecord[],
): Promise<DisclosureTarget> {
  if (records.length === 0) return { entries: [], keys: [] };
  const own = records.map(({ recordId, recordDate }) => recordKey(carrierId, side, recordId, recordDate));
  const told = await readDiscrepancyEntries(tx, carrierId, side, records);
  if (side !== PLATFORM_SIDE) return { entries: told, keys: own };
  const revisions = await readRevisions(tx, carrierId, records);
  const usage = new Set(
    revisions.flatMap(({ customerId, recordDate }) =>
      customerId === undefined
        ? []
        : AROUND.map((days) => recordKey(carrierId, side, usageName(customerId), addDays(recordDate, days))),
    ),
  );
  return { entries: [...revisions, ...told], keys: [...own, ...usage] };
}

interface Revision extends FeedEntry {
  readonly customerId: string | undefined;
  readonly recordDate: string;
}

async function readRevisions(tx: Tx, carrierId: string, records: readonly AskedRecord[]): Promise<Revision[]> {
  const rows = await readRows(tx)<Omit<Revision, "feed"> & { recordId: string; revision: number }>`
    SELECT k.sequence, k.ingest_time, k.record_date, k.record_id, k.revision, r.customer_id
    FROM ${askedRecords(records)}
    CROSS JOIN LATERAL (SELECT * FROM cdr_key k
      WHERE k.carrier_id = ${carrierId} AND k.record_id = a.record_id AND k.record_date = a.record_date OFFSET 0) k
    LEFT JOIN LATERAL (${recordAt(sql`cdr_record`, carrierId, "k")}) r ON true
    UNION
    SELECT h.sequence, h.ingest_time, h.record_date, h.record_id, h.revision, h.customer_id FROM ${askedRecords(records)}
    CROSS JOIN LATERAL (SELECT * FROM held_record h WHERE h.carrier_id = ${carrierId} AND h.side = ${sql.lit(PLATFORM_SIDE)}
      AND h.record_id = a.record_id AND h.record_date = a.record_date OFFSET 0) h`;
  const only = new Map(records.map((record) => [`${record.recordId} ${record.recordDate}`, record.revision]));
  return rows
    .filter((row) => (only.get(`${row.recordId} ${row.recordDate}`) ?? row.revision) === row.revision)
    .map((row) => ({ ...row, feed: FeedId.CDRS }));
}

// A carrier's record is in the result that names it or its platform record, found by the number.
async function readDiscrepancyEntries(
  tx: Tx,
  carrierId: string,
  side: RecordKind["side"],
  records: readonly AskedRecord[],
): Promise<FeedEntry[]> {
  const named = sql`SELECT c.discrepancy_id FROM ${askedRecords(records)}
    CROSS JOIN LATERAL (SELECT c.discrepancy_id FROM call_result c
      WHERE c.carrier_id = ${carrierId} AND c.record_date = a.record_date AND c.record_id = a.record_id AND c.side = ${side} OFFSET 0) c`;
  const paired = sql`SELECT c.discrepancy_id FROM ${askedRecords(records)}
    CROSS JOIN LATERAL (SELECT * FROM duration_key k
      WHERE k.carrier_id = ${carrierId} AND k.record_id = a.record_id AND k.record_date = a.record_date OFFSET 0) k
    CROSS JOIN LATERAL (${recordAt(sql`duration_record`, carrierId, "k")}) d
    CROSS JOIN LATERAL (SELECT c.discrepancy_id FROM call_result c WHERE c.phone_number = d.phone_number AND c.carrier_id = ${carrierId}
      AND c.start_time >= d.start_time - interval '15 hours' AND c.start_time <= d.start_time + interval '15 hours'
      AND a.record_id = ANY (c.carrier_record_ids) OFFSET 0) c`;
  const rows = await readRows(tx)<{ sequence: bigint; ingestTime: Micros }>`
    SELECT e.sequence, e.ingest_time
    FROM (${side === CARRIER_SIDE ? sql`${named} UNION ${paired}` : named}) f
    CROSS JOIN LATERAL (SELECT * FROM discrepancy_entry e WHERE e.carrier_id = ${carrierId} AND e.discrepancy_id = f.discrepancy_id OFFSET 0) e
    WHERE f.discrepancy_id IS NOT NULL`;
  return rows.map((row) => ({ ...row, feed: FeedId.DISCREPANCIES }));
}

function askedRecords(records: readonly AskedRecord[]) {
  return unnest("a", records, { recordId: "text", recordDate: "date" });
}

/** A record that a search has found, encoded. */
export interface HitRecord {
  readonly recordId: string;
  readonly recordDate: string;
  readonly payload: Buffer;
}

export async function readHits(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  hits: readonly Hit[],
): Promise<HitRecord[]> {
  if (hits.length === 0) return [];
  return readRows(tx)<HitRecord>`
    SELECT r.record_id, r.record_date, r.payload FROM ${unnest("h", hits, { sequence: "int8", ingestTime: "timestamptz" })}
    CROSS JOIN LATERAL (${recordAt(sql.table(kind.records), carrierId, "h")}) r`;
}
