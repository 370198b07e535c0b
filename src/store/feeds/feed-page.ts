import { type RawBuilder, sql } from "kysely";
import type { FeedId } from "../../domain/feed-id.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { readRows, type Tx } from "../database/run.ts";
import { type FeedHead, HEAD_COLUMNS, noteHead } from "./feed-head.ts";
import { ENTRY_TABLES, readEntryIngestTime } from "./feed-position.ts";

/** Most entries that one page of a feed looks at when a filter leaves out most of them. */
const SCAN_LIMIT = 20_000n;
/**
 * A page ends with the entry that exceeds this, bytes: well below the 4 MiB that gRPC clients take
 * by default, also with the rest of its message.
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

/** Which page of a feed is read. */
export interface PageRequest {
  readonly carrierId: string;
  readonly after: FeedPoint;
  /** The last sequence that is wanted. Undefined: the newest. */
  readonly until: bigint | undefined;
  /** Most entries. */
  readonly limit: number;
}

/** How the entries of one feed are read. */
export interface EntryReading<Row, Entry> {
  readonly feed: FeedId;
  /** Whether a filter leaves entries out: then more of them are looked at. */
  readonly isFiltered: boolean;
  /**
   * The query for the entries of (after, end] that match, at most the limit. They come one a row
   * with their `sequence`, or all in one row, by sequence.
   */
  readonly entriesIn: (after: bigint, end: bigint) => RawBuilder<unknown>;
  /** The entries of a row. */
  readonly entriesOf: (row: Row) => readonly Entry[];
  /** Whether all entries come in one row. Default: no. */
  readonly isOneRow?: boolean;
  readonly bytesOf: (entry: Entry) => number;
}

/**
 * Reads the matching entries after a point, and the feed's ends, in one statement: so a reader
 * below the floor is told so, and does not just get fewer.
 */
export async function readFeedPage<Row, Entry extends { readonly sequence: bigint; readonly ingestTime: Micros }>(
  tx: Tx,
  request: PageRequest,
  reading: EntryReading<Row, Entry>,
): Promise<StoredPage<Entry>> {
  const { carrierId, until, limit } = request;
  const { feed, isFiltered, entriesIn, entriesOf, isOneRow = false } = reading;
  const after = request.after.sequence;
  const scanEnd = after + (isFiltered ? SCAN_LIMIT : BigInt(limit));
  const end = until !== undefined && until < scanEnd ? until : scanEnd;
  const rows = await readRows(tx)<FeedHead & { isSameHistory: boolean; sequence: bigint | undefined }>`
    SELECT ${HEAD_COLUMNS}, ${isSameHistory(carrierId, feed, request.after)} AS is_same_history, p.*
    FROM feed_head h LEFT JOIN LATERAL (${entriesIn(after, end)}) p ON true
    WHERE h.carrier_id = ${carrierId} AND h.feed = ${feed}
    ${isOneRow ? sql`` : sql`ORDER BY p.sequence`}`;
  const [first] = rows;
  if (!first) throw new Error(`carrier ${carrierId} has no feed ${feed}`);
  const { epoch, earliestSequence, headSequence, lastIngestTime, payloadGeneration, lostSince } = first;
  const head = { epoch, earliestSequence, headSequence, lastIngestTime, payloadGeneration, lostSince };
  noteHead(tx, carrierId, feed, head);
  const entryRows = isOneRow ? rows : rows.filter(({ sequence }) => sequence !== undefined);
  const found = entryRows.flatMap((row) => entriesOf(row as unknown as Row));
  const entries = takeBytes(found, reading.bytesOf);
  const isCut = found.length === limit || entries.length < found.length;
  const reach = await reachOf(tx, { carrierId, feed, after, scanned: min(end, headSequence) }, entries.at(-1), isCut);
  return { entries, ...reach, head, isSameHistory: first.isSameHistory };
}

// A database that has lost its newest commits may have written others in their place. So the
// statement that reads a page also looks for the entry before it. The ingest time lets PostgreSQL
// look into one partition. Below the floor, and for an entry that is not known, there is nothing to
// check.
function isSameHistory(carrierId: string, feed: FeedId, { sequence, ingestTime }: FeedPoint): RawBuilder<boolean> {
  if (sequence === 0n || ingestTime === 0n) return sql`true`;
  return sql`(h.earliest_sequence > ${sequence} OR EXISTS (
    SELECT 1 FROM ${sql.table(ENTRY_TABLES[feed])} b
    WHERE b.carrier_id = ${carrierId} AND b.sequence = ${sequence} AND b.ingest_time = ${isoFromMicros(ingestTime)}::timestamptz))`;
}

// How far a page reaches: to its last entry when it was cut, else as far as it looked.
async function reachOf(
  tx: Tx,
  { carrierId, feed, after, scanned }: { carrierId: string; feed: FeedId; after: bigint; scanned: bigint },
  last: { readonly sequence: bigint; readonly ingestTime: Micros } | undefined,
  isCut: boolean,
): Promise<Pick<StoredPage<never>, "throughSequence" | "throughIngestTime">> {
  let throughSequence = after;
  if (isCut && last) throughSequence = last.sequence;
  else if (scanned > after) throughSequence = scanned;
  if (last?.sequence === throughSequence) return { throughSequence, throughIngestTime: last.ingestTime };
  if (throughSequence === after) return { throughSequence, throughIngestTime: 0n };
  // Only a filtered page can end with an entry that it does not hold.
  const throughIngestTime = (await readEntryIngestTime(tx, carrierId, feed, throughSequence)) ?? 0n;
  return { throughSequence, throughIngestTime };
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
