/**
 * The states of one connection of an upload, without its I/O (session.ts).
 *
 * The reader *follows*: each batch begins at the expected offset. An earlier one *repeats* what is
 * committed: it waits until nothing is in flight, and is then *replayed* against what is stored. A
 * later one is a gap. After a Rewind the reader *discards* everything until a batch begins at the
 * expected offset. A Finish *drains* what is in flight and then *seals* the upload. The other
 * states read nothing more: the input has ended, the upload has failed or is finished, or all is
 * over.
 *
 * The writer takes one step each time it is free (`pulled`), in any state.
 *
 * What always holds, each by the test of its name in session-state.test.ts:
 * - The committed offset that is told never falls, and never passes what the store has confirmed.
 * - The credit never falls, and never passes the committed offset by more than three windows.
 * - Commits of one generation never overlap, and leave out only what is committed.
 * - After a Rewind nothing is committed until a batch begins at the offset that it asked for.
 * - A commit from before a Rewind changes nothing.
 * - Repeats are replayed, and the upload is sealed, only while nothing is in flight.
 * - Every outcome is told once, in Acks of at most 2,000.
 * - Waiting outcomes are bounded: a client that reads no Ack cannot pile them up.
 * - A stream that ends in order has told everything first.
 * - A failing store is given 100 ms, doubled with each failure in a row, at most 5 s.
 */
import { addCounts, countVerdicts, type VerdictCounts } from "../domain/calls/verdict.ts";
import { TandemError } from "../domain/errors.ts";
import { impossible, type StateTable, type Step, stay, stepOf } from "../domain/state-table.ts";
import { type StreamEnd, streamEndError } from "../domain/stream-life.ts";
import type { UploadRow } from "../store/records/uploads.ts";
import type { ServerFrame } from "./frames.ts";
import type { Outcome } from "./outcome.ts";
import type { SentBatch } from "./pending.ts";
import type { UploadFinish } from "./upload-store.ts";

/** How far the upload is, in every state. */
interface Standing {
  readonly windowRecords: bigint;
  readonly openedAt: bigint;
  /** Where the next new batch begins. */
  readonly expected: bigint;
  readonly committed: bigint;
  readonly sendLimit: bigint;
  /** Raised when commits in flight no longer count: by a Rewind, and at the end. */
  readonly generation: number;
  readonly failuresInARow: number;
  /** How many batches are in a commit or wait for one. */
  readonly inFlight: number;
  /** What the client has still to be told of committed batches. */
  readonly acks: readonly WaitingAck[];
  readonly rewinds: readonly (ServerFrame & { frame: "rewind" })[];
}

interface WaitingAck {
  readonly committedOffset: bigint;
  readonly counts: VerdictCounts;
  readonly outcomes: Outcome[];
}

type Named =
  | { readonly name: "following" | "discarding" | "sealing" | "inputOver" | "over" }
  | { readonly name: "repeating"; readonly batch: SentBatch }
  | { readonly name: "replaying"; readonly batch: SentBatch }
  | { readonly name: "draining"; readonly finish: UploadFinish }
  | { readonly name: "failed"; readonly error: unknown }
  | { readonly name: "finished"; readonly upload: UploadRow };
export type SessionState = Named & { readonly at: Standing };

export type SessionEvent =
  | { readonly event: "batch"; readonly batch: SentBatch }
  | { readonly event: "finish"; readonly finish: UploadFinish }
  | { readonly event: "inputEnded" }
  /** Records up to `end` are committed, and these are their verdicts. */
  | { readonly event: "told"; readonly end: bigint; readonly outcomes: Outcome[]; readonly counts: VerdictCounts }
  /** A commit has ended, whatever its result. */
  | { readonly event: "settled" }
  /** The store failed temporarily; records from `from` on have not been told. */
  | { readonly event: "storeLost"; readonly from: bigint; readonly generation: number }
  /** With a generation: the failure of a commit. */
  | { readonly event: "failed"; readonly error: unknown; readonly generation?: number }
  /** A repeat agrees with what is stored; `rest` is what follows it. */
  | { readonly event: "replayed"; readonly rest: SentBatch | undefined }
  | { readonly event: "sealed"; readonly upload: UploadRow }
  | Pulled
  /** The call is over. */
  | { readonly event: "left" };

/** The writer is free. */
interface Pulled {
  readonly event: "pulled";
  /** Whether the process has room for more records. */
  readonly hasRoom: boolean;
  readonly end: StreamEnd | undefined;
  /** The client has left. */
  readonly isAborted: boolean;
  readonly isHeartbeatDue: boolean;
}

export type SessionEffect =
  | { readonly effect: "commit"; readonly batch: SentBatch; readonly generation: number }
  | { readonly effect: "replay"; readonly batch: SentBatch; readonly committed: bigint; readonly generation: number }
  | { readonly effect: "seal"; readonly finish: UploadFinish; readonly committed: bigint }
  | { readonly effect: "send"; readonly frame: ServerFrame }
  | { readonly effect: "end"; readonly failure?: { readonly error: unknown } }
  /** The writer waits for news, or until a heartbeat is due. */
  | { readonly effect: "rest" };

type SessionStep = Step<SessionState, SessionEffect>;
type In<Name extends SessionState["name"]> = SessionState & { readonly name: Name };
type On<Name extends SessionEvent["event"]> = SessionEvent & { readonly event: Name };

/**
 * The first pause that a Rewind for a failing store asks for, milliseconds; it doubles with each
 * failure in a row.
 */
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** Most outcomes in one Ack: well below the 4 MiB that a message may have. */
export const MAX_ACK_OUTCOMES = 2_000;
/** The window that an upload may grow to, in windows that it begins with. */
const WINDOW_GROWTH = 3n;
/**
 * With this many outcomes that the client has not taken, a repeat waits. New records cannot bring
 * so many: credit rises only with the Acks.
 */
export const MAX_WAITING_OUTCOMES = 8_000;
/** With this many batches in flight the reader rests: the store is slower than the client. */
export const MAX_HELD_BATCHES = 64;

// How every state that reads or waits handles the store's answers and the writer's turns.
const OPEN = { told: tell, settled: settle, storeLost: rewindForStore, failed: fail, pulled: writeOpen, left: leave };
const NO_INPUT = { batch: impossible, finish: impossible, inputEnded: impossible };
// The reader takes no frame, but it leaves when the call is aborted. The writer ends the call then.
const WAITS = { ...NO_INPUT, inputEnded: stay };
const NO_ANSWER = { replayed: impossible, sealed: impossible };

export const SESSION_TABLE: StateTable<SessionState, SessionEvent, SessionEffect> = {
  following: { ...OPEN, ...NO_ANSWER, batch: takeBatch, finish: drain, inputEnded: endInput },
  discarding: { ...OPEN, ...NO_ANSWER, batch: takeBatch, finish: stay, inputEnded: endInput },
  repeating: { ...OPEN, ...WAITS, ...NO_ANSWER },
  replaying: { ...OPEN, ...WAITS, ...NO_ANSWER, settled: impossible, replayed: goOn },
  draining: { ...OPEN, ...WAITS, ...NO_ANSWER },
  sealing: { ...OPEN, ...WAITS, ...NO_ANSWER, told: impossible, settled: impossible, storeLost: impossible, sealed },
  inputOver: { ...OPEN, ...NO_INPUT, ...NO_ANSWER, storeLost: askAgain, pulled: writeUnfinished },
  failed: {
    ...{ batch: stay, finish: stay, inputEnded: stay, told: tell, settled: settle, storeLost: askAgain },
    ...{ failed: stay, replayed: stay, sealed, pulled: writeFailed, left: leave },
  },
  finished: {
    ...{ ...NO_INPUT, ...NO_ANSWER, inputEnded: stay, told: impossible, settled: impossible, storeLost: impossible },
    ...{ failed: stay, pulled: writeFinished, left: leave },
  },
  over: {
    ...{ batch: stay, finish: stay, inputEnded: stay, told: stay, settled: stay, storeLost: stay },
    ...{ failed: stay, replayed: stay, sealed: stay, pulled: impossible, left: impossible },
  },
};

/** One step of a session. */
export const stepSession = stepOf(SESSION_TABLE);

/** The state of an upload that was opened at its committed offset. */
export function openSession(committed: bigint, windowRecords: number): SessionState {
  const window = BigInt(windowRecords);
  const offsets = { openedAt: committed, expected: committed, committed, sendLimit: committed + window };
  const counters = { generation: 0, failuresInARow: 0, inFlight: 0, acks: [], rewinds: [] };
  return { name: "following", at: { windowRecords: window, ...offsets, ...counters } };
}

/** Whether the reader takes a frame, waits before it does, or has done its work. */
export function readerOf({ name, at }: SessionState): "reads" | "waits" | "done" {
  if (name === "following" || name === "discarding") return at.inFlight < MAX_HELD_BATCHES ? "reads" : "waits";
  return name === "repeating" || name === "replaying" || name === "draining" || name === "sealing" ? "waits" : "done";
}

function takeBatch(state: In<"following" | "discarding">, { batch }: On<"batch">): SessionStep {
  const { name, at } = state;
  const end = batch.firstOffset + BigInt(batch.count);
  if (end > at.sendLimit) return fail(state, { event: "failed", error: pastCredit(end, at.sendLimit) });
  if (name === "discarding" && batch.firstOffset !== at.expected) return stay(state);
  if (batch.firstOffset > at.expected) return rewind("discarding", at, "GAP");
  if (batch.firstOffset < at.expected) return whenClear({ name: "repeating", batch, at });
  return commit(at, batch);
}

function commit(at: Standing, batch: SentBatch): SessionStep {
  const expected = batch.firstOffset + BigInt(batch.count);
  const effects = [{ effect: "commit", batch, generation: at.generation }] as const;
  return { state: { name: "following", at: { ...at, expected, inFlight: at.inFlight + 1 } }, effects };
}

function drain({ at }: In<"following">, { finish }: On<"finish">): SessionStep {
  return whenClear({ name: "draining", finish, at });
}

// Goes on with what waited for the commits in flight, or for the client to take its Acks.
function whenClear(state: SessionState): SessionStep {
  const { at } = state;
  if (at.inFlight > 0) return stay(state);
  const { committed, generation } = at;
  if (state.name === "draining") {
    return { state: { name: "sealing", at }, effects: [{ effect: "seal", finish: state.finish, committed }] };
  }
  if (state.name !== "repeating" || waitingOutcomes(at) >= MAX_WAITING_OUTCOMES) return stay(state);
  const { batch } = state;
  return { state: { name: "replaying", batch, at }, effects: [{ effect: "replay", batch, committed, generation }] };
}

function goOn({ at }: In<"replaying">, { rest }: On<"replayed">): SessionStep {
  return rest ? commit(at, rest) : stay<SessionState>({ name: "following", at });
}

function sealed({ at }: SessionState, { upload }: On<"sealed">): SessionStep {
  return stay({ name: "finished", upload, at });
}

function endInput({ at }: SessionState): SessionStep {
  return stay({ name: "inputOver", at });
}

function tell(state: SessionState, { end, outcomes, counts }: On<"told">): SessionStep {
  const { at } = state;
  const committedOffset = max(end, at.committed);
  const last = at.acks.at(-1);
  const acks =
    last && last.outcomes.length + outcomes.length <= MAX_ACK_OUTCOMES
      ? at.acks.with(-1, {
          committedOffset,
          counts: addCounts(last.counts, counts),
          outcomes: outcomes.length > 0 ? [...last.outcomes, ...outcomes] : last.outcomes,
        })
      : [...at.acks, { committedOffset, counts, outcomes }];
  const expected = max(at.expected, committedOffset);
  return stay({ ...state, at: { ...at, committed: committedOffset, expected, failuresInARow: 0, acks } });
}

function settle(state: SessionState): SessionStep {
  return whenClear({ ...state, at: { ...state.at, inFlight: state.at.inFlight - 1 } });
}

function rewindForStore(state: SessionState, { from, generation }: On<"storeLost">): SessionStep {
  const { at } = state;
  if (generation !== at.generation) return stay(state);
  return rewind("discarding", { ...at, expected: from, generation: generation + 1 }, "STORE_UNAVAILABLE");
}

// Nothing more is read; the client will send what it is asked for on its next connection.
function askAgain(state: SessionState, event: On<"storeLost">): SessionStep {
  const { at } = rewindForStore(state, event).state;
  return stay({ ...state, at });
}

function rewind(name: "discarding", at: Standing, reason: "GAP" | "STORE_UNAVAILABLE"): SessionStep {
  const { expected: expectedOffset } = at;
  const isGap = reason === "GAP";
  const retryAfterMs = isGap ? undefined : Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** at.failuresInARow);
  const failuresInARow = at.failuresInARow + (isGap ? 0 : 1);
  const rewinds = [...at.rewinds, { frame: "rewind", expectedOffset, reason, retryAfterMs } as const];
  return stay({ name, at: { ...at, failuresInARow, rewinds } });
}

function fail(state: SessionState, { error, generation }: On<"failed">): SessionStep {
  const { at } = state;
  if (generation !== undefined && generation !== at.generation) return stay(state);
  return stay({ name: "failed", error, at });
}

function leave({ at }: SessionState): SessionStep {
  return stay({ name: "over", at: { ...at, generation: at.generation + 1 } });
}

function writeOpen(state: SessionState, event: Pulled): SessionStep {
  const { end, isAborted, isHeartbeatDue } = event;
  const { committed, inFlight } = state.at;
  const sent = sendWaiting(state, event);
  if (sent) return sent;
  if (isAborted) return last(state);
  if (end && inFlight === 0) return last(state, { frame: "closing", reason: end }, { error: streamEndError(end) });
  if (end || !isHeartbeatDue) return { state, effects: [{ effect: "rest" }] };
  return { state, effects: [{ effect: "send", frame: { frame: "heartbeat", committedOffset: committed } }] };
}

function writeUnfinished(state: In<"inputOver">, event: Pulled): SessionStep {
  if (event.isAborted || event.end || state.at.inFlight > 0) return writeOpen(state, event);
  const { committed } = state.at;
  return (
    sendWaiting(state, event) ??
    last(state, { frame: "closing", reason: "NOT_FINISHED" }, { error: notFinished(committed) })
  );
}

function writeFailed(state: In<"failed">, event: Pulled): SessionStep {
  return sendWaiting(state, event) ?? (event.isAborted ? last(state) : last(state, undefined, { error: state.error }));
}

function writeFinished(state: In<"finished">, event: Pulled): SessionStep {
  return sendWaiting(state, event) ?? last(state, { frame: "finished", upload: state.upload });
}

// Sends Acks first, then credit, then Rewinds.
function sendWaiting(state: SessionState, { hasRoom }: Pulled): SessionStep | undefined {
  const { at } = state;
  const [told, ...acks] = at.acks;
  const committedOffset = told?.committedOffset ?? at.committed;
  const limit = committedOffset + windowAt(at, committedOffset);
  const creditOwed = hasRoom && limit > at.sendLimit;
  if (told || creditOwed) {
    const sendLimit = creditOwed ? limit : at.sendLimit;
    const { counts, outcomes } = told ?? { counts: countVerdicts([]), outcomes: [] };
    const frame = { frame: "ack", committedOffset, counts, outcomes, sendLimitOffset: sendLimit } as const;
    const next = whenClear({ ...state, at: { ...at, acks, sendLimit } });
    return { state: next.state, effects: [{ effect: "send", frame }, ...next.effects] };
  }
  const [frame, ...rewinds] = at.rewinds;
  return frame && { state: { ...state, at: { ...at, rewinds } }, effects: [{ effect: "send", frame }] };
}

function last(state: SessionState, frame?: ServerFrame, failure?: { error: unknown }): SessionStep {
  const sent = frame ? [{ effect: "send", frame } as const] : [];
  return { state, effects: [...sent, failure ? { effect: "end", failure } : { effect: "end" }] };
}

// The window grows by what has been committed on this stream: a client whose records are accepted
// may have more of them on the way, so that a commit takes more.
function windowAt({ windowRecords, openedAt }: Standing, committedOffset: bigint): bigint {
  const grown = windowRecords + committedOffset - openedAt;
  return grown < windowRecords * WINDOW_GROWTH ? grown : windowRecords * WINDOW_GROWTH;
}

function waitingOutcomes(at: Standing): number {
  return at.acks.reduce((sum, ack) => sum + ack.outcomes.length, 0);
}

function max(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}

function pastCredit(end: bigint, sendLimit: bigint): TandemError {
  const limit = String(sendLimit);
  const message = `a batch ended at offset ${end}, past send_limit_offset ${limit}`;
  return new TandemError("FLOW_CONTROL_VIOLATION", message, { send_limit_offset: limit });
}

// An end without an error would look like success.
function notFinished(committedOffset: bigint): TandemError {
  const committed = String(committedOffset);
  const message = `the client ended the stream without Finish; ${committed} records are committed, and the upload stays open`;
  return new TandemError("UPLOAD_NOT_FINISHED", message, { committed_offset: committed });
}
