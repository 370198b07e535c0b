/**
 * The states of one feed stream, without its I/O (stream.ts).
 *
 * A *snapshot* sends the current rows, page by page, and ends with Synced. The *backfill* reads
 * page after page as the transport asks for them. Once it has reached the head (CaughtUp) the
 * stream is *live* and rests between news. It is *over* after an end or an error.
 *
 * Each time the client has taken what was sent, the stream takes its *turn*.
 *
 * What always holds, each by the test of its name in stream-state.test.ts:
 * - Batches follow each other without a gap or an overlap.
 * - Rows come before the first batch, and Synced counts them all.
 * - CaughtUp comes once, at or past the head that the stream was opened with.
 * - A stream with an end is never live, and ends with END_REACHED once it is there.
 * - Nothing of a rewritten or expired history is sent.
 * - At most one page is held: it is sent before the next is read.
 * - No heartbeat comes early, and a stream that rests owes none.
 * - A live stream rests only where the newest that is known of its feed has been sent.
 * - Only END_REACHED ends without an error.
 */
import { impossible, type StateTable, type Step, stepOf } from "../domain/state-table.ts";
import { type StreamEnd, streamEndError } from "../domain/stream-life.ts";
import type { FeedHead } from "../store/feeds/feed-head.ts";
import type { StoredPage } from "../store/feeds/feed-page.ts";
import type { Cursor } from "./cursor.ts";
import { cursorExpired, epochChanged } from "./position.ts";

/** Where a stream stands, in every state. */
interface Standing {
  readonly position: Cursor;
  /** The last sequence to send, of a stream that has an end. */
  readonly until: bigint | undefined;
  /**
   * The head when the stream was opened: what CaughtUp must at least have reached, whatever a
   * shared page says.
   */
  readonly openedHead: bigint;
  /**
   * The feed's ends as the last page had them, which proved that the entry at the position is the
   * one that was sent.
   */
  readonly proved: KnownHead | undefined;
  readonly heartbeatMs: number;
  readonly heartbeatAt: number;
}

/** A feed's ends, and since when they are known, milliseconds of the process's own clock. */
export interface KnownHead {
  readonly head: FeedHead;
  readonly since: number;
}

/** How long a head is believed that nothing newer has confirmed, milliseconds. */
export const HEAD_BELIEVED_MS = 1_000;

export interface StreamState {
  readonly name: "snapshot" | "backfill" | "live" | "over";
  readonly at: Standing;
}

export type StreamEvent = Turn | RowsRead | PageRead;

/** Everything that was sent has been taken. */
interface Turn {
  readonly event: "turn";
  readonly now: number;
  readonly end: StreamEnd | undefined;
  readonly aborted: { readonly reason: unknown } | undefined;
  /** The head, if it was polled a moment ago; since: when the poll was asked. */
  readonly polled: KnownHead | undefined;
  /** Whether the head is known to be past the position. */
  readonly isPast: boolean;
}

interface RowsRead {
  readonly event: "rowsRead";
  readonly page: { readonly rowCount: number; readonly lastKey: string; readonly isLast: boolean };
}

interface PageRead {
  readonly event: "pageRead";
  readonly page: Omit<StoredPage<unknown>, "entries">;
  readonly now: number;
}

export type StreamEffect =
  | { readonly effect: "readRows"; readonly afterKey: string }
  | { readonly effect: "readPage"; readonly after: Cursor }
  /** The rows or the batch that were just read. */
  | { readonly effect: "sendRows"; readonly through: Cursor }
  | { readonly effect: "sendBatch"; readonly after: Cursor; readonly through: Cursor }
  | { readonly effect: "send"; readonly at: Cursor; readonly frame: PlainFrame }
  /** Until the head moves on, or a heartbeat is due. */
  | { readonly effect: "rest" }
  | { readonly effect: "end"; readonly failure?: { readonly error: unknown } };

/** A frame without entries. */
export type PlainFrame =
  | { frame: "synced"; rowCount: number }
  | { frame: "caughtUp"; headSequence: bigint }
  | { frame: "heartbeat"; headSequence: bigint }
  | { frame: "closing"; reason: StreamEnd | "END_REACHED" };

type StreamStep = Step<StreamState, StreamEffect>;

export const STREAM_TABLE: StateTable<StreamState, StreamEvent, StreamEffect> = {
  snapshot: { turn: takeTurn(readRows), rowsRead: takeRows, pageRead: impossible },
  backfill: { turn: takeTurn(readOn), rowsRead: impossible, pageRead: takePage },
  live: { turn: takeTurn(readNews), rowsRead: impossible, pageRead: takePage },
  over: { turn: impossible, rowsRead: impossible, pageRead: impossible },
};

/** One step of a stream. */
export const stepStream = stepOf(STREAM_TABLE);

/** The state of a stream that was just opened. */
export function openStream(at: Omit<Standing, "proved">): StreamState {
  const name = at.position.snapshot ? "snapshot" : "backfill";
  return { name, at: { ...at, proved: undefined } };
}

function takeTurn(goOn: (state: StreamState, turn: Turn) => StreamStep) {
  return (state: StreamState, turn: Turn): StreamStep => {
    if (turn.end) return close(state, turn.end, { error: streamEndError(turn.end) });
    // Never an OK, which would say that the data has ended: at its deadline a call may still be
    // heard.
    if (turn.aborted) return fail(state, turn.aborted.reason);
    return goOn(state, turn);
  };
}

function readRows(state: StreamState): StreamStep {
  return { state, effects: [{ effect: "readRows", afterKey: state.at.position.snapshot?.afterKey ?? "" }] };
}

function readOn(state: StreamState): StreamStep {
  const { position, until } = state.at;
  if (until !== undefined && position.sequence >= until) return close(state, "END_REACHED");
  return { state, effects: [{ effect: "readPage", after: position }] };
}

function readNews(state: StreamState, { now, polled, isPast }: Turn): StreamStep {
  if (isPast || !isQuiet(state.at, polled, now)) return readOn(state);
  return orRest(withHeartbeat({ state, effects: [] }, now, state.at.position.sequence));
}

// Nothing is there that was not sent: the page that was read a moment ago says so or, since then,
// what the process polls for all its streams. So this stream need not ask. Rewritten history may by
// chance end at the same sequence, but not with the same ingest time.
function isQuiet({ position, proved }: Standing, polled: KnownHead | undefined, now: number): boolean {
  if (proved === undefined) return false;
  if (polled === undefined || polled.since <= proved.since)
    return now - proved.since <= HEAD_BELIEVED_MS && proved.head.headSequence === position.sequence;
  const isSame = polled.head.epoch === position.epoch && polled.head.lastIngestTime === proved.head.lastIngestTime;
  return isSame && polled.head.headSequence === position.sequence;
}

// The head was read before any row, so every change that a row does not show yet comes after it.
function takeRows({ at }: StreamState, { page }: RowsRead): StreamStep {
  const { snapshot, ...synced } = at.position;
  const rowCount = (snapshot?.rowCount ?? 0) + page.rowCount;
  const inside: Cursor = { ...synced, snapshot: { afterKey: page.lastKey, rowCount } };
  const effects: StreamEffect[] = page.rowCount > 0 ? [{ effect: "sendRows", through: inside }] : [];
  if (!page.isLast) return { state: { name: "snapshot", at: { ...at, position: inside } }, effects };
  effects.push({ effect: "send", at: synced, frame: { frame: "synced", rowCount } });
  return { state: { name: "backfill", at: { ...at, position: synced } }, effects };
}

function takePage(state: StreamState, { page, now }: PageRead): StreamStep {
  const { head, throughSequence, throughIngestTime } = page;
  const { at } = state;
  const after = at.position;
  const isSameHistory = page.isSameHistory && head.headSequence >= after.sequence;
  if (head.epoch !== after.epoch || !isSameHistory) return fail(state, epochChanged(head));
  if (after.sequence < head.earliestSequence - 1n) return fail(state, cursorExpired(head));
  const isNew = throughSequence > after.sequence;
  const position = isNew ? { epoch: after.epoch, sequence: throughSequence, ingestTime: throughIngestTime } : after;
  const effects: StreamEffect[] = isNew ? [{ effect: "sendBatch", after, through: position }] : [];
  const headSequence = max(head.headSequence, at.openedHead);
  const isCaughtUp = state.name === "backfill" && position.sequence >= headSequence && at.until === undefined;
  if (isCaughtUp) effects.push({ effect: "send", at: position, frame: { frame: "caughtUp", headSequence } });
  const next = {
    name: isCaughtUp ? "live" : state.name,
    at: { ...at, position, proved: { head, since: now } },
  };
  return orRest(withHeartbeat({ state: next, effects }, now, headSequence));
}

function withHeartbeat({ state, effects }: StreamStep, now: number, headSequence: bigint): StreamStep {
  const { at } = state;
  if (now < at.heartbeatAt) return { state, effects };
  const heartbeat: StreamEffect = { effect: "send", at: at.position, frame: { frame: "heartbeat", headSequence } };
  const heartbeatAt = now + at.heartbeatMs;
  return { state: { ...state, at: { ...at, heartbeatAt } }, effects: [...effects, heartbeat] };
}

function orRest({ state, effects }: StreamStep): StreamStep {
  return { state, effects: effects.length > 0 ? effects : [{ effect: "rest" }] };
}

function close({ at }: StreamState, reason: StreamEnd | "END_REACHED", failure?: { error: unknown }): StreamStep {
  const closing: StreamEffect = { effect: "send", at: at.position, frame: { frame: "closing", reason } };
  const end: StreamEffect = failure ? { effect: "end", failure } : { effect: "end" };
  return { state: { name: "over", at }, effects: [closing, end] };
}

function fail({ at }: StreamState, error: unknown): StreamStep {
  return { state: { name: "over", at }, effects: [{ effect: "end", failure: { error } }] };
}

function max(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}
