import { sql } from "kysely";
import { PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { dateArray, textArray, timestamptzArray } from "../database/binary-array.ts";
import { insertAll, run, type Tx } from "../database/run.ts";
import type { TimeRange } from "./reconcile-input.ts";

/** How many pairs say what, by bucket. */
export type Votes = Record<string, number>;

/** What the pairs of a trunk and UTC hour of the carrier's clock say of its offset. */
export interface ClockVotes {
  trunkId: string;
  hour: Micros;
  votes: Votes;
}

/** Reads the votes of the hours that begin within a range. */
export async function readClockVotes(tx: Tx, carrierId: string, range: TimeRange): Promise<ClockVotes[]> {
  const query = tx
    .selectFrom("clock_offset")
    .select(["trunk_id", "hour", "votes"])
    .where("carrier_id", "=", carrierId)
    .where("hour", ">=", sql<Micros>`${isoFromMicros(range.start)}::timestamptz`)
    .where("hour", "<", sql<Micros>`${isoFromMicros(range.end)}::timestamptz`);
  const { rows } = await run(tx, query);
  return rows;
}

/** Writes votes, new or changed. */
export async function writeClockVotes(tx: Tx, carrierId: string, votes: readonly ClockVotes[]): Promise<void> {
  if (votes.length === 0) return;
  const query = sql`
    INSERT INTO clock_offset (carrier_id, trunk_id, hour, votes)
    SELECT c.carrier_id, v.trunk_id, v.hour, v.votes::jsonb
    FROM carrier c CROSS JOIN unnest(${textArray(votes.map(({ trunkId }) => trunkId))}::text[], ${timestamptzArray(votes.map(({ hour }) => hour))}::timestamptz[],
                ${textArray(votes.map((each) => JSON.stringify(each.votes)))}::text[]) AS v(trunk_id, hour, votes)
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, trunk_id, hour) DO UPDATE SET votes = EXCLUDED.votes`;
  await insertAll(tx, query, votes.length);
}

/** What the pairs of a trunk and UTC day of the carrier's clock say of how it rounds. */
export interface RoundingVotes {
  trunkId: string;
  day: string;
  votes: Votes;
}

/** Reads the votes of days, both included. */
export async function readRoundingVotes(
  tx: Tx,
  carrierId: string,
  days: { first: string; last: string },
): Promise<RoundingVotes[]> {
  const query = tx
    .selectFrom("rounding_vote")
    .select(["trunk_id", "day", "votes"])
    .where("carrier_id", "=", carrierId)
    .where("day", ">=", days.first)
    .where("day", "<=", days.last);
  const { rows } = await run(tx, query);
  return rows;
}

/** Writes votes, new or changed. */
export async function writeRoundingVotes(tx: Tx, carrierId: string, votes: readonly RoundingVotes[]): Promise<void> {
  if (votes.length === 0) return;
  const query = sql`
    INSERT INTO rounding_vote (carrier_id, trunk_id, day, votes)
    SELECT c.carrier_id, v.trunk_id, v.day, v.votes::jsonb
    FROM carrier c CROSS JOIN unnest(${textArray(votes.map(({ trunkId }) => trunkId))}::text[], ${dateArray(votes.map(({ day }) => day))}::date[],
                ${textArray(votes.map((each) => JSON.stringify(each.votes)))}::text[]) AS v(trunk_id, day, votes)
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, trunk_id, day) DO UPDATE SET votes = EXCLUDED.votes`;
  await insertAll(tx, query, votes.length);
}

/**
 * The minutes of the pairs that a trunk and day of the carrier's clock has and that another
 * rounding rule judges or explains anew: those that are not equal, and those of which the carrier
 * has a bill alone.
 */
export async function readRoundedMinutes(
  tx: Tx,
  carrierId: string,
  { trunkId, day }: { trunkId: string; day: string },
): Promise<Micros[]> {
  const { rows } = await run(tx)<{ minute: Micros }>`
    SELECT DISTINCT date_trunc('minute', r.start_time) AS minute FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND r.clock_trunk = ${trunkId}
      AND r.clock_time >= ${day}::date::timestamp AT TIME ZONE 'UTC' AND r.clock_time < (${day}::date + 1)::timestamp AT TIME ZONE 'UTC'
      AND r.start_time >= (${day}::date - 1)::timestamp AT TIME ZONE 'UTC' AND r.start_time < (${day}::date + 2)::timestamp AT TIME ZONE 'UTC'
      AND r.side = ${sql.lit(PLATFORM_SIDE)} AND (r.status IN (2, 4) OR (r.status = 1 AND r.carrier_ms IS NULL))`;
  return rows.map((row) => row.minute);
}

/** A trunk and hour of the carrier's clock, and when its calls begin by one of its offsets. */
export interface ClockHour {
  readonly trunkId: string;
  readonly hour: Micros;
  readonly calls: TimeRange;
}

/**
 * The minutes of the results that begin in these hours, and those in which the carrier's clock was
 * when its records of these trunks and hours began.
 */
export async function readClockMinutes(tx: Tx, carrierId: string, hours: readonly ClockHour[]): Promise<Micros[]> {
  if (hours.length === 0) return [];
  const { rows } = await run(tx)<{ minute: Micros }>`
    SELECT DISTINCT m.minute
    FROM unnest(${textArray(hours.map(({ trunkId }) => trunkId))}::text[], ${timestamptzArray(hours.map(({ hour }) => hour))}::timestamptz[],
      ${timestamptzArray(hours.map(({ calls }) => calls.start))}::timestamptz[],
      ${timestamptzArray(hours.map(({ calls }) => calls.end))}::timestamptz[]) AS w(trunk_id, hour, range_start, range_end)
    JOIN call_result r ON r.carrier_id = ${carrierId} AND r.start_time >= w.range_start AND r.start_time < w.range_end
    CROSS JOIN LATERAL (VALUES (date_trunc('minute', r.start_time)),
      (CASE WHEN r.clock_trunk = w.trunk_id AND r.clock_time >= w.hour AND r.clock_time < w.hour + interval '1 hour'
        THEN date_trunc('minute', r.clock_time) END)) AS m(minute)
    WHERE m.minute IS NOT NULL`;
  return rows.map((row) => row.minute);
}
