import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type FeedClosing, FeedClosingReason, type FeedOpened, type FeedStart } from "../gen/tandem/type/v1/feed_pb.js";
import type { CursorStore, FeedPosition } from "./cursor-store.ts";
import { CallerFault, msFromDuration, RangeBroken, StreamBroken, TandemClientError } from "./errors.ts";
import { receive } from "./receive.ts";
import { type CutEvent, cutEvent, pause, type ResumingEvent, Retry, type RetryOptions, warnOfCuts } from "./retry.ts";

const DEFAULT_HEARTBEAT_MS = 15_000;
const DEAD_AFTER_HEARTBEATS = 3;
/** After this many resumes a broken range is the server's fault, not the connection's. */
const MAX_BROKEN_IN_A_ROW = 3;

/** What the messages of every feed have in common. */
export interface FeedMessage {
  readonly afterSequence: bigint;
  readonly throughSequence: bigint;
  readonly cursor: string;
  readonly frame: { readonly case: string | undefined; readonly value?: unknown };
}

/** What happens to a follower, for logs and metrics. */
export type FeedEvent =
  | {
      readonly kind: "OPENED";
      readonly sessionId: string;
      readonly headSequence: bigint;
      readonly position: FeedPosition;
      /**
       * What was acknowledged since then may be lost, milliseconds since 1970: a failover or a
       * restore has lost the newest entries of the feed. Whoever sends into it sends again what was
       * acknowledged since then. Undefined: nothing is known to be lost.
       */
      readonly lostSinceMs: number | undefined;
    }
  | { readonly kind: "CAUGHT_UP"; readonly position: FeedPosition }
  | { readonly kind: "HEARTBEAT"; readonly position: FeedPosition }
  | { readonly kind: "CLOSING"; readonly reason: FeedClosingReason; readonly retryAfterMs: number | undefined }
  | CutEvent
  | ResumingEvent;

/** The options of every follower. */
export interface FollowOptions {
  /**
   * Where the position is kept. When it holds one, the feed goes on from there and `start` is not
   * used.
   */
  readonly store: CursorStore;
  /** Stops the follower, between two batches. */
  readonly signal?: AbortSignal;
  /**
   * Hears of what happens. It must not throw. Default: a process warning for the first cut of an
   * outage.
   */
  readonly onEvent?: (event: FeedEvent) => void;
  /** How it comes back after a cut. */
  readonly retry?: RetryOptions;
}

/** One feed: how to open it, and what its messages mean. */
export interface FollowedFeed<Message extends FeedMessage> {
  /**
   * Calls the server, from the cursor, or from where the caller wants to begin when there is none.
   */
  readonly open: (resumeFrom: FeedStart["position"] | undefined, signal: AbortSignal) => AsyncIterable<Message>;
  /** The sequences of a message's entries; undefined for a message that carries none. */
  readonly sequencesOf: (message: Message) => readonly bigint[] | undefined;
  /** Whether a filter may leave entries out of a range. */
  readonly filtered: boolean;
  /** Applies a message, whatever its frame; `position` is stored once this resolves. */
  readonly apply: (message: Message, position: FeedPosition, signal: AbortSignal) => Promise<void>;
}

/** How following ended. */
export interface FollowResult {
  /** True: the requested end was reached and the data is complete. False: the signal stopped it. */
  readonly endReached: boolean;
  /** Where it stands; undefined when nothing was ever received. */
  readonly position: FeedPosition | undefined;
  /** How many entries were applied. */
  readonly entryCount: number;
  /** How often the stream was opened again. */
  readonly resumes: number;
}

/**
 * Follows any feed: checks that each message begins where the one before ended, applies it, stores
 * its cursor, and comes back after every cut. `followCdrs`, `followDiscrepancies` and
 * `followNumbers` are made of it.
 *
 * Throws a `TandemClientError`: REFUSED when the server says what no retry can cure
 * (`CURSOR_EXPIRED`, `FEED_EPOCH_CHANGED`, `CARRIER_SUSPENDED`, ...), CONTRADICTED when it breaks
 * the feed's rules, EXHAUSTED when attempts ran out; and whatever `apply` or the store throws.
 */
export async function followFeed<Message extends FeedMessage>(
  feed: FollowedFeed<Message>,
  givenOptions: FollowOptions,
): Promise<FollowResult> {
  const options = { ...givenOptions, onEvent: givenOptions.onEvent ?? warnOfCuts("the feed") };
  const signal = options.signal ?? new AbortController().signal;
  const retry = new Retry(options.retry);
  const follower = new Follower(feed, options, retry, await options.store.load());
  let resumes = 0;
  while (!signal.aborted) {
    const delayMs = await follower.runOnce(signal);
    if (delayMs === "END_REACHED") return { ...follower.result(), endReached: true, resumes };
    if (signal.aborted) break;
    resumes += 1;
    options.onEvent({ kind: "RESUMING", delayMs, resumes, ...retry.attempts });
    await pause(delayMs, signal);
  }
  return { ...follower.result(), endReached: false, resumes };
}

class Follower<Message extends FeedMessage> {
  readonly #feed: FollowedFeed<Message>;
  readonly #options: FollowOptions;
  readonly #retry: Retry;
  #position: FeedPosition | undefined;
  #savedCursor: string | undefined;
  #heartbeatMs = DEFAULT_HEARTBEAT_MS;
  #entryCount = 0;
  #brokenInARow = 0;

  constructor(feed: FollowedFeed<Message>, options: FollowOptions, retry: Retry, position: FeedPosition | undefined) {
    this.#feed = feed;
    this.#options = options;
    this.#retry = retry;
    this.#position = position;
    this.#savedCursor = position?.cursor;
  }

  result(): Pick<FollowResult, "position" | "entryCount"> {
    return { position: this.#position, entryCount: this.#entryCount };
  }

  /**
   * One connection. Returns how long to wait before the next, or throws when there must be none.
   */
  async runOnce(signal: AbortSignal): Promise<number | "END_REACHED"> {
    try {
      const closing = await this.#readStream(signal);
      if (closing === undefined) throw new StreamBroken("the stream ended without Closing");
      if (closing.reason === FeedClosingReason.END_REACHED) return "END_REACHED";
      return this.#retry.delayAfterClosing(closing.retryAfter && msFromDuration(closing.retryAfter));
    } catch (error) {
      if (error instanceof CallerFault) throw error.cause;
      if (signal.aborted) return 0;
      this.#options.onEvent?.(cutEvent(error));
      this.#refuseIfIncurable(error);
      return this.#retry.delayAfter(error);
    }
  }

  async #readStream(signal: AbortSignal): Promise<FeedClosing | undefined> {
    const resumeFrom = this.#position && { case: "cursor" as const, value: this.#position.cursor };
    const messages = receive({
      open: (attempt) => this.#feed.open(resumeFrom, attempt),
      signal,
      silenceMs: () => DEAD_AFTER_HEARTBEATS * this.#heartbeatMs,
    });
    let epoch: bigint | undefined;
    for await (const message of messages) {
      epoch ??= this.#checkOpened(message);
      this.#checkRange(message);
      await this.#take(message, epoch, signal);
      if (message.frame.case === "closing") return message.frame.value as FeedClosing;
      // Checked between two messages, so that what was read is either applied and stored, or
      // neither.
      if (signal.aborted) return undefined;
    }
    return undefined;
  }

  /** The first message of a stream; it must agree with where the client stands. */
  #checkOpened(message: Message): bigint {
    if (message.frame.case !== "opened") {
      throw new TandemClientError("CONTRADICTED", `the first message was ${message.frame.case}, not Opened`);
    }
    this.#retry.answered();
    const opened = message.frame.value as FeedOpened;
    const position = this.#position;
    if (position !== undefined && position.epoch !== opened.feedEpoch) {
      const epochs = `from ${position.epoch} to ${opened.feedEpoch}`;
      throw new TandemClientError("CONTRADICTED", `the feed's epoch went ${epochs} and the cursor was still taken`);
    }
    if (position !== undefined && position.sequence !== message.afterSequence) {
      const positions = `the cursor stands at ${position.sequence}, the server resumed at ${message.afterSequence}`;
      throw new TandemClientError("CONTRADICTED", positions);
    }
    if (opened.heartbeatInterval !== undefined) {
      this.#heartbeatMs = Math.max(msFromDuration(opened.heartbeatInterval), 1);
    }
    this.#position ??= { cursor: message.cursor, sequence: message.afterSequence, epoch: opened.feedEpoch };
    return opened.feedEpoch;
  }

  #checkRange(message: Message): void {
    const { afterSequence: after, throughSequence: through } = message;
    const range = `(${after}, ${through}]`;
    if (after !== this.#position?.sequence) {
      throw new RangeBroken(`a message covers ${range} and the client stands at ${this.#position?.sequence}`);
    }
    if (through < after) throw new RangeBroken(`a message covers ${range}, which ends before it begins`);
    const sequences = this.#feed.sequencesOf(message);
    let last = after;
    for (const sequence of sequences ?? []) {
      if (sequence <= last || sequence > through)
        throw new RangeBroken(`entry ${sequence} is out of place in ${range}`);
      last = sequence;
    }
    const complete = sequences !== undefined && BigInt(sequences.length) === through - after;
    if (!this.#feed.filtered && sequences !== undefined && !complete) {
      throw new RangeBroken(`a message covers ${range} and holds ${sequences.length} entries`);
    }
  }

  async #take(message: Message, epoch: bigint, signal: AbortSignal): Promise<void> {
    const position = { cursor: message.cursor, sequence: message.throughSequence, epoch };
    // For Opened too: a client that began at `latest` and was cut before its first batch would else
    // begin at a later latest.
    const moved = position.cursor !== this.#savedCursor;
    try {
      await this.#feed.apply(message, position, signal);
      if (moved) await this.#options.store.save(position);
    } catch (error) {
      throw new CallerFault("the caller could not apply or store", { cause: error });
    }
    this.#savedCursor = position.cursor;
    this.#position = position;
    this.#entryCount += this.#feed.sequencesOf(message)?.length ?? 0;
    if (message.frame.case !== "opened" && message.frame.case !== "closing") {
      this.#retry.progressed();
      this.#brokenInARow = 0;
    }
    this.#tell(message, position);
  }

  #tell(message: Message, position: FeedPosition): void {
    const tell = this.#options.onEvent;
    if (tell === undefined) return;
    if (message.frame.case === "opened") {
      const { sessionId, headSequence, lostSince } = message.frame.value as FeedOpened;
      tell({ kind: "OPENED", sessionId, headSequence, position, lostSinceMs: lostSince && timestampMs(lostSince) });
    }
    if (message.frame.case === "caughtUp") tell({ kind: "CAUGHT_UP", position });
    if (message.frame.case === "heartbeat") tell({ kind: "HEARTBEAT", position });
    if (message.frame.case === "closing") {
      const { reason, retryAfter } = message.frame.value as FeedClosing;
      tell({ kind: "CLOSING", reason, retryAfterMs: retryAfter && msFromDuration(retryAfter) });
    }
  }

  #refuseIfIncurable(error: unknown): void {
    this.#brokenInARow = error instanceof RangeBroken ? this.#brokenInARow + 1 : 0;
    if (this.#brokenInARow < MAX_BROKEN_IN_A_ROW) return;
    throw new TandemClientError("CONTRADICTED", `${this.#brokenInARow} resumes in a row have not cured it`, {
      cause: error,
    });
  }
}
