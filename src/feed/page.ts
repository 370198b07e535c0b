import type { FeedHead } from "../store/feeds/feed-head.ts";

/** A run of entries, read with the feed's ends in one statement. */
export interface FeedPage<Batch> {
  /** Every matching entry of (after, through] is in `batch`. */
  throughSequence: bigint;
  /** The ingest time of the entry at throughSequence; 0 when the page is empty. */
  throughIngestTime: bigint;
  batch: Batch;
  head: FeedHead;
  /** Whether the entry that the page follows is still the one that the reader was sent. */
  isSameHistory: boolean;
}
