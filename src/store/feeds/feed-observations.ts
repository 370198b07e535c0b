import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { instant, readRows, readValue, type Tx, together } from "../database/run.ts";
import { ENTRY_TABLES } from "./feed-position.ts";

// What an operator watches of every carrier at once. In a system transaction.

/** The feeds of records. */
export type RecordFeed = typeof FeedId.CDRS | typeof FeedId.DURATIONS;

/** How far a carrier's feed of records has come, and how far it is reconciled. */
export interface ObservedFeed {
  readonly carrierId: string;
  readonly feed: RecordFeed;
  readonly epoch: bigint;
  /** 0: it never had an entry. */
  readonly headSequence: bigint;
  readonly reconciledSequence: bigint;
  /** Up to when all records of the carrier are judged. */
  readonly reconciledThrough: Micros;
}

/** Reads every carrier's feeds of records, of one region or of all. */
export function readObservedFeeds(tx: Tx, region: string | undefined): Promise<ObservedFeed[]> {
  return readRows(tx)<ObservedFeed>`
    SELECT h.carrier_id, h.feed, h.epoch, h.next_sequence - 1 AS head_sequence,
      COALESCE(CASE h.feed WHEN ${FeedId.CDRS} THEN p.cdr_sequence ELSE p.duration_sequence END, 0) AS reconciled_sequence,
      GREATEST(p.reconciled_through, c.create_time) AS reconciled_through
    FROM carrier c JOIN feed_head h ON h.carrier_id = c.carrier_id AND h.feed IN (${FeedId.CDRS}, ${FeedId.DURATIONS})
    LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    WHERE ${region === undefined ? sql`true` : sql`c.region = ${region}`}`;
}

/** An entry of which the ingest time is asked. */
export interface SoughtEntry {
  readonly carrierId: string;
  readonly sequence: bigint;
  /** It is not older than this: only the partitions since then are looked at. */
  readonly since: Micros;
}

/** The ingest times of entries of one feed, by carrier; at most one for each. */
export async function readIngestTimes(
  tx: Tx,
  feed: RecordFeed,
  entries: readonly SoughtEntry[],
): Promise<ReadonlyMap<string, Micros>> {
  const found = await together(entries.map((entry) => readIngestTime(tx, feed, entry)));
  return new Map(
    entries.flatMap(({ carrierId }, index) => {
      const time = found[index];
      return time === undefined ? [] : [[carrierId, time] as const];
    }),
  );
}

// One carrier a statement: on a cluster, each is one server's.
function readIngestTime(tx: Tx, feed: RecordFeed, { carrierId, sequence, since }: SoughtEntry) {
  return readValue(tx)<Micros | undefined>`
    SELECT ingest_time FROM ${sql.table(ENTRY_TABLES[feed])}
    WHERE carrier_id = ${carrierId} AND sequence >= ${sequence} AND sequence <= ${sequence} AND ingest_time >= ${instant(since)}
    ORDER BY sequence LIMIT 1`;
}

/** How far a named consumer of CDRs is behind. */
export interface ConsumerLag {
  readonly carrierId: string;
  readonly consumer: string;
  readonly committedSequence: bigint;
  readonly lagRecords: bigint;
}

/** Reads the consumers that are the furthest behind, of one region or of all. */
export function readConsumerLags(tx: Tx, region: string | undefined, limit: number): Promise<ConsumerLag[]> {
  return readRows(tx)<ConsumerLag>`
    SELECT c.carrier_id, c.consumer, c.committed_sequence,
      GREATEST(h.next_sequence - 1 - c.committed_sequence, 0) AS lag_records
    FROM cdr_consumer c JOIN carrier k ON k.carrier_id = c.carrier_id
    JOIN feed_head h ON h.carrier_id = c.carrier_id AND h.feed = ${FeedId.CDRS}
    WHERE ${region === undefined ? sql`true` : sql`k.region = ${region}`}
    ORDER BY lag_records DESC LIMIT ${limit}`;
}

/** When the oldest entries were ingested that consumers have not committed, in their order. */
export function readOldestPending(tx: Tx, consumers: readonly ConsumerLag[]): Promise<(Micros | undefined)[]> {
  return together(consumers.map((consumer) => readPending(tx, consumer)));
}

function readPending(tx: Tx, { carrierId, committedSequence }: ConsumerLag): Promise<Micros | undefined> {
  return readValue(tx)<Micros | undefined>`
    SELECT ingest_time FROM cdr_record WHERE carrier_id = ${carrierId} AND sequence > ${committedSequence}
    ORDER BY sequence LIMIT 1`;
}
