import { sql } from "kysely";
import { ALL_FEEDS, type FeedId } from "../../domain/feed-id.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { Tx } from "../database/database.ts";
import { ENTRY_TABLES } from "../feeds/feed-position.ts";

// How far retention has come with a carrier. In system transactions.

/** Before which arrival each part of a carrier's records goes, and before which day their keys. */
export interface Cutoffs {
  readonly call: Micros;
  readonly quality: Micros;
  readonly network: Micros;
  readonly duration: Micros;
  /** What changed numbers before this. */
  readonly numberHistory: Micros;
  readonly logs: Micros;
  readonly keysFrom: string;
}

/** How far retention has come: what is gone or going, whatever policies say now. */
export interface RetentionState extends Omit<Cutoffs, "numberHistory" | "logs"> {
  readonly holdGeneration: bigint;
  readonly verdictSequence: bigint;
}

/** Reads how far retention has come with a carrier, and begins it. */
export async function readRetentionState(tx: Tx, carrierId: string): Promise<RetentionState> {
  await sql`INSERT INTO retention_state (carrier_id) VALUES (${carrierId}) ON CONFLICT DO NOTHING`.execute(tx);
  const row = await tx
    .selectFrom("retention_state")
    .selectAll()
    .where("carrier_id", "=", carrierId)
    .executeTakeFirstOrThrow();
  return {
    call: row.call_before,
    quality: row.quality_before,
    network: row.network_before,
    duration: row.duration_before,
    keysFrom: row.keys_from,
    holdGeneration: row.hold_generation,
    verdictSequence: row.verdict_sequence,
  };
}

/**
 * The first sequence of a feed that arrived at or after an instant, not below the floor. Ingest
 * times never fall along a feed, so it is found by halving: durations have no index by time, which
 * every upload would have to pay for.
 */
export async function findSequenceAt(tx: Tx, carrierId: string, feed: FeedId, instant: Micros): Promise<bigint> {
  const head = await tx
    .selectFrom("feed_head")
    .select(["earliest_sequence", "next_sequence"])
    .where("carrier_id", "=", carrierId)
    .where("feed", "=", feed)
    .executeTakeFirstOrThrow();
  let low = head.earliest_sequence;
  let high = head.next_sequence;
  while (low < high) {
    const middle = (low + high) / 2n;
    const { rows } = await sql<{ ingest_time: Micros }>`
      SELECT ingest_time FROM ${sql.table(ENTRY_TABLES[feed])} WHERE carrier_id = ${carrierId} AND sequence = ${middle} LIMIT 1`.execute(
      tx,
    );
    const found = rows[0];
    // An entry that is not there is one that a restore lost: it keeps nothing.
    if (found && found.ingest_time >= instant) high = middle;
    else low = middle + 1n;
  }
  return low;
}

/**
 * A hold was made since its records were last copied: what it keeps has to be copied before
 * anything goes.
 */
export class HoldsChanged extends Error {
  override readonly name = "HoldsChanged";
}

/** Each feed's new floor. */
export type Floors = Readonly<Record<FeedId, bigint>>;

/**
 * Raises a carrier's floors and writes down before when its parts go: from then on they are gone
 * for every reader. Nothing goes back.
 * @throws HoldsChanged, and nothing may be committed, when a hold was made meanwhile.
 */
export async function raiseFloors(
  tx: Tx,
  carrierId: string,
  floors: Floors,
  cutoffs: Cutoffs,
  holdGeneration: bigint,
): Promise<void> {
  for (const feed of ALL_FEEDS) {
    await tx
      .updateTable("feed_head")
      .set({ earliest_sequence: sql<bigint>`LEAST(next_sequence, ${floors[feed]}::int8)` })
      .where("carrier_id", "=", carrierId)
      .where("feed", "=", feed)
      .where("earliest_sequence", "<", floors[feed])
      .execute();
  }
  const later = (column: string, instant: Micros) =>
    sql<string>`GREATEST(${sql.ref(column)}, ${isoFromMicros(instant)}::timestamptz)`;
  const { numUpdatedRows } = await tx
    .updateTable("retention_state")
    .set({
      call_before: later("call_before", cutoffs.call),
      quality_before: later("quality_before", cutoffs.quality),
      network_before: later("network_before", cutoffs.network),
      duration_before: later("duration_before", cutoffs.duration),
      keys_from: sql<string>`GREATEST(keys_from, ${cutoffs.keysFrom}::date)`,
    })
    .where("carrier_id", "=", carrierId)
    .where("hold_generation", "=", holdGeneration)
    .executeTakeFirst();
  if (numUpdatedRows !== 1n) throw new HoldsChanged(carrierId);
}
