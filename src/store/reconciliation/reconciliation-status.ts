import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { DURATION } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { Tx } from "../database/database.ts";
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

interface StatusRow {
  cdr_sequence: bigint;
  cdr_head: bigint;
  last_cdr_time: Micros | null;
  duration_sequence: bigint;
  duration_head: bigint;
  last_duration_time: Micros | null;
  discrepancy_head: bigint;
  reconciled_through: Micros;
  unresolved: bigint;
  quarantined: bigint;
  rejudged_from: Micros | null;
  aside_minutes: bigint;
  aside_first: Micros | null;
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
  const { rows } = await sql<StatusRow>`
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
    WHERE c.carrier_id = ${carrierId}`.execute(tx);
  const row = rows[0];
  if (!row) return undefined;
  const rejudged = row.rejudged_from;
  const rejudgedFrom = rejudged === null ? undefined : (await readDaysOf(tx, timeZone, [rejudged])).dayOf(rejudged);
  return { ...statusOf(row, await readPending(tx, carrierId)), rejudgedFrom };
}

/**
 * The least time before which every record of these carriers is judged; undefined where there is no
 * such carrier.
 */
export async function readReconciledThrough(
  tx: Tx,
  which: { carrierId?: string | undefined; region?: string | undefined },
): Promise<Micros | undefined> {
  const { rows } = await sql<{ least: Micros | null }>`
    SELECT min(${RECONCILED_THROUGH}) AS least FROM carrier c LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    WHERE ${which.carrierId === undefined ? sql`true` : sql`c.carrier_id = ${which.carrierId}`}
      AND ${which.region === undefined ? sql`true` : sql`c.region = ${which.region}`}`.execute(tx);
  return rows[0]?.least ?? undefined;
}

// Before a carrier was onboarded it had no records.
const RECONCILED_THROUGH = sql`GREATEST(p.reconciled_through, c.create_time)`;

async function readPending(tx: Tx, carrierId: string): Promise<ReconciliationStatus["pending"]> {
  const { rows } = await sql<{ reason: number; calls: bigint; oldest: Micros }>`
    SELECT r.pending_reason AS reason, count(*) AS calls, min(r.start_time) AS oldest FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND r.status = ${DiscrepancyStatus.PENDING} AND NOT r.is_merged
    GROUP BY r.pending_reason ORDER BY r.pending_reason`.execute(tx);
  return rows;
}

function statusOf(
  row: StatusRow,
  pending: ReconciliationStatus["pending"],
): Omit<ReconciliationStatus, "rejudgedFrom"> {
  return {
    cdrSequence: row.cdr_sequence,
    cdrHead: row.cdr_head,
    lastCdrTime: row.last_cdr_time ?? undefined,
    durationSequence: row.duration_sequence,
    durationHead: row.duration_head,
    lastDurationTime: row.last_duration_time ?? undefined,
    discrepancyHead: row.discrepancy_head,
    reconciledThrough: row.reconciled_through,
    pending,
    unresolved: row.unresolved,
    quarantined: row.quarantined,
    setAside: row.aside_first === null ? undefined : { minutes: row.aside_minutes, first: row.aside_first },
  };
}
