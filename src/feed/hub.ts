import { DeliveryWatch } from "../domain/delivery-watch.ts";
import type { FeedId } from "../domain/feed-id.ts";
import { asOwn } from "../store/database/callers.ts";
import { every } from "../store/database/every.ts";
import type { PolledHead } from "../store/feeds/feed-head.ts";
import { HEAD_BELIEVED_MS, type KnownHead } from "./stream-state.ts";

export interface FeedHubOptions {
  /** Reads the heads of these carriers' feeds in one query. */
  poll: (carrierIds: readonly string[]) => Promise<PolledHead[]>;
  /**
   * Counts how often anything may have been written. As long as it does not change, heads are as
   * they were polled. Default: they are polled each time.
   */
  countChanges?: () => Promise<number>;
  /** How often the heads are polled while anyone waits, milliseconds. Default 200. */
  pollIntervalMs?: number;
  onError?: (error: unknown) => void;
}

/**
 * Wakes the live feed streams of this process. The truth is a poll of feed_head, one query for all
 * carriers that have a stream. `notify` after a commit of this process, and `hear` after one of
 * another, only make it sooner. Losing every hint costs at most one interval.
 */
export class FeedHub implements AsyncDisposable {
  /** What the process's streams have read and not yet sent. */
  readonly deliveries = new DeliveryWatch();
  /** Told of every head that a commit of this process moved, for the other processes. */
  onMoved: ((carrierId: string, feed: FeedId, headSequence: bigint) => void) | undefined;
  readonly #options: FeedHubOptions;
  readonly #feeds = new Map<string, LiveFeed>();
  readonly #stop = new AbortController();
  #polling: Promise<void> | undefined;

  constructor(options: FeedHubOptions) {
    this.#options = options;
  }

  /** How many streams are subscribed. */
  get subscriberCount(): number {
    let count = 0;
    for (const feed of this.#feeds.values()) count += feed.subscribers;
    return count;
  }

  /** Says that a commit has moved a feed's head, so that its streams read at once. */
  notify(carrierId: string, feed: FeedId, headSequence: bigint): void {
    this.hear(carrierId, feed, headSequence);
    this.onMoved?.(carrierId, feed, headSequence);
  }

  /** Takes a hint of another process: its commit has moved a feed's head. */
  hear(carrierId: string, feed: FeedId, headSequence: bigint): void {
    this.#feeds.get(feedKey(carrierId, feed))?.raise(headSequence);
  }

  /** Joins a feed for as long as a stream lives; dispose the subscription when it ends. */
  subscribe(carrierId: string, feed: FeedId): FeedSubscription {
    const key = feedKey(carrierId, feed);
    let live = this.#feeds.get(key);
    if (!live) {
      live = new LiveFeed(carrierId);
      this.#feeds.set(key, live);
    }
    live.subscribers++;
    // A stream starts the poll, and the poll serves them all.
    this.#polling ??= asOwn("hub", () => this.#poll());
    return new FeedSubscription(live, () => {
      if (--live.subscribers === 0) this.#feeds.delete(key);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#polling;
  }

  // One loop for all carriers; it rests while nobody is subscribed, and a database that is away is
  // asked again at the next turn. While nothing is written, it asks one question for all feeds.
  async #poll(): Promise<void> {
    const { signal } = this.#stop;
    const { pollIntervalMs: intervalMs = 200, poll, countChanges } = this.#options;
    let polledAtChanges: number | undefined;
    const onError = (error: unknown) => this.#options.onError?.(error);
    const turns = { intervalMs, firstMs: intervalMs, signal, onError, isOver: () => this.#feeds.size === 0 };
    await every(turns, async () => {
      const askedAt = performance.now();
      const changes = await countChanges?.();
      const feeds = [...this.#feeds.values()];
      if (changes !== undefined && changes === polledAtChanges && feeds.every((feed) => feed.isAsPolled)) {
        for (const feed of feeds) feed.confirm(askedAt);
        return;
      }
      for (const head of await poll([...new Set(feeds.map((feed) => feed.carrierId))])) {
        this.#feeds.get(feedKey(head.carrierId, head.feed))?.observe(head, askedAt);
      }
      polledAtChanges = changes;
    });
    this.#polling = undefined;
    if (!signal.aborted && this.#feeds.size > 0) this.#polling = this.#poll();
  }
}

/** One stream's place at a feed. */
export class FeedSubscription implements Disposable {
  readonly #feed: LiveFeed;
  readonly #leave: () => void;
  #left = false;

  constructor(feed: LiveFeed, leave: () => void) {
    this.#feed = feed;
    this.#leave = leave;
  }

  /**
   * The feed's ends as they were polled, and when the poll was asked. Undefined: the last poll that
   * was answered is older than HEAD_BELIEVED_MS.
   */
  get polledHead(): KnownHead | undefined {
    const { polled } = this.#feed;
    return polled && performance.now() - polled.since <= HEAD_BELIEVED_MS ? polled : undefined;
  }

  /** Whether the head is known to be past a sequence. */
  isPast(sequence: bigint): boolean {
    return this.#feed.head > sequence;
  }

  /** Waits until the head moves, or the signal aborts, or the time is over. */
  async pause(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#feed.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener("abort", done, { once: true });
      this.#feed.waiting.add(done);
    });
  }

  [Symbol.dispose](): void {
    if (this.#left) return;
    this.#left = true;
    this.#leave();
  }
}

class LiveFeed {
  readonly carrierId: string;
  readonly waiting = new Set<() => void>();
  subscribers = 0;
  head = 0n;
  polled: KnownHead | undefined;
  #raisedAt = Number.NEGATIVE_INFINITY;

  constructor(carrierId: string) {
    this.carrierId = carrierId;
  }

  // A poll may be answered without a commit that came while it was asked. One that was asked after
  // the head was raised and says less is right: the commit is lost, or the hint was none.
  observe(head: PolledHead, askedAt: number): void {
    const isRewritten = this.polled !== undefined && this.polled.head.epoch !== head.epoch;
    this.polled = { head, since: askedAt };
    if (isRewritten || (head.headSequence < this.head && askedAt > this.#raisedAt)) this.head = 0n;
    this.raise(head.headSequence);
  }

  /** Whether the head is the one that was polled, and no hint says more. */
  get isAsPolled(): boolean {
    return this.polled !== undefined && this.head <= this.polled.head.headSequence;
  }

  /** The head was still as it had been polled. */
  confirm(askedAt: number): void {
    if (this.polled) this.polled = { head: this.polled.head, since: askedAt };
  }

  raise(headSequence: bigint): void {
    if (headSequence <= this.head) return;
    this.head = headSequence;
    this.#raisedAt = performance.now();
    for (const wake of [...this.waiting]) wake();
  }
}

function feedKey(carrierId: string, feed: number): string {
  return `${feed}:${carrierId}`;
}
