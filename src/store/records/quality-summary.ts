import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { ZoneDays } from "../../domain/time/zone-days.ts";
import { readRows, type Tx } from "../database/run.ts";
import { startOfDayOf } from "../zone-days/zone-days.ts";
import { allOf, type CdrConditions, isTip } from "./cdrs.ts";
import { EntryKind } from "./record-rows.ts";

export interface QualitySummaryRequest {
  carrierId: string;
  start: Micros;
  end: Micros;
  /** The days by which calls are grouped; undefined: by hour, UTC. */
  days: ZoneDays | undefined;
  byTrunk: boolean;
  byCodec: boolean;
  byDirection: boolean;
  conditions: CdrConditions | undefined;
  /** Most groups. */
  limit: number;
}

/** The figures of one group of calls. Percentiles are p10, p50, p90 and p99 of the measured. */
export interface QualityGroup {
  periodStart: Micros;
  trunkId: string | undefined;
  codec: string | undefined;
  direction: number;
  attempts: bigint;
  answered: bigint;
  networkEffective: bigint;
  connectedDurationMs: bigint;
  /** Answered calls whose length is not known. */
  unmeasured: bigint;
  setupCount: bigint;
  setup: number[] | undefined;
  mosLqCount: bigint;
  mosLq: number[] | undefined;
  mosCqCount: bigint;
  mosCq: number[] | undefined;
  classifiedStreams: bigint;
  poorStreams: bigint;
  poorReasons: readonly { reason: number; calls: bigint }[];
}

/** Longest that a summary may take, milliseconds. */
export const SUMMARY_TIMEOUT_MS = 30_000;

/**
 * Figures of the latest revisions of the calls in a period. An attempt that is still going on
 * (partial, no final code) is not counted.
 */
export async function summarizeQuality(tx: Tx, request: QualitySummaryRequest): Promise<QualityGroup[]> {
  const calls = sql`
    SELECT ${periodStart(request)} AS period_start, ${request.byTrunk ? sql`r.trunk_id` : sql`NULL::text`} AS trunk_id,
      ${request.byCodec ? sql`r.codec` : sql`NULL::text`} AS codec, ${request.byDirection ? sql`r.direction` : sql`0::int2`} AS direction,
      r.answered, r.network_effective, r.connected_duration_ms, r.setup_duration_ms,
      q.mos_lq, q.mos_cq, q.classified_streams, q.poor_streams, q.reasons
    FROM cdr_record r LEFT JOIN LATERAL (
      SELECT * FROM cdr_quality p WHERE p.carrier_id = ${request.carrierId} AND p.sequence = r.sequence AND p.ingest_time = r.ingest_time LIMIT 1) q ON true
    WHERE r.carrier_id = ${request.carrierId} AND r.entry_kind = ${EntryKind.REPORT} AND r.answered IS NOT NULL
      AND r.invite_time >= ${isoFromMicros(request.start)}::timestamptz AND r.invite_time < ${isoFromMicros(request.end)}::timestamptz
      AND ${request.conditions ? allOf(request.conditions) : sql`true`} AND ${isTip("cdr_key", request.carrierId)}`;
  const rows = await readRows(tx)<Omit<QualityGroup, "poorReasons">>`
    SELECT period_start, trunk_id, codec, direction, count(*) AS attempts, count(*) FILTER (WHERE answered) AS answered,
      count(*) FILTER (WHERE network_effective) AS network_effective, COALESCE(sum(connected_duration_ms) FILTER (WHERE answered), 0) AS connected_duration_ms,
      count(*) FILTER (WHERE answered AND connected_duration_ms IS NULL) AS unmeasured,
      count(setup_duration_ms) AS setup_count, ${percentiles("setup_duration_ms")} AS setup,
      count(mos_lq) AS mos_lq_count, ${percentiles("mos_lq")} AS mos_lq, count(mos_cq) AS mos_cq_count, ${percentiles("mos_cq")} AS mos_cq,
      COALESCE(sum(classified_streams), 0) AS classified_streams, COALESCE(sum(poor_streams), 0) AS poor_streams
    FROM (${calls}) c GROUP BY period_start, trunk_id, codec, direction
    ORDER BY period_start, trunk_id, codec, direction LIMIT ${request.limit}`;
  const reasons = await readRows(tx)<GroupName & { reason: number; calls: bigint }>`
    SELECT period_start, trunk_id, codec, direction, reason, count(*) AS calls
    FROM (${calls}) c CROSS JOIN LATERAL (SELECT DISTINCT unnest(reasons) AS reason) u
    WHERE c.poor_streams > 0 GROUP BY period_start, trunk_id, codec, direction, reason ORDER BY calls DESC, reason`;
  const byGroup = Map.groupBy(reasons, groupKey);
  return rows.map((row) => ({ ...row, poorReasons: byGroup.get(groupKey(row)) ?? [] }));
}

function periodStart(request: QualitySummaryRequest) {
  return request.days ? startOfDayOf(request.days, sql`r.invite_time`) : sql`date_trunc('hour', r.invite_time, 'UTC')`;
}

function percentiles(column: "setup_duration_ms" | "mos_lq" | "mos_cq") {
  return sql`percentile_cont(ARRAY[0.1, 0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY ${sql.ref(column)}::float8)`;
}

type GroupName = Pick<QualityGroup, "periodStart" | "trunkId" | "codec" | "direction">;

function groupKey({ periodStart, trunkId, codec, direction }: GroupName): string {
  return JSON.stringify([String(periodStart), trunkId, codec, direction]);
}
