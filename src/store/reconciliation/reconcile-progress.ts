import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { isOfRegion } from "../carriers/carriers.ts";
import { textArray, timestamptzArray } from "../database/binary-array.ts";
import { clockFrom } from "../database/clock-from.ts";
import { readInOrder, run, type Tx } from "../database/run.ts";

/** How far a carrier's feeds have been looked at. */
export interface ReconcilePosition {
  /** Every record up to there is judged. */
  cdrSequence: bigint;
  durationSequence: bigint;
  /** What every record up to there touches is marked. */
  markedCdrSequence: bigint;
  markedDurationSequence: bigint;
  cdrEpoch: bigint;
  durationEpoch: bigint;
  agreementRevision: bigint;
  ruleVersion: number;
  /** Every record whose ingest time is before this is judged. */
  reconciledThrough: Micros;
  /**
   * Every record whose ingest time is before this is marked; undefined once what was marked then is
   * worked off.
   */
  markedThrough: Micros | undefined;
}

/**
 * How often marks may follow from each other: a mark that a record or time makes is of round 0, one
 * that is made by working off a mark is of the round after it. Minutes of a later round are set
 * aside, and taken again when further records come or an operator says so.
 */
export const MOST_ROUNDS = 64;

/** Where a carrier stands; undefined when it was never looked at. */
export async function readReconcilePosition(tx: Tx, carrierId: string): Promise<ReconcilePosition | undefined> {
  const { rows } = await run(tx, tx.selectFrom("reconcile_position").selectAll().where("carrier_id", "=", carrierId));
  return rows[0];
}

/** Moves a carrier's position. */
export async function writeReconcilePosition(tx: Tx, carrierId: string, position: ReconcilePosition): Promise<void> {
  const values = {
    cdr_sequence: position.cdrSequence,
    duration_sequence: position.durationSequence,
    marked_cdr_sequence: position.markedCdrSequence,
    marked_duration_sequence: position.markedDurationSequence,
    cdr_epoch: position.cdrEpoch,
    duration_epoch: position.durationEpoch,
    agreement_revision: position.agreementRevision,
    rule_version: position.ruleVersion,
    reconciled_through: isoFromMicros(position.reconciledThrough),
    marked_through: position.markedThrough === undefined ? null : isoFromMicros(position.markedThrough),
  };
  const insert = tx
    .insertInto("reconcile_position")
    .values({ carrier_id: carrierId, ...values, update_time: sql<string>`clock_timestamp()` })
    .onConflict((conflict) =>
      conflict
        .column("carrier_id")
        .doUpdateSet({ ...values, update_time: clockFrom("reconcile_position.update_time") }),
    );
  await run(tx, insert);
}

/**
 * Marks minutes to be matched anew, in a round; one that is marked in an earlier round already
 * stays in it.
 */
export async function markMinutes(tx: Tx, carrierId: string, minutes: Iterable<Micros>, round = 0): Promise<void> {
  const wanted = [...new Set(minutes)].sort((left, right) => (left < right ? -1 : 1));
  if (wanted.length === 0) return;
  await run(tx)`
    INSERT INTO reconcile_minute AS r (carrier_id, minute, round)
    SELECT c.carrier_id, m.minute, ${round}::int2 FROM carrier c CROSS JOIN unnest(${timestamptzArray(wanted)}::timestamptz[]) AS m(minute)
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, minute) DO UPDATE SET round = EXCLUDED.round WHERE r.round > EXCLUDED.round`;
}

/** Marks the minutes of every call of the carrier: something changed that all of them depend on. */
export async function markEveryMinute(tx: Tx, carrierId: string): Promise<void> {
  await run(tx)`
    INSERT INTO reconcile_minute AS r (carrier_id, minute)
    SELECT carrier_id, date_trunc('minute', start_time) FROM call_result WHERE carrier_id = ${carrierId}
    UNION SELECT carrier_id, date_trunc('minute', clock_time) FROM call_result WHERE carrier_id = ${carrierId} AND clock_time IS NOT NULL
    ON CONFLICT (carrier_id, minute) DO UPDATE SET round = 0 WHERE r.round > 0`;
}

/**
 * Marks the minutes of calls that time alone changes by now; at most `limit` calls.
 * @returns of how many.
 */
export async function markDueMinutes(tx: Tx, carrierId: string, now: Micros, limit: number): Promise<number> {
  await readInOrder(tx);
  const { rows } = await run(tx)<{ count: number }>`
    WITH due AS MATERIALIZED (
      SELECT start_time FROM call_result
      WHERE carrier_id = ${carrierId} AND due_time <= ${isoFromMicros(now)}::timestamptz ORDER BY due_time LIMIT ${limit}
    ), marked AS (
      INSERT INTO reconcile_minute AS r (carrier_id, minute) SELECT DISTINCT ${carrierId}, date_trunc('minute', start_time) FROM due
      ON CONFLICT (carrier_id, minute) DO UPDATE SET round = 0 WHERE r.round > 0
    )
    SELECT count(*)::int4 AS count FROM due`;
  return rows[0]?.count ?? 0;
}

/** Marked minutes of one round. */
export interface MarkedMinutes {
  readonly round: number;
  readonly minutes: readonly Micros[];
}

/**
 * Of the earliest round, up to the last that is not set aside, the marked minutes from the first
 * on, up to so many minutes after it; undefined: none.
 */
export async function readMarkedMinutes(
  tx: Tx,
  carrierId: string,
  { spanMinutes, mostRounds }: { spanMinutes: number; mostRounds: number },
): Promise<MarkedMinutes | undefined> {
  const { rows } = await run(tx)<{ minute: Micros; round: number }>`
    SELECT m.minute, m.round FROM (
      SELECT f.minute, f.round FROM reconcile_minute f WHERE f.carrier_id = ${carrierId} AND f.round <= ${mostRounds}::int2
      ORDER BY f.round, f.minute LIMIT 1) f
    JOIN reconcile_minute m ON m.carrier_id = ${carrierId} AND m.round = f.round
      AND m.minute >= f.minute AND m.minute < f.minute + make_interval(mins => ${spanMinutes}::int4)
    ORDER BY m.minute`;
  const [first] = rows;
  return first && { round: first.round, minutes: rows.map((row) => row.minute) };
}

/** Whether any minute is marked that is not set aside. */
export async function isAnyMinuteMarked(tx: Tx, carrierId: string, mostRounds: number): Promise<boolean> {
  const { rows } = await run(tx)`
    SELECT 1 FROM reconcile_minute WHERE carrier_id = ${carrierId} AND round <= ${mostRounds}::int2 LIMIT 1`;
  return rows.length > 0;
}

/**
 * Takes up again the minutes that are set aside.
 * @returns how many.
 */
export async function takeUpMinutes(tx: Tx, carrierId: string, mostRounds = MOST_ROUNDS): Promise<number> {
  const { count } = await run(tx)`
    UPDATE reconcile_minute SET round = 0 WHERE carrier_id = ${carrierId} AND round > ${mostRounds}::int2`;
  return count;
}

/** Carriers, of one region or of all, that have minutes set aside; at most `limit`, by id. */
export async function listSetAside(
  tx: Tx,
  limit: number,
  region?: string,
  mostRounds = MOST_ROUNDS,
): Promise<string[]> {
  const { rows } = await run(tx)<{ carrierId: string }>`
    SELECT c.carrier_id FROM carrier c
    WHERE EXISTS (SELECT 1 FROM reconcile_minute m WHERE m.carrier_id = c.carrier_id AND m.round > ${mostRounds}::int2)
      AND ${isOfRegion(sql`c.carrier_id`, region)} ORDER BY c.carrier_id LIMIT ${limit}`;
  return rows.map((row) => row.carrierId);
}

/** Forgets marks that have been worked off. */
export async function clearMinutes(tx: Tx, carrierId: string, minutes: readonly Micros[]): Promise<void> {
  await run(tx)`
    DELETE FROM reconcile_minute WHERE carrier_id = ${carrierId} AND minute = ANY(${timestamptzArray(minutes)}::timestamptz[])`;
}

/**
 * Whether there is something to do for a carrier `c` at position `p`: it was never looked at,
 * entries beyond its position or fewer than there were, another agreement, newer rules, marked
 * minutes that are not set aside, the last of them worked off but not said so, calls that are due.
 * Rules only when they are newer, so that processes of two versions do not take turns.
 */
const hasWork = (ruleVersion: number) => sql`(
  p.carrier_id IS NULL OR p.marked_cdr_sequence <> cdrs.next_sequence - 1 OR p.marked_duration_sequence <> durations.next_sequence - 1
  OR p.marked_through IS NOT NULL OR p.agreement_revision <> c.revision OR p.rule_version < ${ruleVersion}
  OR EXISTS (SELECT 1 FROM reconcile_minute m WHERE m.carrier_id = c.carrier_id AND m.round <= ${sql.lit(MOST_ROUNDS)})
  OR EXISTS (SELECT 1 FROM call_result r WHERE r.carrier_id = c.carrier_id AND r.due_time <= clock_timestamp()))`;
const HEADS = sql`
  JOIN feed_head cdrs ON cdrs.carrier_id = c.carrier_id AND cdrs.feed = 2
  JOIN feed_head durations ON durations.carrier_id = c.carrier_id AND durations.feed = 4`;

/**
 * Carriers, of one region or of all but some, for which there is something to do: first those that
 * were never reconciled, then those that wait longest.
 */
export async function listCarriersToReconcile(
  tx: Tx,
  ruleVersion: number,
  limit: number,
  { region, except = [] }: { region?: string | undefined; except?: readonly string[] } = {},
): Promise<string[]> {
  const { rows } = await run(tx)<{ carrierId: string }>`
    SELECT c.carrier_id FROM carrier c ${HEADS} LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    WHERE ${hasWork(ruleVersion)} AND ${isOfRegion(sql`c.carrier_id`, region)} AND c.carrier_id <> ALL(${textArray(except)}::text[])
    ORDER BY p.reconciled_through NULLS FIRST, c.carrier_id LIMIT ${limit}`;
  return rows.map((row) => row.carrierId);
}

/**
 * Says of the carriers for which there is nothing to do that they are reconciled through now, where
 * that was last said so long ago, seconds.
 */
export async function settleIdleCarriers(tx: Tx, ruleVersion: number, ageS: number): Promise<void> {
  // A feed that a writer holds may get an entry of before now(); one that is raised under its lock
  // gets none any more.
  await run(tx)`
    WITH idle AS (
      SELECT p.carrier_id, now() AS time FROM reconcile_position p JOIN carrier c ON c.carrier_id = p.carrier_id ${HEADS}
      WHERE p.reconciled_through < now() - make_interval(secs => ${ageS}) AND p.cdr_sequence = cdrs.next_sequence - 1
        AND p.duration_sequence = durations.next_sequence - 1 AND NOT ${hasWork(ruleVersion)}
      FOR UPDATE OF p, cdrs, durations SKIP LOCKED
    ), raised AS (
      UPDATE feed_head h SET last_ingest_time = GREATEST(h.last_ingest_time, idle.time) FROM idle WHERE h.carrier_id = idle.carrier_id AND h.feed IN (2, 4)
    )
    UPDATE reconcile_position p SET reconciled_through = idle.time, update_time = ${clockFrom("p.update_time")} FROM idle WHERE p.carrier_id = idle.carrier_id`;
}
