import { sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import {
  boolArray,
  dateArray,
  instantArray,
  int2Array,
  int4Array,
  int8Array,
  textArray,
  wholeArray,
} from "../database/binary-array.ts";
import { insertAll, instant, type Tx, together } from "../database/run.ts";

/**
 * A new result of one record of each side that agree: what is not here is as in every such row.
 * Times are milliseconds since 1970.
 */
export interface PairRow {
  readonly recordId: string;
  readonly recordDate: string;
  readonly revision: number;
  readonly carrierRecordId: string;
  readonly carrierRecordDate: string;
  readonly carrierRevision: number;
  readonly startMs: number;
  readonly callDate: string;
  readonly status: number;
  readonly matchedBy: number;
  readonly direction: number;
  readonly phoneNumber: string | undefined;
  readonly customerId: string | undefined;
  readonly trunkId: string | undefined;
  readonly callId: string | undefined;
  readonly otherNumber: string | undefined;
  readonly otherCountry: string | undefined;
  /** By both sides. */
  readonly answered: boolean;
  readonly platformMs: number | undefined;
  readonly carrierMs: number | undefined;
  readonly billedS: number | undefined;
  readonly clockTrunk: string;
  readonly clockMs: number;
  readonly voteMs: number;
  readonly idKeys: readonly bigint[];
  readonly resultHash: bigint;
  readonly arrivalMs: number;
}

/** Rows of one statement: while it runs, the next is made. */
const CHUNK = 2_000;

/** Writes results of pairs of which neither record has one. */
export async function insertPairs(
  tx: Tx,
  carrierId: string,
  pairs: readonly PairRow[],
  updateTime: Micros,
): Promise<void> {
  const sent: Promise<void>[] = [];
  for (let start = 0; start < pairs.length; start += CHUNK) {
    const chunk = pairs.slice(start, start + CHUNK);
    sent.push(insertAll(tx, insertOf(carrierId, chunk, updateTime), chunk.length));
  }
  await together(sent);
}

function insertOf(carrierId: string, rows: readonly PairRow[], updateTime: Micros) {
  return sql`
    INSERT INTO call_result (carrier_id, side, record_id, record_date, revision, carrier_record_ids, carrier_record_dates, carrier_revisions,
      start_time, call_date, status, causes, matched_by, pending_reason, is_open, is_merged, direction, phone_number, customer_id, trunk_id,
      call_id, other_number, other_country, platform_answered, carrier_answered, platform_ms, carrier_ms, billed_s, clock_trunk, clock_time,
      vote_ms, id_keys, result_hash, arrival_time, update_time, discrepancy_revision)
    SELECT c.carrier_id, 1, r.record_id, r.record_date, r.revision, ARRAY[r.carrier_record_id], ARRAY[r.carrier_record_date], ARRAY[r.carrier_revision],
      r.start_time, r.call_date, r.status, 0, r.matched_by, 0, false, false, r.direction, r.phone_number, r.customer_id, r.trunk_id,
      r.call_id, r.other_number, r.other_country, r.answered, r.answered, r.platform_ms, r.carrier_ms, r.billed_s, r.clock_trunk, r.clock_time,
      r.vote_ms, string_to_array(r.id_keys, ' ')::bigint[], r.result_hash, r.arrival_time, ${instant(updateTime)}, 0
    FROM carrier c CROSS JOIN ${columnsOf(rows)} WHERE c.carrier_id = ${carrierId}`;
}

function columnsOf(rows: readonly PairRow[]) {
  const idKeys = rows.map((row) => (row.idKeys.length === 0 ? undefined : row.idKeys.join(" ")));
  return sql`unnest(
      ${textArray(rows.map((row) => row.recordId))}::text[], ${dateArray(rows.map((row) => row.recordDate))}::date[],
      ${int4Array(rows.map((row) => row.revision))}::int4[], ${textArray(rows.map((row) => row.carrierRecordId))}::text[],
      ${dateArray(rows.map((row) => row.carrierRecordDate))}::date[], ${int4Array(rows.map((row) => row.carrierRevision))}::int4[],
      ${instantArray(rows.map((row) => row.startMs))}::timestamptz[], ${dateArray(rows.map((row) => row.callDate))}::date[],
      ${int2Array(rows.map((row) => row.status))}::int2[], ${int2Array(rows.map((row) => row.matchedBy))}::int2[],
      ${int2Array(rows.map((row) => row.direction))}::int2[], ${textArray(rows.map((row) => row.phoneNumber))}::text[],
      ${textArray(rows.map((row) => row.customerId))}::text[], ${textArray(rows.map((row) => row.trunkId))}::text[],
      ${textArray(rows.map((row) => row.callId))}::text[], ${textArray(rows.map((row) => row.otherNumber))}::text[],
      ${textArray(rows.map((row) => row.otherCountry))}::text[], ${boolArray(rows.map((row) => row.answered))}::bool[],
      ${wholeArray(rows.map((row) => row.platformMs))}::int8[], ${wholeArray(rows.map((row) => row.carrierMs))}::int8[],
      ${wholeArray(rows.map((row) => row.billedS))}::int8[], ${textArray(rows.map((row) => row.clockTrunk))}::text[],
      ${instantArray(rows.map((row) => row.clockMs))}::timestamptz[], ${wholeArray(rows.map((row) => row.voteMs))}::int8[],
      ${textArray(idKeys)}::text[], ${int8Array(rows.map((row) => row.resultHash))}::int8[],
      ${instantArray(rows.map((row) => row.arrivalMs))}::timestamptz[])
    AS r(record_id, record_date, revision, carrier_record_id, carrier_record_date, carrier_revision, start_time, call_date, status, matched_by,
      direction, phone_number, customer_id, trunk_id, call_id, other_number, other_country, answered, platform_ms, carrier_ms, billed_s,
      clock_trunk, clock_time, vote_ms, id_keys, result_hash, arrival_time)`;
}
