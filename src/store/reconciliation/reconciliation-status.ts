import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { DURATION } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { run, type Tx } from "../database/run.ts";
import { readDaysOf } from "../zone-days/zone-days.ts";
import { MOST_ROUNDS } from "./reconcile-progress.ts";

/**
 * How far a carrier's reconciliation is. Sequences are positions in its feeds; 0 when there is
 * none.
 */
export interface ReconciliationStatus {
  readonly cdrSequence: bigint;
  readonly cdrHead: bigint;
  readonly lastCdrTime: Micros | undefined;
  readonly durationSequence: bigint;
  readonly durationHead: bigint;
  readonly lastDurationTime: Micros | undefined;
  readonly discrepancyHead: bigint;
  readonly reconciledThrough: Micros;
  readonly pending: readonly { readonly reason: number; readonly calls: bigint; readonly oldest: Micros }[];
  readonly unresolved: bigint;
  readonly quarantined: bigint;
  /**
   * The earliest day, in the carrier's time zone, that is judged again; undefined when nothing but
   * new records is judged.
   */
  readonly rejudgedFrom: string | undefined;
  /** Minutes that did not settle and are set aside, and the first of them; undefined: none. */
  readonly setAside: { readonly minutes: bigint; readonly first: Micros } | undefined;
}

interface StatusRow extends Omit<ReconciliationStatus, "pending" | "rejudgedFrom" | "setAside"> {
  rejudgedFrom: Micros | undefined;
  asideMinutes: bigint;
  asideFirst: Micros | undefined;
}

/** Reads how far a carrier is reconciled. In a system transaction. */
export async function readReconciliationStatus(
  tx: Tx,
  carrier: { carrierId: string; timeZone: string; graceMs: bigint },
): Promise<ReconciliationStatus | undefined> {
  const { carrierId, timeZone, graceMs } = carrier;
  const head = (feed: FeedId) =>
    sql`(SELECT next_sequence - 1 FROM feed_head h WHERE h.carrier_id = ${carrierId} AND h.feed = ${feed})`;
  // The feed's own last ingest time is raised by readers too.
  const newest = (table: "cdr_record" | "duration_record") =>
    sql`(SELECT ingest_time FROM ${sql.table(table)} r WHERE r.carrier_id = ${carrierId} ORDER BY sequence DESC LIMIT 1)`;
  const { rows } = await run(tx)<StatusRow>`
    SELECT COALESCE(p.cdr_sequence, 0) AS cdr_sequence, ${head(FeedId.CDRS)} AS cdr_head, ${newest("cdr_record")} AS last_cdr_time,
      COALESCE(p.duration_sequence, 0) AS duration_sequence, ${head(FeedId.DURATIONS)} AS duration_head, ${newest("duration_record")} AS last_duration_time,
      ${head(FeedId.DISCREPANCIES)} AS discrepancy_head, ${RECONCILED_THROUGH} AS reconciled_through,
      (SELECT count(*) FROM call_result r WHERE r.carrier_id = ${carrierId} AND r.sequence IS NOT NULL AND r.resolved_time IS NULL) AS unresolved,
      (SELECT count(*) FROM quarantine q WHERE q.carrier_id = ${carrierId} AND q.kind = ${DURATION.upload}) AS quarantined,
      (SELECT min(m.minute) FROM reconcile_minute m WHERE m.carrier_id = ${carrierId}
        AND m.round <= ${MOST_ROUNDS}::int2
        AND m.minute < now() - interval '1 day' - ${`${graceMs} milliseconds`}::interval) AS rejudged_from,
      aside.minutes AS aside_minutes, aside.first AS aside_first
    FROM carrier c LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    CROSS JOIN LATERAL (SELECT count(*) AS minutes, min(m.minute) AS first FROM reconcile_minute m
      WHERE m.carrier_id = ${carrierId} AND m.round > ${MOST_ROUNDS}::int2) aside
    WHERE c.carrier_id = ${carrierId}`;
  if (!rows[0]) return undefined;
  const { rejudgedFrom: rejudged, asideMinutes, asideFirst, ...row } = rows[0];
  return {
    ...row,
    pending: await readPending(tx, carrierId),
    rejudgedFrom: rejudged === undefined ? undefined : (await readDaysOf(tx, timeZone, [rejudged])).dayOf(rejudged),
    setAside: asideFirst === undefined ? undefined : { minutes: asideMinutes, first: asideFirst },
  };
}

/**
 * The least time before which every record of these carriers is judged; undefined where there is no
 * such carrier.
 */
export async function readReconciledThrough(
  tx: Tx,
  which: { carrierId?: string | undefined; region?: string | undefined },
): Promise<Micros | undefined> {
  const { rows } = await run(tx)<{ least: Micros | undefined }>`
    SELECT min(${RECONCILED_THROUGH}) AS least FROM carrier c LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    WHERE ${which.carrierId === undefined ? sql`true` : sql`c.carrier_id = ${which.carrierId}`}
      AND ${which.region === undefined ? sql`true` : sql`c.region = ${which.region}`}`;
  return rows[0]?.least;
}

// Before a carrier was onboarded it had no records.
const RECONCILED_THROUGH = sql`GREATEST(p.reconciled_through, c.create_time)`;

async function readPending(tx: Tx, carrierId: string): Promise<ReconciliationStatus["pending"]> {
  const { rows } = await run(tx)<{ reason: number; calls: bigint; oldest: Micros }>`
    SELECT r.pending_reason AS reason, count(*) AS calls, min(r.start_time) AS oldest FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND r.status = ${DiscrepancyStatus.PENDING} AND NOT r.is_merged
    GROUP BY r.pending_reason ORDER BY r.pending_reason`;
  return rows;
}
