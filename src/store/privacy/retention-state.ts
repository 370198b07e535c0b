import { sql } from "kysely";
import { ALL_FEEDS, type FeedId } from "../../domain/feed-id.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { instant, readRow, run, type Tx } from "../database/run.ts";
import { ENTRY_TABLES } from "../feeds/feed-position.ts";

// How far retention has come with a carrier. In system transactions.

/** The arrival before which each part goes, and the day before which keys go. */
export interface Cutoffs {
  readonly call: Micros;
  readonly quality: Micros;
  readonly network: Micros;
  readonly duration: Micros;
  /** Changes of numbers before this. */
  readonly numberHistory: Micros;
  readonly logs: Micros;
  readonly keysFrom: string;
}

/** What is gone or going, whatever policies say now. */
export interface RetentionState extends Omit<Cutoffs, "numberHistory" | "logs"> {
  readonly holdGeneration: bigint;
  readonly verdictSequence: bigint;
}

/** Reads how far retention has come with a carrier, and begins it. */
export async function readRetentionState(tx: Tx, carrierId: string): Promise<RetentionState> {
  await run(tx)`INSERT INTO retention_state (carrier_id) VALUES (${carrierId}) ON CONFLICT DO NOTHING`;
  const row = await readRow(tx)<RetentionState>`
    SELECT call_before AS call, quality_before AS quality, network_before AS network, duration_before AS duration, keys_from,
      hold_generation, verdict_sequence
    FROM retention_state WHERE carrier_id = ${carrierId}`;
  if (!row) throw new Error(`retention has not begun with carrier ${carrierId}`);
  return row;
}

/**
 * The first sequence of a feed that arrived at or after an instant, not below the floor. Found by
 * halving, since ingest times never fall along a feed and durations have no index by time.
 */
export async function findSequenceAt(tx: Tx, carrierId: string, feed: FeedId, time: Micros): Promise<bigint> {
  const head = await readRow(tx)<{ earliestSequence: bigint; nextSequence: bigint }>`
    SELECT earliest_sequence, next_sequence FROM feed_head WHERE carrier_id = ${carrierId} AND feed = ${feed}`;
  if (!head) throw new Error(`carrier ${carrierId} has no feed ${feed}`);
  let low = head.earliestSequence;
  let high = head.nextSequence;
  while (low < high) {
    const middle = (low + high) / 2n;
    const found = await readRow(tx)<{ ingestTime: Micros }>`
      SELECT ingest_time FROM ${sql.table(ENTRY_TABLES[feed])} WHERE carrier_id = ${carrierId} AND sequence = ${middle} LIMIT 1`;
    // A missing entry was lost by a restore: it keeps nothing.
    if (found && found.ingestTime >= time) high = middle;
    else low = middle + 1n;
  }
  return low;
}

/** A hold was made since records were last copied: what it keeps must be copied first. */
export class HoldsChanged extends Error {
  override readonly name = "HoldsChanged";
}

export type Floors = Readonly<Record<FeedId, bigint>>;

/**
 * Raises a carrier's floors and notes which parts go: from then on no reader sees them. Nothing
 * goes back.
 * @throws HoldsChanged when a hold was made meanwhile; then nothing may be committed.
 */
export async function raiseFloors(
  tx: Tx,
  carrierId: string,
  floors: Floors,
  cutoffs: Cutoffs,
  holdGeneration: bigint,
): Promise<void> {
  for (const feed of ALL_FEEDS) {
    await run(tx)`
      UPDATE feed_head SET earliest_sequence = LEAST(next_sequence, ${floors[feed]}::int8)
      WHERE carrier_id = ${carrierId} AND feed = ${feed} AND earliest_sequence < ${floors[feed]}`;
  }
  const later = (column: string, time: Micros) =>
    sql`${sql.ref(column)} = GREATEST(${sql.ref(column)}, ${instant(time)})`;
  const { count } = await run(tx)`
    UPDATE retention_state SET ${later("call_before", cutoffs.call)}, ${later("quality_before", cutoffs.quality)},
      ${later("network_before", cutoffs.network)}, ${later("duration_before", cutoffs.duration)},
      keys_from = GREATEST(keys_from, ${cutoffs.keysFrom}::date)
    WHERE carrier_id = ${carrierId} AND hold_generation = ${holdGeneration}`;
  if (count !== 1) throw new HoldsChanged(carrierId);
}
