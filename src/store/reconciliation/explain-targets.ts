import { type RawBuilder, sql } from "kysely";
import type { RecordRef } from "../../domain/matching/facts.ts";
import { CARRIER_SIDE, CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { instant, readColumn, readRows, type Tx } from "../database/run.ts";
import { recordAt } from "../records/record-at.ts";
import type { ResultName } from "./call-result-columns.ts";
import type { TimeRange } from "./reconcile-input.ts";

export interface ExplainedRecord extends ResultName {
  startTime: Micros;
}

export type NamedTarget =
  | { by: "callId"; callId: string }
  | { by: "platformRecordId" | "carrierRecordId"; recordId: string; recordDate: string | undefined }
  | { by: "discrepancyId"; discrepancyId: string };

/** Finds the records that a name means, in their newest revision, by start; at most `limit`. */
export function findExplainedRecords(
  tx: Tx,
  carrierId: string,
  name: NamedTarget,
  limit: number,
): Promise<ExplainedRecord[]> {
  return readRows(tx)<ExplainedRecord>`
    ${recordsNamed(carrierId, name)} ORDER BY start_time, record_id LIMIT ${limit}`;
}

function recordsNamed(carrierId: string, name: NamedTarget): RawBuilder<unknown> {
  switch (name.by) {
    case "callId":
      return sql`SELECT DISTINCT ON (start_time, record_id) ${sql.lit(PLATFORM_SIDE)} AS side, r.record_id, r.record_date,
          COALESCE(r.invite_time, r.record_date::timestamp AT TIME ZONE 'UTC') AS start_time
        FROM cdr_record r WHERE r.carrier_id = ${carrierId} AND r.call_id = ${name.callId}
          AND NOT EXISTS (SELECT FROM cdr_key k WHERE k.carrier_id = ${carrierId} AND k.record_id = r.record_id AND k.record_date = r.record_date
            AND k.revision > r.revision OFFSET 0)`;
    case "platformRecordId":
      return sql`SELECT ${highestRevision(carrierId, CDR, name)}`;
    case "carrierRecordId":
      return sql`SELECT ${highestRevision(carrierId, DURATION, name)}`;
    case "discrepancyId":
      return sql`SELECT r.side, r.record_id, r.record_date, r.start_time FROM call_result r
        WHERE r.carrier_id = ${carrierId} AND r.discrepancy_id = ${name.discrepancyId}`;
    default:
      return name satisfies never;
  }
}

function highestRevision(
  carrierId: string,
  { side, keys, records, start }: RecordKind,
  { recordId, recordDate }: { recordId: string; recordDate: string | undefined },
): RawBuilder<unknown> {
  const onDay = recordDate === undefined ? sql`` : sql`AND k.record_date = ${recordDate}::date`;
  return sql`${sql.lit(side)} AS side, t.record_id, t.record_date, t.start_time FROM (
      SELECT DISTINCT ON (k.record_date) k.record_id, k.record_date, COALESCE(${sql.ref(`r.${start}`)}, k.record_date::timestamp AT TIME ZONE 'UTC') AS start_time
      FROM (SELECT * FROM ${sql.table(keys)} k WHERE k.carrier_id = ${carrierId} AND k.record_id = ${recordId} ${onDay} OFFSET 0) k
      CROSS JOIN LATERAL (${recordAt(sql.table(records), carrierId, "k")}) r
      ORDER BY k.record_date, k.revision DESC) t`;
}

/** Carriers that have a call, by id; at most `limit`. */
export function findCarriersOfCall(tx: Tx, callId: string, limit: number): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT c.carrier_id FROM carrier c
    WHERE EXISTS (SELECT FROM cdr_record r WHERE r.carrier_id = c.carrier_id AND r.call_id = ${callId})
    ORDER BY c.carrier_id LIMIT ${limit}`;
}

/** A call without a counterpart, or one that the carrier has too short. */
export interface OpenCallRow extends RecordRef {
  startTime: Micros;
  answered: boolean;
  connectedMs: bigint | undefined;
  billedS: bigint | undefined;
  /** By how much the platform's record is longer; undefined: no counterpart. */
  lacksMs: bigint | undefined;
}

const FREE = [
  DiscrepancyStatus.MISSING_AT_CARRIER,
  DiscrepancyStatus.MISSING_AT_PLATFORM,
  DiscrepancyStatus.AMBIGUOUS,
  DiscrepancyStatus.PENDING,
].map((status) => sql.lit(status));

/** Reads the open calls of two parties on one side, the nearest to an instant first. */
export function readOpenCalls(
  tx: Tx,
  carrierId: string,
  search: TimeRange & { side: number; pairKey: bigint; around: Micros; limit: number },
): Promise<OpenCallRow[]> {
  const { side, pairKey, around, start, end, limit } = search;
  // OFFSET 0: by the index of the pair, not of the start.
  return readRows(tx)<OpenCallRow>`
    SELECT r.record_id, r.record_date, r.revision, r.start_time,
      COALESCE(CASE WHEN r.side = ${sql.lit(PLATFORM_SIDE)} THEN r.platform_answered ELSE r.carrier_answered END, false) AS answered,
      CASE WHEN r.side = ${sql.lit(PLATFORM_SIDE)} THEN r.platform_ms ELSE r.carrier_ms END AS connected_ms,
      CASE WHEN r.side = ${sql.lit(CARRIER_SIDE)} THEN r.billed_s END AS billed_s,
      CASE WHEN r.status = ${DiscrepancyStatus.DURATION_MISMATCH} THEN r.platform_ms - r.carrier_ms END AS lacks_ms
    FROM (SELECT * FROM call_result c
      WHERE c.carrier_id = ${carrierId} AND c.pair_key = ${pairKey}
        AND c.start_time BETWEEN ${instant(start)} AND ${instant(end)} OFFSET 0) r
    WHERE r.side = ${side} AND NOT r.is_merged
      AND (r.status IN (${sql.join(FREE)}) AND (r.side = ${sql.lit(CARRIER_SIDE)} OR cardinality(r.carrier_record_ids) = 0)
        OR r.status = ${DiscrepancyStatus.DURATION_MISMATCH} AND r.platform_ms > r.carrier_ms)
    ORDER BY abs(extract(epoch FROM r.start_time - ${instant(around)})), r.record_date, r.record_id
    LIMIT ${limit}`;
}
