import { TandemError } from "../domain/errors.ts";
import type { FeedId } from "../domain/feed-id.ts";
import type { Seals } from "../domain/seals.ts";
import { isoFromMicros, type Micros } from "../domain/time/instant.ts";
import { carrierTransaction, type Database } from "../store/database/database.ts";
import type { Tx } from "../store/database/run.ts";
import { type FeedHead, raiseIngestTime, readFeedHead } from "../store/feeds/feed-head.ts";
import { findFirstEntrySince, readEntryIngestTime } from "../store/feeds/feed-position.ts";
import { assertFilter, type Cursor, type CursorScope, encodeCursor, type OpenedCursor, openCursor } from "./cursor.ts";

/** A start as the client gave it; a named consumer has been turned into its cursor before. */
export type FeedStart =
  | { at: "cursor"; cursor: string }
  | { at: "earliest" }
  | { at: "latest" }
  | { at: "ingest_time"; ingestTime: Micros }
  /** With the current rows, and then what changes from the head on. */
  | { at: "snapshot" };

/** An end as the client gave it. */
export type FeedEnd = { at: "cursor"; cursor: string } | { at: "ingest_time"; ingestTime: Micros } | { at: "head" };

/** Where a feed is read: which carrier's, and how its cursors are sealed. */
export interface FeedPlace {
  db: Database;
  seals: Seals;
  carrierId: string;
  feed: FeedId;
  filter: bigint;
}

/**
 * Finds the position to start after. Throws the CURSOR_ reasons, FEED_EPOCH_CHANGED,
 * INGEST_TIME_IN_FUTURE.
 */
export async function resolveStart(place: FeedPlace, start: FeedStart): Promise<{ position: Cursor; head: FeedHead }> {
  const cursor = start.at === "cursor" ? await openOwnCursor(place, start.cursor) : undefined;
  if (start.at === "ingest_time") await waitForWriters(place, start.ingestTime);
  return carrierTransaction(place.db, place.carrierId, async (tx) => {
    const head = await readFeedHead(tx, place.carrierId, place.feed);
    const at = (sequence: bigint) => positionAt(tx, place, head, sequence);
    switch (start.at) {
      case "cursor":
        return { position: await checkCursor(tx, place, head, cursor ?? "key gone"), head };
      case "earliest":
        return { position: { epoch: head.epoch, sequence: head.earliestSequence - 1n, ingestTime: 0n }, head };
      case "latest":
        return { position: await at(head.headSequence), head };
      case "snapshot":
        return { position: { ...(await at(head.headSequence)), snapshot: { afterKey: "", rowCount: 0 } }, head };
      case "ingest_time":
        return { position: await at(await sequenceBefore(tx, place, head, start.ingestTime)), head };
      default:
        return start satisfies never;
    }
  });
}

/** Finds the sequence to end with, inclusive. */
export async function resolveEnd(place: FeedPlace, end: FeedEnd): Promise<bigint> {
  const cursor = end.at === "cursor" ? await openOwnCursor(place, end.cursor) : undefined;
  if (end.at === "ingest_time") await waitForWriters(place, end.ingestTime);
  return carrierTransaction(place.db, place.carrierId, async (tx) => {
    const head = await readFeedHead(tx, place.carrierId, place.feed);
    switch (end.at) {
      case "cursor":
        return (await checkHistory(tx, place, head, cursor ?? "key gone")).sequence;
      case "head":
        return head.headSequence;
      case "ingest_time":
        return sequenceBefore(tx, place, head, end.ingestTime);
      default:
        return end satisfies never;
    }
  });
}

/** The cursor's text for a position. */
export function cursorText(place: FeedPlace, position: Cursor): string {
  return encodeCursor(place.seals, scopeOf(place), position);
}

/**
 * Opens a cursor that was made with the place's filter. Before the transaction that reads the feed:
 * it may ask the database for a key.
 * @throws TandemError CURSOR_MALFORMED, CURSOR_FILTER_MISMATCH.
 */
export async function openOwnCursor(place: FeedPlace, text: string): Promise<OpenedCursor> {
  const opened = await openCursor(place.seals, place, text);
  assertFilter(opened, place.filter);
  return opened;
}

/**
 * Holds an opened cursor against the feed as it is. Its key may be gone, which is long after its
 * entries may be; entries after it may have expired, and history may have been rewritten by a
 * restore, which shows as another epoch, another entry at its place, or a head below it.
 */
export async function checkCursor(tx: Tx, place: FeedPlace, head: FeedHead, opened: OpenedCursor): Promise<Cursor> {
  const cursor = await checkHistory(tx, place, head, opened);
  if (cursor.sequence < head.earliestSequence - 1n) throw cursorExpired(head);
  return cursor;
}

/** The error of a position below the floor. */
export function cursorExpired(head: FeedHead): TandemError {
  const earliest = String(head.earliestSequence);
  return new TandemError("CURSOR_EXPIRED", `entries after the cursor are no longer kept. The earliest is ${earliest}`, {
    earliest_sequence: earliest,
  });
}

/** The error of a position in another history. */
export function epochChanged(head: FeedHead): TandemError {
  return new TandemError(
    "FEED_EPOCH_CHANGED",
    "a restore or a failover changed the feed's history: start again from an ingest time before it, and upsert by identity and revision",
    {
      feed_epoch: String(head.epoch),
      ...(head.lostSince === undefined ? {} : { lost_since: isoFromMicros(head.lostSince) }),
    },
  );
}

function scopeOf(place: FeedPlace): CursorScope {
  return { carrierId: place.carrierId, feed: place.feed, filter: place.filter };
}

async function checkHistory(tx: Tx, place: FeedPlace, head: FeedHead, opened: OpenedCursor): Promise<Cursor> {
  if (opened === "key gone") throw cursorExpired(head);
  const { cursor } = opened;
  if (cursor.epoch !== head.epoch || cursor.sequence > head.headSequence) throw epochChanged(head);
  if (cursor.ingestTime !== 0n && cursor.sequence >= head.earliestSequence) {
    const found = await readEntryIngestTime(tx, place.carrierId, place.feed, cursor.sequence);
    if (found !== cursor.ingestTime) throw epochChanged(head);
  }
  return cursor;
}

// In a transaction of its own: only once it has committed can no writer add an entry before the
// instant.
async function waitForWriters(place: FeedPlace, instant: Micros): Promise<void> {
  await carrierTransaction(place.db, place.carrierId, (tx) =>
    raiseIngestTime(tx, place.carrierId, place.feed, instant),
  );
}

async function sequenceBefore(tx: Tx, place: FeedPlace, head: FeedHead, instant: Micros): Promise<bigint> {
  const first = await findFirstEntrySince(tx, place.carrierId, place.feed, instant);
  if (first === undefined || first > head.headSequence) return head.headSequence;
  // Below the floor entries may still be stored, until retention has deleted them.
  return first < head.earliestSequence ? head.earliestSequence - 1n : first - 1n;
}

async function positionAt(tx: Tx, place: FeedPlace, head: FeedHead, sequence: bigint): Promise<Cursor> {
  const ingestTime =
    sequence >= head.earliestSequence
      ? await readEntryIngestTime(tx, place.carrierId, place.feed, sequence)
      : undefined;
  return { epoch: head.epoch, sequence, ingestTime: ingestTime ?? 0n };
}
