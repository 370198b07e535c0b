import { sql } from "kysely";
import { noCarrier, TandemError } from "../../domain/errors.ts";
import { ALL_FEEDS, type FeedId } from "../../domain/feed-id.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { clockFrom } from "../database/clock-from.ts";
import { onCommit, seenHeadsOf } from "../database/database.ts";
import { instant, readClock, readRow, readRows, readValue, run, type Tx } from "../database/run.ts";
import { judgeHead } from "../database/seen-heads.ts";

/**
 * What a writer knows while it holds a feed's counter row: nobody else can take a sequence before
 * it commits.
 */
export interface FeedLock {
  epoch: bigint;
  /** The sequence that the next entry takes. */
  nextSequence: bigint;
  /** The ingest time of every entry of this transaction; never before that of an earlier entry. */
  ingestTime: Micros;
  /** Changes when erasures have come, or have gone on. */
  payloadGeneration: bigint;
}

/** A feed's ends, as one statement saw them. */
export interface FeedHead {
  epoch: bigint;
  /** The oldest entry that is kept; headSequence + 1 when none is. */
  earliestSequence: bigint;
  /** The newest entry; 0 when there has been none. */
  headSequence: bigint;
  lastIngestTime: Micros;
  payloadGeneration: bigint;
  /**
   * What was acknowledged since then may be lost, by a restore or a failover; undefined: nothing is
   * known to be.
   */
  lostSince: Micros | undefined;
}

/**
 * How far the feed's last ingest time may be ahead of the database's clock before writes are
 * refused, seconds.
 */
export const MAX_CLOCK_STEP_BACK_S = 60;

/** Makes the counter rows of a new carrier: every feed at its first epoch, with no entry. */
export async function createFeeds(tx: Tx, carrierId: string): Promise<void> {
  await run(tx)`
    INSERT INTO feed_head (carrier_id, feed, epoch, next_sequence, earliest_sequence, last_ingest_time, payload_generation)
    SELECT c.carrier_id, f.feed, 1, 1, 1, 'epoch', 0 FROM carrier c CROSS JOIN unnest(${ALL_FEEDS}::int2[]) AS f(feed)
    WHERE c.carrier_id = ${carrierId}`;
}

/**
 * Takes the feed's counter row until the transaction ends. Because the lock is held to commit,
 * whoever sees entry n+1 sees n. The ingest time is set under the lock and never goes back; when
 * the database's clock has stepped back by more than a minute, writes are refused rather than
 * stamped with a time that is far ahead, unless an operator has accepted that time.
 */
export async function lockFeed(tx: Tx, carrierId: string, feed: FeedId): Promise<FeedLock> {
  const clock = clockFrom("last_ingest_time");
  const row = await readRow(tx)<FeedLock & { clockIsBehind: boolean }>`
    UPDATE feed_head SET last_ingest_time = GREATEST(${clock}, last_ingest_time) WHERE carrier_id = ${carrierId} AND feed = ${feed}
    RETURNING epoch, next_sequence, last_ingest_time AS ingest_time, payload_generation,
      last_ingest_time > ${clock} + make_interval(secs => ${sql.lit(MAX_CLOCK_STEP_BACK_S)})
        AND (accepted_ingest_time IS NULL OR last_ingest_time > accepted_ingest_time) AS clock_is_behind`;
  if (!row) throw noCarrier(carrierId);
  const { clockIsBehind, ...lock } = row;
  if (clockIsBehind) {
    throw new TandemError(
      "STORE_UNAVAILABLE",
      "the database's clock is more than 60 s behind the feed's newest entry: writes wait until it catches up or an operator accepts it (`tandem clock`)",
    );
  }
  refuseSteppedBack(tx, carrierId, feed, lock);
  return lock;
}

const REFUSALS = {
  "stepped back":
    "the database has failed over and lacks entries of this feed: writes wait until its new epoch has begun",
  "of an older server":
    "a database answers whose history ended when another took over: writes wait until it is gone (if it is the right one, restart Tandem)",
};

// The row is locked, so it shows what is committed. If that is less than this process saw committed
// on an earlier timeline, a failover has lost entries. Their sequences must not be taken before a
// new epoch has begun: readers of the lost ones would take the new for them. What is written to an
// older server would be lost at once.
function refuseSteppedBack(tx: Tx, carrierId: string, feed: FeedId, lock: FeedLock): void {
  const { heads, timeline } = seenHeadsOf(tx) ?? {};
  if (!heads?.timeline || timeline === undefined) return;
  const found = {
    epoch: lock.epoch,
    headSequence: lock.nextSequence - 1n,
    lastIngestTime: lock.ingestTime,
    timeline,
  };
  const judgement = judgeHead(heads.find(carrierId, feed), found, heads.timeline);
  if (judgement !== "goes on") {
    heads.onRefused?.();
    throw new TandemError("STORE_UNAVAILABLE", REFUSALS[judgement]);
  }
  heads.believe(carrierId, feed, found);
}

/** Remembers the head that a reader was shown, so that its loss by a failover is noticed. */
export function noteHead(tx: Tx, carrierId: string, feed: FeedId, head: FeedHead): void {
  const { heads, timeline } = seenHeadsOf(tx) ?? {};
  if (heads && timeline !== undefined) heads.note(carrierId, feed, { ...head, timeline });
}

/** Moves the counter of a feed that this transaction has locked. */
export async function advanceFeed(tx: Tx, carrierId: string, feed: FeedId, nextSequence: bigint): Promise<void> {
  const seen = seenHeadsOf(tx);
  if (seen) onCommit(tx, () => seen.heads.advance(carrierId, feed, seen.timeline, nextSequence - 1n));
  await run(tx)`
    UPDATE feed_head SET next_sequence = ${nextSequence} WHERE carrier_id = ${carrierId} AND feed = ${feed}`;
}

/** The columns of a FeedHead, of the table `h`. */
export const HEAD_COLUMNS = sql`
  h.epoch, h.earliest_sequence, h.next_sequence - 1 AS head_sequence, h.last_ingest_time, h.payload_generation, h.lost_since`;

/** Reads a feed's ends. */
export async function readFeedHead(tx: Tx, carrierId: string, feed: FeedId): Promise<FeedHead> {
  const row = await readRow(tx)<FeedHead>`
    SELECT ${HEAD_COLUMNS} FROM feed_head h WHERE h.carrier_id = ${carrierId} AND h.feed = ${feed}`;
  if (!row) throw noCarrier(carrierId);
  return row;
}

/**
 * Raises the feed's last ingest time to an instant, which waits for the writer in flight: once this
 * has committed, no entry can be added before that instant, so that a window that ends there is
 * complete. Refuses an instant in the database's future.
 */
export async function raiseIngestTime(tx: Tx, carrierId: string, feed: FeedId, time: Micros): Promise<void> {
  const now = await readClock(tx);
  if (time > now) {
    throw new TandemError("INGEST_TIME_IN_FUTURE", "ingest_time is in the future", {
      field: "ingest_time",
      server_time: isoFromMicros(now),
    });
  }
  await run(tx)`
    UPDATE feed_head SET last_ingest_time = ${instant(time)}
    WHERE carrier_id = ${carrierId} AND feed = ${feed} AND last_ingest_time < ${instant(time)}`;
}

/**
 * Since when what a carrier was acknowledged may be lost: for its newest loss, the earliest of its
 * feeds. Undefined: nothing is known to be lost.
 */
export function readLostSince(tx: Tx, carrierId: string): Promise<Micros | undefined> {
  return readValue(tx)<Micros | undefined>`
    SELECT min(lost_since) AS lost_since FROM feed_head WHERE carrier_id = ${carrierId} AND lost_since IS NOT NULL
    GROUP BY COALESCE(lost_timeline, 0) ORDER BY COALESCE(lost_timeline, 0) DESC LIMIT 1`;
}

/** One feed's ends, and whose it is. */
export interface PolledHead extends FeedHead {
  carrierId: string;
  feed: number;
}

/** Every feed's ends for these carriers, in one query: what a process with live streams polls. */
export function pollFeedHeads(tx: Tx, carrierIds: readonly string[]): Promise<PolledHead[]> {
  return readRows(tx)<PolledHead>`
    SELECT h.carrier_id, h.feed, ${HEAD_COLUMNS} FROM feed_head h WHERE h.carrier_id = ANY(${carrierIds}::text[])`;
}
