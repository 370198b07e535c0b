import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { isOfRegion } from "../carriers/carriers.ts";
import { textArray, timestamptzArray } from "../database/binary-array.ts";
import { clockFrom } from "../database/clock-from.ts";
import { instant, readColumn, readInOrder, readRow, readRows, readValue, run, type Tx } from "../database/run.ts";
import { hasSumWork } from "../usage/sum-upkeep.ts";
import { type TimeRange, unnestRanges } from "./reconcile-input.ts";

/** How far a carrier's feeds are read. */
export interface ReconcilePosition {
  /** Judged up to here. */
  cdrSequence: bigint;
  durationSequence: bigint;
  /** Marked up to here. */
  markedCdrSequence: bigint;
  markedDurationSequence: bigint;
  cdrEpoch: bigint;
  durationEpoch: bigint;
  agreementRevision: bigint;
  ruleVersion: number;
  /** Records committed before this are judged. */
  reconciledThrough: Micros;
  /** Records committed before this are marked; undefined: the marks are worked off. */
  markedThrough: Micros | undefined;
}

/**
 * Most rounds. A record or the time marks in round 0; working off a mark marks in the next round.
 * Minutes of later rounds are set aside until records come or an operator takes them up.
 */
export const MOST_ROUNDS = 64;

/** Undefined: it was never reconciled. */
export function readReconcilePosition(tx: Tx, carrierId: string): Promise<ReconcilePosition | undefined> {
  return readRow(tx)<ReconcilePosition>`SELECT * FROM reconcile_position WHERE carrier_id = ${carrierId}`;
}

export async function writeReconcilePosition(tx: Tx, carrierId: string, position: ReconcilePosition): Promise<void> {
  const { reconciledThrough, markedThrough } = position;
  const sequences = [position.cdrSequence, position.durationSequence];
  const marked = [position.markedCdrSequence, position.markedDurationSequence];
  const rules = [position.cdrEpoch, position.durationEpoch, position.agreementRevision, position.ruleVersion];
  await run(tx)`
    INSERT INTO reconcile_position AS p (carrier_id, update_time, ${sql.raw(POSITION.join())})
    VALUES (${carrierId}, clock_timestamp(), ${sql.join([...sequences, ...marked, ...rules])}, ${instant(reconciledThrough)}, ${instant(markedThrough)})
    ON CONFLICT (carrier_id) DO UPDATE SET ${sql.raw(POSITION.map((name) => `${name} = EXCLUDED.${name}`).join())},
      update_time = ${clockFrom("p.update_time")}`;
}

const POSITION = [
  ...["cdr_sequence", "duration_sequence", "marked_cdr_sequence", "marked_duration_sequence"],
  ...["cdr_epoch", "duration_epoch", "agreement_revision", "rule_version", "reconciled_through", "marked_through"],
];

/** Marks minutes to be matched. A minute marked in an earlier round keeps that round. */
export async function markMinutes(tx: Tx, carrierId: string, minutes: Iterable<Micros>, round = 0): Promise<void> {
  const wanted = [...new Set(minutes)].sort((left, right) => (left < right ? -1 : 1));
  if (wanted.length === 0) return;
  await run(tx)`
    INSERT INTO reconcile_minute AS r (carrier_id, minute, round)
    SELECT c.carrier_id, m.minute, ${round}::int2 FROM carrier c CROSS JOIN unnest(${timestamptzArray(wanted)}::timestamptz[]) AS m(minute)
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, minute) DO UPDATE SET round = EXCLUDED.round WHERE r.round > EXCLUDED.round`;
}

/** Marks the minutes of all calls, after a change that all depend on. */
export async function markEveryMinute(tx: Tx, carrierId: string): Promise<void> {
  await run(tx)`
    INSERT INTO reconcile_minute AS r (carrier_id, minute)
    SELECT carrier_id, date_trunc('minute', start_time) FROM call_result WHERE carrier_id = ${carrierId}
    UNION SELECT carrier_id, date_trunc('minute', clock_time) FROM call_result WHERE carrier_id = ${carrierId} AND clock_time IS NOT NULL
    ON CONFLICT (carrier_id, minute) DO UPDATE SET round = 0 WHERE r.round > 0`;
}

/** Marks the minutes of calls that are due; at most `limit` calls. Returns how many. */
export async function markDueMinutes(tx: Tx, carrierId: string, now: Micros, limit: number): Promise<number> {
  await readInOrder(tx);
  return readValue(tx)<number>`
    WITH due AS MATERIALIZED (
      SELECT start_time FROM call_result
      WHERE carrier_id = ${carrierId} AND due_time <= ${isoFromMicros(now)}::timestamptz ORDER BY due_time LIMIT ${limit}
    ), marked AS (
      INSERT INTO reconcile_minute AS r (carrier_id, minute) SELECT DISTINCT ${carrierId}, date_trunc('minute', start_time) FROM due
      ON CONFLICT (carrier_id, minute) DO UPDATE SET round = 0 WHERE r.round > 0
    )
    SELECT count(*)::int4 AS count FROM due`;
}

export interface MarkedMinutes {
  readonly round: number;
  readonly minutes: readonly Micros[];
}

/** Most marked minutes of one turn. */
const MOST_MINUTES = 120;

export interface MinuteSearch {
  /** How far after the first one. */
  readonly spanMinutes: number;
  readonly mostRounds: number;
  /** Where no minute may lie. */
  readonly except?: readonly TimeRange[];
  /** Only once all minutes are marked, and by these rules. */
  readonly markedBy?: number | undefined;
}

/**
 * Reads marked minutes of the earliest round that is not set aside: the first, and those up to
 * `spanMinutes` after it, 120 at most. Undefined: none.
 */
export async function readMarkedMinutes(
  tx: Tx,
  carrierId: string,
  { spanMinutes, mostRounds, except = [], markedBy }: MinuteSearch,
): Promise<MarkedMinutes | undefined> {
  const isFree = (minute: string) =>
    sql`NOT EXISTS (SELECT 1 FROM ${unnestRanges(except)} WHERE ${sql.ref(minute)} >= w.range_start AND ${sql.ref(minute)} < w.range_end)`;
  const isAllMarked =
    markedBy === undefined
      ? sql`true`
      : sql`EXISTS (SELECT 1 FROM reconcile_position p
          WHERE p.carrier_id = ${carrierId} AND p.marked_through IS NOT NULL AND p.rule_version = ${markedBy})`;
  const rows = await readRows(tx)<{ minute: Micros; round: number }>`
    SELECT m.minute, m.round FROM (
      SELECT f.minute, f.round FROM reconcile_minute f
      WHERE f.carrier_id = ${carrierId} AND f.round <= ${mostRounds}::int2 AND ${isFree("f.minute")} AND ${isAllMarked}
      ORDER BY f.round, f.minute LIMIT 1) f
    JOIN reconcile_minute m ON m.carrier_id = ${carrierId} AND m.round = f.round
      AND m.minute >= f.minute AND m.minute < f.minute + make_interval(mins => ${spanMinutes}::int4) AND ${isFree("m.minute")}
    ORDER BY m.minute`;
  const [first] = rows;
  return first && { round: first.round, minutes: rows.slice(0, MOST_MINUTES).map((row) => row.minute) };
}

export async function isAnyMinuteMarked(tx: Tx, carrierId: string, mostRounds: number): Promise<boolean> {
  const rows = await readRows(tx)`
    SELECT 1 FROM reconcile_minute WHERE carrier_id = ${carrierId} AND round <= ${mostRounds}::int2 LIMIT 1`;
  return rows.length > 0;
}

/** Takes up the minutes that are set aside. Returns how many. */
export async function takeUpMinutes(tx: Tx, carrierId: string, mostRounds = MOST_ROUNDS): Promise<number> {
  const { count } = await run(tx)`
    UPDATE reconcile_minute SET round = 0 WHERE carrier_id = ${carrierId} AND round > ${mostRounds}::int2`;
  return count;
}

/** Carriers of a region, or all, with minutes set aside; by id. */
export function listSetAside(tx: Tx, limit: number, region?: string, mostRounds = MOST_ROUNDS): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT c.carrier_id FROM carrier c
    WHERE EXISTS (SELECT 1 FROM reconcile_minute m WHERE m.carrier_id = c.carrier_id AND m.round > ${mostRounds}::int2)
      AND ${isOfRegion(sql`c.carrier_id`, region)} ORDER BY c.carrier_id LIMIT ${limit}`;
}

export async function clearMinutes(tx: Tx, carrierId: string, minutes: readonly Micros[]): Promise<void> {
  await run(tx)`
    DELETE FROM reconcile_minute WHERE carrier_id = ${carrierId} AND minute = ANY(${timestamptzArray(minutes)}::timestamptz[])`;
}

/**
 * Whether carrier `c` at position `p` has work: it was never reconciled, its feeds grew or shrank,
 * the agreement changed, the rules are newer (not older, or two versions would take turns), minutes
 * are marked, marks are not settled, or calls are due.
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
 * Carriers of a region, or all, that have work: those never reconciled first, then those that wait
 * longest.
 */
export function listCarriersToReconcile(
  tx: Tx,
  ruleVersion: number,
  limit: number,
  { region, except = [] }: { region?: string | undefined; except?: readonly string[] } = {},
): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT c.carrier_id FROM carrier c ${HEADS} LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    WHERE (${hasWork(ruleVersion)} OR ${hasSumWork(sql`c.carrier_id`)}) AND ${isOfRegion(sql`c.carrier_id`, region)} AND c.carrier_id <> ALL(${textArray(except)}::text[])
    ORDER BY p.reconciled_through NULLS FIRST, c.carrier_id LIMIT ${limit}`;
}

/**
 * How long nothing has to be done of carriers without work, unless something is written: until a
 * call of a region, or of all, is due; and until a time is older than `ageS` seconds. Milliseconds,
 * `ageS` at most; 0 or less: it is so.
 */
export async function readIdleRest(
  tx: Tx,
  ageS: number,
  region?: string,
): Promise<{ untilDueMs: number; untilIdleMs: number }> {
  const rest = await readRow(tx)<{ untilDueMs: number; untilIdleMs: number }>`
    SELECT LEAST(${ageS}::float8, EXTRACT(EPOCH FROM min(due.due_time) FILTER (WHERE ${isOfRegion(sql`c.carrier_id`, region)}) - clock_timestamp())::float8) * 1000 AS until_due_ms,
      LEAST(${ageS}::float8, EXTRACT(EPOCH FROM min(p.reconciled_through) - clock_timestamp())::float8 + ${ageS}::float8) * 1000 AS until_idle_ms
    FROM carrier c LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    LEFT JOIN LATERAL (SELECT r.due_time FROM call_result r WHERE r.carrier_id = c.carrier_id AND r.due_time IS NOT NULL ORDER BY r.due_time LIMIT 1) due ON true`;
  return rest ?? { untilDueMs: 0, untilIdleMs: 0 };
}

/** Moves the time of carriers without work to now, if it is older than `ageS` seconds. */
export async function settleIdleCarriers(tx: Tx, ruleVersion: number, ageS: number): Promise<void> {
  // A feed that a writer holds may get an older entry. One that is raised under its lock may not.
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
