import { ALL_FEEDS, type FeedId } from "../../domain/feed-id.ts";
import type { Micros } from "../../domain/time/instant.ts";

/** Where a feed stands, and on which timeline of the server. */
export interface SeenHead {
  readonly epoch: bigint;
  readonly headSequence: bigint;
  readonly lastIngestTime: Micros;
  readonly timeline: bigint;
}

/** The last committed head of a feed that this process saw. */
export interface SeenFeed extends SeenHead {
  readonly carrierId: string;
  readonly feed: FeedId;
}

/** What a found head says of the history that was seen. */
export type HeadJudgement =
  /** The same history goes on, or nothing can be told. */
  | "goes on"
  /** A server that took over lacks entries that were seen committed. */
  | "stepped back"
  /** The server is one whose history ended when another took over. */
  | "of an older server";

/**
 * Judges a head that a transaction found against what was seen committed. Only a transaction that
 * holds the feed's row by UPDATE can tell for sure; any other may look at a past moment.
 * @param seen undefined: this feed was not seen before.
 * @param newest the newest timeline that was met.
 */
export function judgeHead(seen: SeenHead | undefined, found: SeenHead, newest: bigint): HeadJudgement {
  if (found.timeline < newest || (seen && found.timeline < seen.timeline)) return "of an older server";
  return seen && isBefore(found, seen) && found.timeline > seen.timeline ? "stepped back" : "goes on";
}

function isBefore(found: SeenHead, seen: SeenHead): boolean {
  if (found.epoch !== seen.epoch) return found.epoch < seen.epoch;
  return found.headSequence < seen.headSequence;
}

/** Most feeds that are remembered; beyond it, the first one is forgotten. */
const MAX_FEEDS = 200_000;

/**
 * What this process saw committed, feed by feed. After a failover the server may lack some of it.
 */
export class SeenHeads {
  /** The newest timeline that was met. While it is unknown, nothing is remembered. */
  timeline: bigint | undefined;
  /** Told when a transaction was refused because of its feed's head. */
  onRefused: (() => void) | undefined;
  readonly #maxFeeds: number;
  readonly #feeds = new Map<string, SeenFeed>();

  constructor(maxFeeds = MAX_FEEDS) {
    this.#maxFeeds = maxFeeds;
  }

  find(carrierId: string, feed: FeedId): SeenFeed | undefined {
    return this.#feeds.get(keyOf(carrierId, feed));
  }

  /** Remembers a head that somebody polled, unless more is known: an answer may be late. */
  note(carrierId: string, feed: FeedId, head: SeenHead): void {
    const known = this.find(carrierId, feed);
    if (known && (head.timeline < known.timeline || isBefore(head, known))) return;
    this.believe(carrierId, feed, head);
  }

  /** Remembers what a transaction found that held the feed's row, even less than was seen. */
  believe(carrierId: string, feed: FeedId, { epoch, headSequence, lastIngestTime, timeline }: SeenHead): void {
    this.#feeds.set(keyOf(carrierId, feed), { carrierId, feed, epoch, headSequence, lastIngestTime, timeline });
    const [oldest] = this.#feeds.keys();
    if (this.#feeds.size > this.#maxFeeds && oldest !== undefined) this.#feeds.delete(oldest);
  }

  /** Remembers that a transaction which held the feed's row has committed up to a sequence. */
  advance(carrierId: string, feed: FeedId, timeline: bigint, headSequence: bigint): void {
    const known = this.find(carrierId, feed);
    if (known && known.timeline === timeline && headSequence > known.headSequence)
      this.#feeds.set(keyOf(carrierId, feed), { ...known, headSequence });
  }

  forget(carrierId: string): void {
    for (const feed of ALL_FEEDS) this.#feeds.delete(keyOf(carrierId, feed));
  }

  /** The feeds that were last seen on an earlier timeline. */
  seenBefore(timeline: bigint): SeenFeed[] {
    return [...this.#feeds.values()].filter((seen) => seen.timeline < timeline);
  }
}

function keyOf(carrierId: string, feed: FeedId): string {
  return `${feed}:${carrierId}`;
}
