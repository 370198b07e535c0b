import type { Feed } from "./schema.ts";

/** Where a feed stood. */
export interface SeenHead {
  readonly epoch: bigint;
  readonly headSequence: bigint;
}

/** Where this process has seen a feed stand, committed, and on which timeline of the server. */
export interface SeenFeed extends SeenHead {
  readonly carrierId: string;
  readonly feed: Feed;
  readonly timeline: bigint;
}

/** Feeds that are remembered; beyond it the one that was seen first is forgotten. */
const MAX_FEEDS = 200_000;

/**
 * What this process has seen committed, feed by feed. A server that comes after a failover may lack the newest of it: then a head has stepped back.
 * Only a transaction that holds the feed's row by UPDATE can tell that for sure, since any other may look at a moment that is past.
 */
export class SeenHeads {
  /** The newest timeline that was seen; undefined while it is not known, and then nothing is remembered. */
  timeline: bigint | undefined;
  /** Told when a transaction was refused because its feed's head has stepped back. */
  onSteppedBack: (() => void) | undefined;
  readonly #maxFeeds: number;
  readonly #feeds = new Map<string, SeenFeed>();

  constructor(maxFeeds = MAX_FEEDS) {
    this.#maxFeeds = maxFeeds;
  }

  /** Remembers a head that is committed, unless a newer one is known. */
  note(carrierId: string, feed: Feed, { epoch, headSequence }: SeenHead): void {
    const known = this.#feeds.get(keyOf(carrierId, feed));
    if (known && isBefore({ epoch, headSequence }, known)) return;
    this.correct(carrierId, feed, { epoch, headSequence });
  }

  /** Remembers that a transaction which held the feed's row has committed up to a sequence. */
  advance(carrierId: string, feed: Feed, headSequence: bigint): void {
    const key = keyOf(carrierId, feed);
    const known = this.#feeds.get(key);
    if (known && headSequence > known.headSequence) this.#feeds.set(key, { ...known, headSequence });
  }

  /** Believes what a transaction found that held the feed's row, though it is less than was seen. */
  correct(carrierId: string, feed: Feed, { epoch, headSequence }: SeenHead): void {
    if (this.timeline === undefined) return;
    const key = keyOf(carrierId, feed);
    this.#feeds.set(key, { carrierId, feed, epoch, headSequence, timeline: this.timeline });
    if (this.#feeds.size <= this.#maxFeeds) return;
    for (const oldest of this.#feeds.keys()) {
      this.#feeds.delete(oldest);
      break;
    }
  }

  /** What was seen of a feed, if what is found now is before it. */
  beyond(carrierId: string, feed: Feed, found: SeenHead): SeenFeed | undefined {
    const known = this.#feeds.get(keyOf(carrierId, feed));
    return known && isBefore(found, known) ? known : undefined;
  }

  /** The feeds that were last seen on an earlier timeline. */
  seenBefore(timeline: bigint): SeenFeed[] {
    return [...this.#feeds.values()].filter((seen) => seen.timeline < timeline);
  }
}

function isBefore(found: SeenHead, known: SeenHead): boolean {
  if (found.epoch !== known.epoch) return found.epoch < known.epoch;
  return found.headSequence < known.headSequence;
}

function keyOf(carrierId: string, feed: Feed): string {
  return `${feed}:${carrierId}`;
}
