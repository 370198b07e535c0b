import { sql } from "kysely";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { run, type Tx } from "../database/run.ts";

/** A call without a counterpart, or one that the carrier has too short. */
export interface OpenCallRow {
  recordId: string;
  recordDate: string;
  revision: number;
  startTime: Micros;
  answered: boolean;
  connectedMs: bigint | undefined;
  billedS: bigint | undefined;
  /** By how much the platform's record is longer; undefined: no counterpart. */
  lacksMs: bigint | undefined;
}

export interface OpenCallSearch {
  side: number;
  pairKey: bigint;
  around: Micros;
  start: Micros;
  end: Micros;
  limit: number;
}

const FREE = [
  DiscrepancyStatus.MISSING_AT_CARRIER,
  DiscrepancyStatus.MISSING_AT_PLATFORM,
  DiscrepancyStatus.AMBIGUOUS,
  DiscrepancyStatus.PENDING,
].map((status) => sql.lit(status));

/** Reads the open calls of two parties on one side, the nearest to an instant first. */
export async function readOpenCalls(tx: Tx, carrierId: string, search: OpenCallSearch): Promise<OpenCallRow[]> {
  const { side, pairKey, around, start, end, limit } = search;
  const [from, to] = [isoFromMicros(start), isoFromMicros(end)];
  // OFFSET 0: by the index of the pair, not of the start.
  const { rows } = await run(tx)<OpenCallRow>`
    SELECT r.record_id, r.record_date, r.revision, r.start_time,
      COALESCE(CASE WHEN r.side = ${sql.lit(PLATFORM_SIDE)} THEN r.platform_answered ELSE r.carrier_answered END, false) AS answered,
      CASE WHEN r.side = ${sql.lit(PLATFORM_SIDE)} THEN r.platform_ms ELSE r.carrier_ms END AS connected_ms,
      CASE WHEN r.side = ${sql.lit(CARRIER_SIDE)} THEN r.billed_s END AS billed_s,
      CASE WHEN r.status = ${DiscrepancyStatus.DURATION_MISMATCH} THEN r.platform_ms - r.carrier_ms END AS lacks_ms
    FROM (SELECT * FROM call_result c
      WHERE c.carrier_id = ${carrierId} AND c.pair_key = ${pairKey}
        AND c.start_time BETWEEN ${from}::timestamptz AND ${to}::timestamptz OFFSET 0) r
    WHERE r.side = ${side} AND NOT r.is_merged
      AND (r.status IN (${sql.join(FREE)}) AND (r.side = ${sql.lit(CARRIER_SIDE)} OR cardinality(r.carrier_record_ids) = 0)
        OR r.status = ${DiscrepancyStatus.DURATION_MISMATCH} AND r.platform_ms > r.carrier_ms)
    ORDER BY abs(extract(epoch FROM r.start_time - ${isoFromMicros(around)}::timestamptz)), r.record_date, r.record_id
    LIMIT ${limit}`;
  return rows;
}
