import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { ZoneDays } from "../../domain/time/zone-days.ts";
import type { Tx } from "../database/database.ts";
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

export interface Percentiles {
  measuredCount: number;
  p10: number;
  p50: number;
  p90: number;
  p99: number;
}

/** The figures of one group of calls; undefined where there is nothing to divide by. */
export interface QualityGroup {
  periodStart: Micros;
  trunkId: string | undefined;
  codec: string | undefined;
  direction: number;
  attempts: number;
  answered: number;
  networkEffective: number;
  connectedDurationMs: bigint;
  /** Answered calls whose length is not known. */
  unmeasured: number;
  postDialDelayMs: Percentiles | undefined;
  mosLq: Percentiles | undefined;
  mosCq: Percentiles | undefined;
  classifiedStreams: number;
  poorStreams: number;
  poorReasons: { reason: number; calls: number }[];
}

interface GroupRow {
  period_start: Micros;
  trunk_id: string | null;
  codec: string | null;
  direction: number;
  attempts: bigint;
  answered: bigint;
  network_effective: bigint;
  connected_duration_ms: bigint | null;
  unmeasured: bigint;
  pdd_count: bigint;
  pdd: number[] | null;
  mos_lq_count: bigint;
  mos_lq: number[] | null;
  mos_cq_count: bigint;
  mos_cq: number[] | null;
  classified: bigint | null;
  poor: bigint | null;
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
  const { rows } = await sql<GroupRow>`
    SELECT period_start, trunk_id, codec, direction, count(*) AS attempts, count(*) FILTER (WHERE answered) AS answered,
      count(*) FILTER (WHERE network_effective) AS network_effective, sum(connected_duration_ms) FILTER (WHERE answered) AS connected_duration_ms,
      count(*) FILTER (WHERE answered AND connected_duration_ms IS NULL) AS unmeasured,
      count(setup_duration_ms) AS pdd_count, ${percentiles("setup_duration_ms")} AS pdd,
      count(mos_lq) AS mos_lq_count, ${percentiles("mos_lq")} AS mos_lq, count(mos_cq) AS mos_cq_count, ${percentiles("mos_cq")} AS mos_cq,
      sum(classified_streams) AS classified, sum(poor_streams) AS poor
    FROM (${calls}) c GROUP BY period_start, trunk_id, codec, direction
    ORDER BY period_start, trunk_id, codec, direction LIMIT ${request.limit}`.execute(tx);
  const { rows: reasons } = await sql<{
    period_start: Micros;
    trunk_id: string | null;
    codec: string | null;
    direction: number;
    reason: number;
    calls: bigint;
  }>`
    SELECT period_start, trunk_id, codec, direction, reason, count(*) AS calls
    FROM (${calls}) c CROSS JOIN LATERAL (SELECT DISTINCT unnest(reasons) AS reason) u
    WHERE c.poor_streams > 0 GROUP BY period_start, trunk_id, codec, direction, reason ORDER BY calls DESC, reason`.execute(
    tx,
  );
  const byGroup = Map.groupBy(reasons, groupKey);
  return rows.map((row) => qualityGroup(row, byGroup.get(groupKey(row)) ?? []));
}

function periodStart(request: QualitySummaryRequest) {
  return request.days ? startOfDayOf(request.days, sql`r.invite_time`) : sql`date_trunc('hour', r.invite_time, 'UTC')`;
}

function percentiles(column: "setup_duration_ms" | "mos_lq" | "mos_cq") {
  return sql`percentile_cont(ARRAY[0.1, 0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY ${sql.ref(column)}::float8)`;
}

function groupKey(row: {
  period_start: Micros;
  trunk_id: string | null;
  codec: string | null;
  direction: number;
}): string {
  return JSON.stringify([String(row.period_start), row.trunk_id, row.codec, row.direction]);
}

function qualityGroup(row: GroupRow, reasons: { reason: number; calls: bigint }[]): QualityGroup {
  return {
    periodStart: row.period_start,
    trunkId: row.trunk_id ?? undefined,
    codec: row.codec ?? undefined,
    direction: row.direction,
    attempts: Number(row.attempts),
    answered: Number(row.answered),
    networkEffective: Number(row.network_effective),
    connectedDurationMs: row.connected_duration_ms ?? 0n,
    unmeasured: Number(row.unmeasured),
    postDialDelayMs: percentilesOf(row.pdd_count, row.pdd),
    mosLq: percentilesOf(row.mos_lq_count, row.mos_lq),
    mosCq: percentilesOf(row.mos_cq_count, row.mos_cq),
    classifiedStreams: Number(row.classified ?? 0n),
    poorStreams: Number(row.poor ?? 0n),
    poorReasons: reasons.map(({ reason, calls }) => ({ reason, calls: Number(calls) })),
  };
}

function percentilesOf(count: bigint, values: number[] | null): Percentiles | undefined {
  if (count === 0n || !values) return undefined;
  const [p10 = 0, p50 = 0, p90 = 0, p99 = 0] = values;
  return { measuredCount: Number(count), p10, p50, p90, p99 };
}
