import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { DURATION } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { readRow, readRows, readValue, type Tx } from "../database/run.ts";
import { readDaysOf } from "../zone-days/zone-days.ts";
import { MOST_ROUNDS } from "./reconcile-progress.ts";

/** How far a carrier is reconciled, in the contract's names. Sequence 0: none. */
interface StatusRow {
  readonly cdrSequence: bigint;
  readonly cdrHeadSequence: bigint;
  readonly lastCdrTime: Micros | undefined;
  readonly durationSequence: bigint;
  readonly durationHeadSequence: bigint;
  readonly lastDurationTime: Micros | undefined;
  readonly discrepancyHeadSequence: bigint;
  readonly reconciledThrough: Micros;
  readonly unresolvedDiscrepancyCount: bigint;
  readonly quarantinedDurationCount: bigint;
  /** The earliest minute that is judged again; undefined: only new records are judged. */
  readonly rejudgedFrom: Micros | undefined;
  /** Minutes that are set aside, and the first of them. */
  readonly asideMinutes: bigint;
  readonly asideFirst: Micros | undefined;
}

/** With the day from which calls are judged again, in the carrier's time zone, and what waits. */
export interface ReconciliationStatus extends Omit<StatusRow, "rejudgedFrom"> {
  readonly rejudgedFromDate: string | undefined;
  readonly pending: readonly { readonly reason: number; readonly calls: bigint; readonly oldest: Micros }[];
}

/** Reads how far a carrier is reconciled. In a system transaction. */
export async function readReconciliationStatus(
  tx: Tx,
  carrier: { carrierId: string; timeZone: string; graceMs: bigint },
): Promise<ReconciliationStatus | undefined> {
  const { carrierId, timeZone, graceMs } = carrier;
  const head = (feed: FeedId) =>
    sql`(SELECT next_sequence - 1 FROM feed_head h WHERE h.carrier_id = ${carrierId} AND h.feed = ${feed})`;
  // Readers raise the feed's own last ingest time too.
  const newest = (table: "cdr_record" | "duration_record") =>
    sql`(SELECT ingest_time FROM ${sql.table(table)} r WHERE r.carrier_id = ${carrierId} ORDER BY sequence DESC LIMIT 1)`;
  const found = await readRow(tx)<StatusRow>`
    SELECT COALESCE(p.cdr_sequence, 0) AS cdr_sequence, ${head(FeedId.CDRS)} AS cdr_head_sequence, ${newest("cdr_record")} AS last_cdr_time,
      COALESCE(p.duration_sequence, 0) AS duration_sequence, ${head(FeedId.DURATIONS)} AS duration_head_sequence,
      ${newest("duration_record")} AS last_duration_time,
      ${head(FeedId.DISCREPANCIES)} AS discrepancy_head_sequence, ${RECONCILED_THROUGH} AS reconciled_through,
      (SELECT count(*) FROM call_result r WHERE r.carrier_id = ${carrierId} AND r.sequence IS NOT NULL AND r.resolved_time IS NULL)
        AS unresolved_discrepancy_count,
      (SELECT count(*) FROM quarantine q WHERE q.carrier_id = ${carrierId} AND q.kind = ${DURATION.upload}) AS quarantined_duration_count,
      (SELECT min(m.minute) FROM reconcile_minute m WHERE m.carrier_id = ${carrierId}
        AND m.round <= ${MOST_ROUNDS}::int2
        AND m.minute < now() - interval '1 day' - ${`${graceMs} milliseconds`}::interval) AS rejudged_from,
      aside.minutes AS aside_minutes, aside.first AS aside_first
    FROM carrier c LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    CROSS JOIN LATERAL (SELECT count(*) AS minutes, min(m.minute) AS first FROM reconcile_minute m
      WHERE m.carrier_id = ${carrierId} AND m.round > ${MOST_ROUNDS}::int2) aside
    WHERE c.carrier_id = ${carrierId}`;
  if (!found) return undefined;
  const { rejudgedFrom: from, ...row } = found;
  const rejudgedFromDate = from === undefined ? undefined : (await readDaysOf(tx, timeZone, [from])).dayOf(from);
  return { ...row, rejudgedFromDate, pending: await readPending(tx, carrierId) };
}

/** The time up to which all records of these carriers are judged; undefined: no carrier. */
export function readReconciledThrough(
  tx: Tx,
  which: { carrierId?: string | undefined; region?: string | undefined },
): Promise<Micros | undefined> {
  return readValue(tx)<Micros | undefined>`
    SELECT min(${RECONCILED_THROUGH}) AS least FROM carrier c LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    WHERE ${which.carrierId === undefined ? sql`true` : sql`c.carrier_id = ${which.carrierId}`}
      AND ${which.region === undefined ? sql`true` : sql`c.region = ${which.region}`}`;
}

// Before a carrier was onboarded it had no records.
const RECONCILED_THROUGH = sql`GREATEST(p.reconciled_through, c.create_time)`;

function readPending(tx: Tx, carrierId: string): Promise<ReconciliationStatus["pending"]> {
  return readRows(tx)<{ reason: number; calls: bigint; oldest: Micros }>`
    SELECT r.pending_reason AS reason, count(*) AS calls, min(r.start_time) AS oldest FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND r.status = ${DiscrepancyStatus.PENDING} AND NOT r.is_merged
    GROUP BY r.pending_reason ORDER BY r.pending_reason`;
}
