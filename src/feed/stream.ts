import { randomUUID } from "node:crypto";
import { StallWatch, type StreamLife } from "../domain/stream-life.ts";
import { outlivingCall } from "../store/database/callers.ts";
import { carrierTransaction, LIST_PAGE } from "../store/database/database.ts";
import type { FeedHead } from "../store/feeds/feed-head.ts";
import type { FeedPoint, StoredPage } from "../store/feeds/feed-page.ts";
import type { Cursor } from "./cursor.ts";
import type { FeedDisclosure } from "./disclosed-blocks.ts";
import type { FeedFrame, FeedRange, SnapshotPage, StreamedFeed } from "./feed.ts";
import type { FeedHub, FeedSubscription } from "./hub.ts";
import { cursorText, type FeedEnd, type FeedPlace, type FeedStart, resolveEnd, resolveStart } from "./position.ts";
import type { SharedPages } from "./shared-pages.ts";
import {
  type KnownHead,
  openStream,
  type StreamEffect,
  type StreamEvent,
  type StreamState,
  stepStream,
} from "./stream-state.ts";

export interface StreamFeedOptions<Entry, Row> {
  place: FeedPlace;
  hub: FeedHub;
  feed: StreamedFeed<Entry, Row, unknown>;
  start: FeedStart;
  end: FeedEnd | undefined;
  life: StreamLife;
  /** Records a disclosure before each batch and before rows are sent. */
  disclose: (opened: { sessionId: string; until: bigint | undefined }) => FeedDisclosure<Entry, Row>;
  heartbeatMs: number;
  /** How long the client may leave a message unread before SLOW_CONSUMER. */
  maxStallMs: number;
  /** The newest pages, shared with the carrier's other streams, of a feed that has variants. */
  pages?: SharedPages<Entry> | undefined;
}

/**
 * How far behind the head a page is still worth sharing, entries: further back, streams rarely
 * meet.
 */
const SHARED_ENTRIES = 2_000n;
/**
 * The least pause before a page that brought nothing is read again, milliseconds: a head that is
 * known ahead of what can be read must not spin.
 */
const IDLE_PAUSE_MS = 20;

/**
 * The generator that every feed stream is: the I/O around the states of stream-state.ts. After a
 * Closing other than END_REACHED it throws, so that a client which overlooks the Closing cannot
 * take the end for the end of the data.
 */
export async function* streamFeed<Entry, Row>(
  options: StreamFeedOptions<Entry, Row>,
): AsyncGenerator<FeedFrame<Entry, Row>> {
  const { place, hub, life } = options;
  using subscription = hub.subscribe(place.carrierId, place.feed);
  const { position, head } = await resolveStart(place, options.start);
  const until = options.end && (await resolveEnd(place, options.end));
  const sessionId = randomUUID();
  await using disclosure = options.disclose({ sessionId, until });
  using stall = new StallWatch(options.maxStallMs, life);
  using stream = new FeedStream(options, { position, head, until, subscription, disclosure });
  yield stall.watch({ ...range(place, position, position), frame: "opened", sessionId, head });
  while (!stream.end) {
    stall.resumed();
    for (const frame of await stream.turn(stall.stalled)) yield stall.watch(frame);
    stream.sent();
  }
  if (stream.end.failure) throw stream.end.failure.error;
}

interface OpenedStream<Entry, Row> {
  readonly position: Cursor;
  readonly head: FeedHead;
  readonly until: bigint | undefined;
  readonly subscription: FeedSubscription;
  readonly disclosure: FeedDisclosure<Entry, Row>;
}

class FeedStream<Entry, Row> implements Disposable {
  readonly #options: StreamFeedOptions<Entry, Row>;
  readonly #opened: OpenedStream<Entry, Row>;
  #state: StreamState;
  #page: StoredPage<Entry> | undefined;
  #rows: SnapshotPage<Row> | undefined;
  /** Held while something has been read that is not sent. */
  #unsent: Disposable | undefined;
  /** Set once the last frame has been made: how the stream ends. */
  end: (StreamEffect & { effect: "end" }) | undefined;

  constructor(options: StreamFeedOptions<Entry, Row>, opened: OpenedStream<Entry, Row>) {
    this.#options = options;
    this.#opened = opened;
    const { heartbeatMs } = options;
    const { position, until, head } = opened;
    const heartbeatAt = performance.now() + heartbeatMs;
    this.#state = openStream({ position, until, openedHead: head.headSequence, heartbeatMs, heartbeatAt });
  }

  /** The frames that come next; none after a rest. */
  async turn(isStalled: boolean): Promise<FeedFrame<Entry, Row>[]> {
    const polled = this.#opened.subscription.polledHead;
    const todo = this.#step(this.#turnEvent(isStalled, polled));
    const frames: FeedFrame<Entry, Row>[] = [];
    for (const effect of todo) {
      if (effect.effect === "readRows") todo.push(...(await this.#readRows(effect.afterKey)));
      else if (effect.effect === "readPage") todo.push(...(await this.#readPage(effect.after, polled?.head)));
      else if (effect.effect === "rest") await this.#rest();
      else if (effect.effect === "end") this.end = effect;
      else frames.push(await this.#frameOf(effect));
    }
    return frames;
  }

  async #frameOf(effect: StreamEffect & { effect: "sendRows" | "sendBatch" | "send" }): Promise<FeedFrame<Entry, Row>> {
    const { place } = this.#options;
    const { disclosure } = this.#opened;
    if (effect.effect === "sendRows") {
      const { rows } = this.#rows as SnapshotPage<Row>;
      await disclosure.beforeRows(rows);
      return { ...range(place, effect.through, effect.through), frame: "snapshot", rows };
    }
    if (effect.effect === "sendBatch") {
      const { entries } = this.#page as StoredPage<Entry>;
      await disclosure.beforeBatch(effect.after.epoch, entries);
      return { ...range(place, effect.after, effect.through), frame: "batch", entries };
    }
    return { ...range(place, effect.at, effect.at), ...effect.frame };
  }

  #turnEvent(isStalled: boolean, polled: KnownHead | undefined): StreamEvent {
    const { life } = this.#options;
    return {
      event: "turn",
      now: performance.now(),
      end: isStalled ? "SLOW_CONSUMER" : life.end,
      aborted: life.signal.aborted ? { reason: life.signal.reason } : undefined,
      polled,
      isPast: this.#opened.subscription.isPast(this.#state.at.position.sequence),
    };
  }

  /** What was made has been taken. */
  sent(): void {
    this.#unsent?.[Symbol.dispose]();
    this.#unsent = this.#page = this.#rows = undefined;
  }

  [Symbol.dispose](): void {
    this.sent();
  }

  #step(event: StreamEvent): StreamEffect[] {
    const { state, effects } = stepStream(this.#state, event);
    this.#state = state;
    return [...effects];
  }

  async #readPage(after: FeedPoint, polled: FeedHead | undefined): Promise<StreamEffect[]> {
    this.#unsent ??= this.#options.hub.deliveries.hold();
    // Not in the page's transaction.
    await this.#options.feed.refresh?.();
    this.#page = await this.#findPage(after, polled);
    return this.#step({ event: "pageRead", page: this.#page, now: performance.now() });
  }

  #findPage(after: FeedPoint, polled: FeedHead | undefined): Promise<StoredPage<Entry>> {
    const { place, feed, pages } = this.#options;
    const { until } = this.#opened;
    const read = () => carrierTransaction(place.db, place.carrierId, (tx) => feed.readPage(tx, after, until));
    const isNear = polled && polled.headSequence - after.sequence <= SHARED_ENTRIES;
    if (!pages || !feed.variant || !isNear || until !== undefined) return read();
    // Other streams may wait for the same page.
    const readForAll = () => outlivingCall(read);
    const key = { carrierId: place.carrierId, feed: place.feed, variant: feed.variant(), after };
    return pages.read(key, polled, readForAll);
  }

  async #readRows(afterKey: string): Promise<StreamEffect[]> {
    const { place, feed, hub } = this.#options;
    if (!feed.snapshot) throw new Error("this feed has no snapshot, and gives no cursor of one");
    const { read } = feed.snapshot;
    this.#unsent ??= hub.deliveries.hold();
    this.#rows = await carrierTransaction(place.db, place.carrierId, (tx) => read(tx, afterKey), LIST_PAGE);
    const { rows, lastKey, isLast } = this.#rows;
    return this.#step({ event: "rowsRead", page: { rowCount: rows.length, lastKey, isLast } });
  }

  async #rest(): Promise<void> {
    const { signal } = this.#options.life;
    const { subscription } = this.#opened;
    const { position, heartbeatAt } = this.#state.at;
    this.sent();
    const restMs = subscription.isPast(position.sequence)
      ? IDLE_PAUSE_MS
      : Math.max(1, heartbeatAt - performance.now());
    await subscription.pause(restMs, signal);
  }
}

function range(place: FeedPlace, from: Cursor, to: Cursor): FeedRange {
  return { after: from.sequence, through: to.sequence, throughTime: to.ingestTime, cursor: cursorText(place, to) };
}
