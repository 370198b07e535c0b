import { randomUUID } from "node:crypto";
import type { DeliveryWatch } from "../domain/delivery-watch.ts";
import { StallWatch, type StreamEnd, type StreamLife, streamEndError } from "../domain/stream-life.ts";
import type { Micros } from "../domain/time/instant.ts";
import { outlivingCall } from "../store/database/callers.ts";
import { carrierTransaction, LIST_PAGE, type Tx } from "../store/database/database.ts";
import type { FeedHead } from "../store/feeds/feed-head.ts";
import type { FeedPoint } from "../store/feeds/feed-page.ts";
import type { Cursor } from "./cursor.ts";
import type { FeedDisclosure } from "./disclosed-blocks.ts";
import type { FeedHub, FeedSubscription } from "./hub.ts";
import type { FeedPage } from "./page.ts";
import {
  cursorExpired,
  cursorText,
  epochChanged,
  type FeedEnd,
  type FeedPlace,
  type FeedStart,
  resolveEnd,
  resolveStart,
} from "./position.ts";
import type { SharedPages } from "./shared-pages.ts";

/** A run of the current rows, of a feed that has them. */
export interface SnapshotPage<Rows> {
  rows: Rows;
  rowCount: number;
  /**
   * The key of the last row that was looked at; the one that was asked after when there is none.
   */
  lastKey: string;
  /** Whether there are no more. */
  isLast: boolean;
}

/** Where the entries of a feed come from. */
export interface FeedSource<Batch, Rows = never> {
  /**
   * Reads on after a position, to `until` at most, and proves in the same statement that the entry
   * there is the one that was sent. A page is bounded in entries and in bytes.
   */
  readPage(tx: Tx, after: FeedPoint, until: bigint | undefined): Promise<FeedPage<Batch>>;
  /** Reads the current rows after a key, for a feed that can start with them. */
  readSnapshot?(tx: Tx, afterKey: string): Promise<SnapshotPage<Rows>>;
}

/** What a stream sends; the service makes its own messages of it. */
export type FeedFrame<Batch> = FeedRange &
  (
    | { frame: "opened"; sessionId: string; head: FeedHead }
    | { frame: "batch"; batch: Batch }
    | { frame: "caughtUp"; headSequence: bigint }
    | { frame: "heartbeat"; headSequence: bigint }
    | { frame: "closing"; reason: StreamEnd | "END_REACHED" }
  );

/** What a stream that starts with the current rows sends besides. */
export type SnapshotFrame<Rows> = FeedRange &
  ({ frame: "snapshot"; rows: Rows } | { frame: "synced"; rowCount: number });

interface FeedRange {
  after: bigint;
  through: bigint;
  cursor: string;
}

export interface StreamFeedOptions<Batch, Rows = never> {
  place: FeedPlace;
  hub: FeedHub;
  source: FeedSource<Batch, Rows>;
  start: FeedStart;
  end: FeedEnd | undefined;
  life: StreamLife;
  /** Makes what is told, before anything is sent, of what may be received. */
  disclose: (opened: { sessionId: string; until: bigint | undefined }) => FeedDisclosure<Batch, Rows>;
  heartbeatMs: number;
  /** How long the client may leave a message unread before SLOW_CONSUMER. */
  maxStallMs: number;
  /**
   * The newest pages, shared with the carrier's other streams, and what of an entry this stream
   * gets; absent for a filtered stream.
   */
  shared?: { pages: SharedPages<Batch>; variant: () => string } | undefined;
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
 * The generator that every feed stream is. The states: opened; snapshot, for a feed that starts
 * with its current rows; backfill, page after page as the transport asks for them, so that at most
 * one page is held; live, once a page brought nothing new (CaughtUp), where it waits for the hub or
 * the next heartbeat; closing. After a Closing other than END_REACHED it throws, so that a client
 * which overlooks the Closing cannot take the end for the end of the data.
 */
export function streamFeed<Batch>(options: StreamFeedOptions<Batch>): AsyncGenerator<FeedFrame<Batch>>;
export function streamFeed<Batch, Rows>(
  options: StreamFeedOptions<Batch, Rows>,
): AsyncGenerator<FeedFrame<Batch> | SnapshotFrame<Rows>>;
export async function* streamFeed<Batch, Rows>(
  options: StreamFeedOptions<Batch, Rows>,
): AsyncGenerator<FeedFrame<Batch> | SnapshotFrame<Rows>> {
  const { place, hub, life } = options;
  using subscription = hub.subscribe(place.carrierId, place.feed);
  const started = await resolveStart(place, options.start);
  const until = options.end && (await resolveEnd(place, options.end));
  const sessionId = randomUUID();
  await using disclosure = options.disclose({ sessionId, until });
  using unsent = new Unsent(hub.deliveries);
  const state: StreamState<Batch, Rows> = {
    disclosure,
    unsent,
    position: started.position,
    provedIngestTime: undefined,
    openedHead: started.head.headSequence,
    caughtUp: false,
    heartbeatAt: performance.now() + options.heartbeatMs,
  };
  using stall = new StallWatch(options.maxStallMs, life);
  const { position } = started;

  yield stall.watch({
    ...range(place, position, position),
    frame: "opened",
    sessionId,
    head: started.head,
  });
  while (true) {
    stall.resumed();
    const ending = stall.stalled ? "SLOW_CONSUMER" : life.end;
    if (ending) {
      yield stall.watch({ ...range(place, state.position, state.position), frame: "closing", reason: ending });
      throw streamEndError(ending);
    }
    // Never an OK, which would say that the data has ended: at its deadline a call may still be
    // heard.
    if (life.signal.aborted) throw life.signal.reason;
    if (until !== undefined && state.position.sequence >= until && state.position.snapshot === undefined) {
      yield stall.watch({ ...range(place, state.position, state.position), frame: "closing", reason: "END_REACHED" });
      return;
    }
    for (const frame of await nextFrames(options, state, until, subscription)) yield stall.watch(frame);
    unsent.clear();
  }
}

interface StreamState<Batch = unknown, Rows = unknown> {
  readonly disclosure: FeedDisclosure<Batch, Rows>;
  readonly unsent: Unsent;
  position: Cursor;
  /**
   * The feed's last ingest time when the entry at the position was last proved to be the one that
   * was sent.
   */
  provedIngestTime: Micros | undefined;
  /**
   * The head when the stream was opened: what CaughtUp must at least have reached, whatever a
   * shared page says.
   */
  openedHead: bigint;
  caughtUp: boolean;
  heartbeatAt: number;
}

/** What a stream has read and not sent yet: a page at most. */
class Unsent implements Disposable {
  readonly #deliveries: DeliveryWatch;
  #held: Disposable | undefined;

  constructor(deliveries: DeliveryWatch) {
    this.#deliveries = deliveries;
  }

  /** Before something is read. */
  begin(): void {
    this.#held ??= this.#deliveries.hold();
  }

  /** Once it is sent, or there was nothing. */
  clear(): void {
    this.#held?.[Symbol.dispose]();
    this.#held = undefined;
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}

async function nextFrames<Batch, Rows>(
  options: StreamFeedOptions<Batch, Rows>,
  state: StreamState<Batch, Rows>,
  until: bigint | undefined,
  subscription: FeedSubscription,
): Promise<(FeedFrame<Batch> | SnapshotFrame<Rows>)[]> {
  const { place } = options;
  if (state.position.snapshot) return snapshotFrames(options, state, state.position.snapshot);
  const frames: FeedFrame<Batch>[] = [];
  const before = state.position;
  const polled = subscription.polledHead;
  if (state.caughtUp && polled && isQuiet(state, polled) && !subscription.isPast(before.sequence)) {
    return heartbeatIfDue(options, state, polled.headSequence) ?? (await pause(options, state, subscription));
  }
  state.unsent.begin();
  const page = await readPage(options, before, until, polled);
  const isSameHistory = page.isSameHistory && page.head.headSequence >= before.sequence;
  if (page.head.epoch !== before.epoch || !isSameHistory) throw epochChanged(page.head);
  if (before.sequence < page.head.earliestSequence - 1n) throw cursorExpired(page.head);
  state.provedIngestTime = page.head.lastIngestTime;

  if (page.throughSequence > before.sequence) {
    await state.disclosure.beforeBatch(before.epoch, page.batch);
    state.position = { epoch: before.epoch, sequence: page.throughSequence, ingestTime: page.throughIngestTime };
    frames.push({ ...range(place, before, state.position), frame: "batch", batch: page.batch });
  }
  const here = range(place, state.position, state.position);
  const headSequence = max(page.head.headSequence, state.openedHead);
  if (!state.caughtUp && state.position.sequence >= headSequence && until === undefined) {
    state.caughtUp = true;
    frames.push({ ...here, frame: "caughtUp", headSequence });
  }
  frames.push(...(heartbeatIfDue(options, state, headSequence) ?? []));
  return frames.length > 0 ? frames : pause(options, state, subscription);
}

// Nothing is there that was not sent: what the process polls for all its streams says so, and this
// one need not ask. Rewritten history may by chance end at the same sequence, but not with the same
// ingest time.
function isQuiet({ position, provedIngestTime }: StreamState, polled: FeedHead): boolean {
  const isSame = polled.epoch === position.epoch && polled.lastIngestTime === provedIngestTime;
  return isSame && polled.headSequence === position.sequence;
}

function heartbeatIfDue<Batch, Rows>(
  { place, heartbeatMs }: StreamFeedOptions<Batch, Rows>,
  state: Pick<StreamState, "position" | "heartbeatAt">,
  headSequence: bigint,
): FeedFrame<Batch>[] | undefined {
  if (performance.now() < state.heartbeatAt) return undefined;
  state.heartbeatAt = performance.now() + heartbeatMs;
  return [{ ...range(place, state.position, state.position), frame: "heartbeat", headSequence }];
}

async function readPage<Batch, Rows>(
  { place, source, shared }: StreamFeedOptions<Batch, Rows>,
  after: FeedPoint,
  until: bigint | undefined,
  polled: FeedHead | undefined,
): Promise<FeedPage<Batch>> {
  const read = () => carrierTransaction(place.db, place.carrierId, (tx) => source.readPage(tx, after, until));
  if (!shared || !polled || until !== undefined || polled.headSequence - after.sequence > SHARED_ENTRIES) return read();
  const { carrierId, feed } = place;
  // Other streams may wait for the same page.
  const readForAll = () => outlivingCall(read);
  return shared.pages.read({ carrierId, feed, variant: shared.variant(), after }, polled, readForAll);
}

// The head was read before any row, so every change that a row does not show yet comes after it.
async function snapshotFrames<Batch, Rows>(
  { place, source }: StreamFeedOptions<Batch, Rows>,
  state: StreamState<Batch, Rows>,
  sent: { afterKey: string; rowCount: number },
): Promise<SnapshotFrame<Rows>[]> {
  if (!source.readSnapshot) throw new Error("this feed has no snapshot, and gives no cursor of one");
  const read = source.readSnapshot.bind(source);
  state.unsent.begin();
  const page = await carrierTransaction(place.db, place.carrierId, (tx) => read(tx, sent.afterKey), LIST_PAGE);
  if (page.rowCount > 0) await state.disclosure.beforeRows(page.rows);
  const { snapshot: _, ...synced } = state.position;
  const rowCount = sent.rowCount + page.rowCount;
  const inside: Cursor = { ...synced, snapshot: { afterKey: page.lastKey, rowCount } };
  state.position = page.isLast ? synced : inside;
  const frames: SnapshotFrame<Rows>[] = [];
  if (page.rowCount > 0) frames.push({ ...range(place, inside, inside), frame: "snapshot", rows: page.rows });
  if (page.isLast) frames.push({ ...range(place, synced, synced), frame: "synced", rowCount });
  return frames;
}

async function pause<Batch, Rows>(
  options: StreamFeedOptions<Batch, Rows>,
  state: Pick<StreamState, "position" | "heartbeatAt" | "unsent">,
  subscription: FeedSubscription,
): Promise<[]> {
  const { signal } = options.life;
  state.unsent.clear();
  if (subscription.isPast(state.position.sequence)) await subscription.pause(IDLE_PAUSE_MS, signal);
  else await subscription.waitPast(state.position.sequence, Math.max(1, state.heartbeatAt - performance.now()), signal);
  return [];
}

function range(place: FeedPlace, from: Cursor, to: Cursor): { after: bigint; through: bigint; cursor: string } {
  return { after: from.sequence, through: to.sequence, cursor: cursorText(place, to) };
}

function max(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}
