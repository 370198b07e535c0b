import { type RawBuilder, sql } from "kysely";
import type { FeedId } from "../../domain/feed-id.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { Tx } from "../database/run.ts";
import { type FeedHead, noteHead } from "./feed-head.ts";
import { ENTRY_TABLES, readEntryIngestTime } from "./feed-position.ts";

/** Most entries that one page of a feed looks at, when a filter leaves out most of them. */
export const SCAN_LIMIT = 20_000n;
/**
 * A page ends with the entry that passes this, bytes: well below the 4 MiB that gRPC clients take
 * by default, also with what its message adds.
 */
const PAGE_BYTES = 2_097_152;

/** Where a reader stands: the last entry that it was sent. */
export interface FeedPoint {
  readonly sequence: bigint;
  /**
   * The entry's ingest time, by which rewritten history is recognised; 0 when the entry is not
   * known.
   */
  readonly ingestTime: Micros;
}

/** A run of a feed's entries, and its ends as the same statement saw them. */
export interface StoredPage<Entry> {
  /** Every matching entry up to throughSequence. */
  readonly entries: Entry[];
  readonly throughSequence: bigint;
  /** Of the entry at throughSequence; 0 when the page reaches no further than where it began. */
  readonly throughIngestTime: Micros;
  readonly head: FeedHead;
  /** Whether the entry that the page follows is still the one that the reader was sent. */
  readonly isSameHistory: boolean;
}

/** The columns that tell a feed's ends in the statement that reads its entries. */
export interface HeadColumns {
  epoch: bigint;
  earliestSequence: bigint;
  headSequence: bigint;
  lastIngestTime: Micros;
  payloadGeneration: bigint;
  lostSince: Micros | undefined;
  isSameHistory: boolean;
}

/** What a page's statement selects of the feed `h` beside its entries. */
export function headColumns(carrierId: string, feed: FeedId, after: FeedPoint): RawBuilder<unknown> {
  return sql`h.epoch, h.earliest_sequence, h.next_sequence - 1 AS head_sequence, h.last_ingest_time, h.payload_generation, h.lost_since,
    ${isSameHistory(carrierId, feed, after)} AS is_same_history`;
}

// A database that has lost its newest commits may have written others in their place, without a
// word. So the very statement that reads a page asks for the entry before it. The ingest time lets
// PostgreSQL look into one partition. Below the floor, and of an entry that is not known, there is
// nothing to prove.
function isSameHistory(carrierId: string, feed: FeedId, { sequence, ingestTime }: FeedPoint): RawBuilder<boolean> {
  if (sequence === 0n || ingestTime === 0n) return sql`true`;
  return sql`(h.earliest_sequence > ${sequence} OR EXISTS (
    SELECT 1 FROM ${sql.table(ENTRY_TABLES[feed])} b
    WHERE b.carrier_id = ${carrierId} AND b.sequence = ${sequence} AND b.ingest_time = ${isoFromMicros(ingestTime)}::timestamptz))`;
}

function headOfRow(row: HeadColumns): FeedHead {
  return {
    epoch: row.epoch,
    earliestSequence: row.earliestSequence,
    headSequence: row.headSequence,
    lastIngestTime: row.lastIngestTime,
    payloadGeneration: row.payloadGeneration,
    lostSince: row.lostSince,
  };
}

/**
 * Makes a page of the entries that were found in (after, end], at most `limit`: as many as the
 * limit of bytes lets, and how far they reach.
 */
export async function makePage<Entry extends { readonly sequence: bigint; readonly ingestTime: Micros }>(
  tx: Tx,
  read: { carrierId: string; feed: FeedId; after: bigint; end: bigint; limit: number },
  found: { entries: Entry[]; first: HeadColumns; bytesOf: (entry: Entry) => number },
): Promise<StoredPage<Entry>> {
  const head = headOfRow(found.first);
  noteHead(tx, read.carrierId, read.feed, head);
  const entries = takeBytes(found.entries, found.bytesOf);
  const scanned = min(read.end, head.headSequence);
  const last = entries.at(-1);
  const isCut = found.entries.length === read.limit || entries.length < found.entries.length;
  let throughSequence = read.after;
  if (isCut && last) throughSequence = last.sequence;
  else if (scanned > read.after) throughSequence = scanned;
  let throughIngestTime = last?.sequence === throughSequence ? last.ingestTime : 0n;
  // Only a filtered page can end with an entry that it does not hold.
  if (last?.sequence !== throughSequence && throughSequence > read.after)
    throughIngestTime = (await readEntryIngestTime(tx, read.carrierId, read.feed, throughSequence)) ?? 0n;
  return { entries, throughSequence, throughIngestTime, head, isSameHistory: found.first.isSameHistory };
}

// The entries up to the one that passes the limit; at least one.
function takeBytes<Entry>(entries: Entry[], bytesOf: (entry: Entry) => number): Entry[] {
  let bytes = 0;
  const end = entries.findIndex((entry) => {
    bytes += bytesOf(entry);
    return bytes > PAGE_BYTES;
  });
  return end < 0 ? entries : entries.slice(0, end + 1);
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
