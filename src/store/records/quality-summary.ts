import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { ZoneDays } from "../../domain/time/zone-days.ts";
import { run, type Tx } from "../database/run.ts";
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
  periodStart: Micros;
  trunkId: string | undefined;
  codec: string | undefined;
  direction: number;
  attempts: bigint;
  answered: bigint;
  networkEffective: bigint;
  connectedDurationMs: bigint | undefined;
  unmeasured: bigint;
  pddCount: bigint;
  pdd: number[] | undefined;
  mosLqCount: bigint;
  mosLq: number[] | undefined;
  mosCqCount: bigint;
  mosCq: number[] | undefined;
  classified: bigint | undefined;
  poor: bigint | undefined;
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
  const { rows } = await run(tx)<GroupRow>`
    SELECT period_start, trunk_id, codec, direction, count(*) AS attempts, count(*) FILTER (WHERE answered) AS answered,
      count(*) FILTER (WHERE network_effective) AS network_effective, sum(connected_duration_ms) FILTER (WHERE answered) AS connected_duration_ms,
      count(*) FILTER (WHERE answered AND connected_duration_ms IS NULL) AS unmeasured,
      count(setup_duration_ms) AS pdd_count, ${percentiles("setup_duration_ms")} AS pdd,
      count(mos_lq) AS mos_lq_count, ${percentiles("mos_lq")} AS mos_lq, count(mos_cq) AS mos_cq_count, ${percentiles("mos_cq")} AS mos_cq,
      sum(classified_streams) AS classified, sum(poor_streams) AS poor
    FROM (${calls}) c GROUP BY period_start, trunk_id, codec, direction
    ORDER BY period_start, trunk_id, codec, direction LIMIT ${request.limit}`;
  const { rows: reasons } = await run(tx)<{
    periodStart: Micros;
    trunkId: string | undefined;
    codec: string | undefined;
    direction: number;
    reason: number;
    calls: bigint;
  }>`
    SELECT period_start, trunk_id, codec, direction, reason, count(*) AS calls
    FROM (${calls}) c CROSS JOIN LATERAL (SELECT DISTINCT unnest(reasons) AS reason) u
    WHERE c.poor_streams > 0 GROUP BY period_start, trunk_id, codec, direction, reason ORDER BY calls DESC, reason`;
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
  periodStart: Micros;
  trunkId: string | undefined;
  codec: string | undefined;
  direction: number;
}): string {
  return JSON.stringify([String(row.periodStart), row.trunkId, row.codec, row.direction]);
}

function qualityGroup(row: GroupRow, reasons: { reason: number; calls: bigint }[]): QualityGroup {
  return {
    periodStart: row.periodStart,
    trunkId: row.trunkId,
    codec: row.codec,
    direction: row.direction,
    attempts: Number(row.attempts),
    answered: Number(row.answered),
    networkEffective: Number(row.networkEffective),
    connectedDurationMs: row.connectedDurationMs ?? 0n,
    unmeasured: Number(row.unmeasured),
    postDialDelayMs: percentilesOf(row.pddCount, row.pdd),
    mosLq: percentilesOf(row.mosLqCount, row.mosLq),
    mosCq: percentilesOf(row.mosCqCount, row.mosCq),
    classifiedStreams: Number(row.classified ?? 0n),
    poorStreams: Number(row.poor ?? 0n),
    poorReasons: reasons.map(({ reason, calls }) => ({ reason, calls: Number(calls) })),
  };
}

function percentilesOf(count: bigint, values: number[] | undefined): Percentiles | undefined {
  if (count === 0n || !values) return undefined;
  const [p10 = 0, p50 = 0, p90 = 0, p99 = 0] = values;
  return { measuredCount: Number(count), p10, p50, p90, p99 };
}
