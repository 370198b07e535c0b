import { type RawBuilder, sql } from "kysely";
import { CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { run, type Tx } from "../database/run.ts";
import { recordAt } from "../records/record-at.ts";
import type { ResultName } from "./call-result-columns.ts";

export interface ExplainedRecord extends ResultName {
  startTime: Micros;
}

export type NamedTarget =
  | { by: "callId"; callId: string }
  | { by: "platformRecordId" | "carrierRecordId"; recordId: string; recordDate: string | undefined }
  | { by: "discrepancyId"; discrepancyId: string };

/** Finds the records that a name means, in their newest revision, by start; at most `limit`. */
export async function findExplainedRecords(
  tx: Tx,
  carrierId: string,
  name: NamedTarget,
  limit: number,
): Promise<ExplainedRecord[]> {
  const { rows } = await run(tx)<ExplainedRecord>`
    ${recordsNamed(carrierId, name)} ORDER BY start_time, record_id LIMIT ${limit}`;
  return rows;
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
export async function findCarriersOfCall(tx: Tx, callId: string, limit: number): Promise<string[]> {
  const { rows } = await run(tx)<{ carrierId: string }>`
    SELECT c.carrier_id FROM carrier c
    WHERE EXISTS (SELECT FROM cdr_record r WHERE r.carrier_id = c.carrier_id AND r.call_id = ${callId})
    ORDER BY c.carrier_id LIMIT ${limit}`;
  return rows.map((row) => row.carrierId);
}
