import { sql } from "kysely";
import { PLATFORM_SIDE } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { inRange, readColumn, readRows, type Tx, unnest } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";
import type { TimeRange } from "./reconcile-input.ts";

/** Number of votes by bucket. */
export type Votes = Record<string, number>;

/** Votes on the clock offset of a trunk and UTC hour of the carrier's clock. */
export interface ClockVotes {
  trunkId: string;
  hour: Micros;
  votes: Votes;
}

export function readClockVotes(tx: Tx, carrierId: string, range: TimeRange): Promise<ClockVotes[]> {
  return readRows(tx)<ClockVotes>`
    SELECT trunk_id, hour, votes FROM clock_offset WHERE carrier_id = ${carrierId} AND ${inRange(sql`hour`, range)}`;
}

export function writeClockVotes(tx: Tx, carrierId: string, votes: readonly ClockVotes[]): Promise<void> {
  const columns = { trunkId: "text", hour: "timestamptz", votes: "text" } as const;
  const table = { table: "clock_offset", carrierId, key: ["trunk_id", "hour"], columns, stored: VOTES };
  return writeRows(tx, table, votes.map(encoded));
}

const VOTES = { votes: sql`r.votes::jsonb` };

function encoded<Of extends { votes: Votes }>(of: Of): Omit<Of, "votes"> & { votes: string } {
  return { ...of, votes: JSON.stringify(of.votes) };
}

/** Votes on the rounding of a trunk and UTC day of the carrier's clock. */
export interface RoundingVotes {
  trunkId: string;
  day: string;
  votes: Votes;
}

/** Reads the votes of days, the last included. */
export function readRoundingVotes(
  tx: Tx,
  carrierId: string,
  days: { first: string; last: string },
): Promise<RoundingVotes[]> {
  return readRows(tx)<RoundingVotes>`
    SELECT trunk_id, day, votes FROM rounding_vote
    WHERE carrier_id = ${carrierId} AND day >= ${days.first}::date AND day <= ${days.last}::date`;
}

export function writeRoundingVotes(tx: Tx, carrierId: string, votes: readonly RoundingVotes[]): Promise<void> {
  const columns = { trunkId: "text", day: "date", votes: "text" } as const;
  const table = { table: "rounding_vote", carrierId, key: ["trunk_id", "day"], columns, stored: VOTES };
  return writeRows(tx, table, votes.map(encoded));
}

/**
 * The minutes of a trunk's pairs on a day that another rounding rule would judge or explain
 * otherwise: unequal pairs, and those that the carrier only billed.
 */
export function readRoundedMinutes(
  tx: Tx,
  carrierId: string,
  { trunkId, day }: { trunkId: string; day: string },
): Promise<Micros[]> {
  return readColumn(tx)<Micros>`
    SELECT DISTINCT date_trunc('minute', r.start_time) AS minute FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND r.clock_trunk = ${trunkId}
      AND r.clock_time >= ${day}::date::timestamp AT TIME ZONE 'UTC' AND r.clock_time < (${day}::date + 1)::timestamp AT TIME ZONE 'UTC'
      AND r.start_time >= (${day}::date - 1)::timestamp AT TIME ZONE 'UTC' AND r.start_time < (${day}::date + 2)::timestamp AT TIME ZONE 'UTC'
      AND r.side = ${sql.lit(PLATFORM_SIDE)} AND (r.status IN (2, 4) OR (r.status = 1 AND r.carrier_ms IS NULL))`;
}

/**
 * The minutes of the results in these hours, by either clock.
 * @param hours an hour of a trunk by the carrier's clock, and when its calls begin by one of its
 *   offsets.
 */
export async function readClockMinutes(
  tx: Tx,
  carrierId: string,
  hours: readonly { trunkId: string; hour: Micros; calls: TimeRange }[],
): Promise<Micros[]> {
  if (hours.length === 0) return [];
  const ranges = hours.map(({ trunkId, hour, calls }) => ({
    trunkId,
    hour,
    rangeStart: calls.start,
    rangeEnd: calls.end,
  }));
  const times = { hour: "timestamptz", rangeStart: "timestamptz", rangeEnd: "timestamptz" } as const;
  return readColumn(tx)<Micros>`
    SELECT DISTINCT m.minute FROM ${unnest("w", ranges, { trunkId: "text", ...times })}
    JOIN call_result r ON r.carrier_id = ${carrierId} AND r.start_time >= w.range_start AND r.start_time < w.range_end
    CROSS JOIN LATERAL (VALUES (date_trunc('minute', r.start_time)),
      (CASE WHEN r.clock_trunk = w.trunk_id AND r.clock_time >= w.hour AND r.clock_time < w.hour + interval '1 hour'
        THEN date_trunc('minute', r.clock_time) END)) AS m(minute)
    WHERE m.minute IS NOT NULL`;
}
