/**
 * The states of the sending side of one connection of an upload, without its I/O
 * (upload-attempt.ts).
 *
 * It is *opening* until the server says Opened. Then it is *idle* until there is something to
 * send: it *reads* the next batch, which is *ready* until the transport takes it. Once the source
 * has ended and all is committed, it *sums* the control totals and *closes* with Finish. It is
 * *over* after that; a source that fails makes it *failed*.
 *
 * A Rewind sets a new course: what was read for the old one is thrown away.
 *
 * What always holds, each by the test of its name in attempt-state.test.ts:
 * - Nothing but Open is sent before Opened.
 * - Batches of one course follow each other, from where its Rewind asked.
 * - No batch reaches past the credit.
 * - A batch that the credit cuts short is read only when nothing is in flight.
 * - One reading at a time.
 * - Nothing is sent in a Rewind's pause but KeepAlive, and that when it is due.
 * - Finish comes last, with all of the source committed, and never for an old course.
 */
import { impossible, type StateTable, type Step, stay, stepOf } from "../domain/state-table.ts";

/** What is known of the connection, in every state. Offsets are counts of records. */
interface Standing {
  /** A validation commits nothing. */
  readonly validateOnly: boolean;
  /** Most records a batch. */
  readonly batchRecords: number;
  readonly heartbeatMs: number;
  /** The committed offset that the server opened with. */
  readonly committedAtOpen: number;
  /** Where this connection began to send. */
  readonly sentFrom: number;
  readonly committed: number;
  /** Where the next batch to be read begins. */
  readonly next: number;
  readonly sendLimit: number;
  /** Where the source ends, once it has said so. */
  readonly sourceEnd: number | undefined;
  readonly course: number;
  /** A Rewind's pause lasts until then. */
  readonly notBefore: number;
  readonly sentAt: number;
}

type Named =
  | { readonly name: "opening" | "idle" | "over" }
  | { readonly name: "reading" | "ready" | "summing" | "closing"; readonly course: number }
  | { readonly name: "failed"; readonly fault: unknown };
export type AttemptState = Named & { readonly at: Standing };

export type AttemptEvent =
  | {
      readonly event: "opened";
      readonly committed: number;
      readonly sendFrom: number;
      readonly sendLimit: number;
      readonly heartbeatMs: number | undefined;
      readonly maxBatchRecords: number;
    }
  | { readonly event: "committed"; readonly offset: number }
  | { readonly event: "credited"; readonly sendLimit: number }
  | { readonly event: "rewound"; readonly offset: number; readonly notBefore: number }
  /** Records were read at `offset`; none: the source ends there. */
  | { readonly event: "read"; readonly offset: number; readonly count: number }
  | { readonly event: "summed" }
  | { readonly event: "failed"; readonly fault: unknown }
  /** The transport takes a frame. */
  | { readonly event: "pulled"; readonly now: number };

export type AttemptEffect =
  | { readonly effect: "read"; readonly offset: number; readonly limit: number }
  | { readonly effect: "sum"; readonly finalOffset: number }
  /** What was read, or summed. */
  | { readonly effect: "sendBatch" | "sendFinish" | "sendKeepAlive" }
  /** Rest until something happens, or until this time. */
  | { readonly effect: "rest"; readonly until: number }
  | { readonly effect: "fail"; readonly fault: unknown };

type AttemptStep = Step<AttemptState, AttemptEffect>;
type In<Name extends AttemptState["name"]> = AttemptState & { readonly name: Name };
type On<Name extends AttemptEvent["event"]> = AttemptEvent & { readonly event: Name };

const OPEN = { opened: reopen, committed: commit, credited: credit, rewound: rewind, failed: impossible };
const STILL = { read: impossible, summed: impossible };
const DONE = { opened: stay, committed: stay, credited: stay, rewound: stay, ...STILL, failed: impossible };

export const ATTEMPT_TABLE: StateTable<AttemptState, AttemptEvent, AttemptEffect> = {
  opening: { ...OPEN, ...STILL, opened: open, committed: stay, credited: stay, rewound: stay, pulled: restOpening },
  idle: { ...OPEN, ...STILL, pulled: prepareNext },
  reading: { ...OPEN, ...STILL, read: takeRead, failed: fail, pulled: keepAlive },
  ready: { ...OPEN, ...STILL, pulled: sendBatch },
  summing: { ...OPEN, ...STILL, summed: takeSum, failed: fail, pulled: keepAlive },
  closing: { ...OPEN, ...STILL, pulled: sendFinish },
  over: { ...DONE, pulled: impossible },
  failed: { ...DONE, pulled: tellFault },
};

/** One step of an attempt. */
export const stepAttempt = stepOf(ATTEMPT_TABLE);

const DEFAULT_HEARTBEAT_MS = 15_000;

/** The state in which a connection begins. */
export function beginAttempt(batchRecords: number, validateOnly: boolean, now: number): AttemptState {
  const offsets = { committedAtOpen: 0, sentFrom: 0, committed: 0, next: 0, sendLimit: 0, sourceEnd: undefined };
  const times = { heartbeatMs: DEFAULT_HEARTBEAT_MS, course: 0, notBefore: 0, sentAt: now };
  return { name: "opening", at: { validateOnly, batchRecords, ...offsets, ...times } };
}

function open({ at }: AttemptState, opened: On<"opened">): AttemptStep {
  const { committed, sendFrom, sendLimit } = opened;
  const offsets = { committedAtOpen: committed, committed, next: sendFrom, sentFrom: sendFrom, sendLimit };
  const heartbeatMs = opened.heartbeatMs ?? at.heartbeatMs;
  const batchRecords = Math.max(1, Math.min(at.batchRecords, opened.maxBatchRecords));
  return stay({ name: "idle", at: { ...at, ...offsets, heartbeatMs, batchRecords } });
}

// A server that says Opened again says where to go on.
function reopen(state: AttemptState, opened: On<"opened">): AttemptStep {
  const { at } = open(state, opened).state;
  return rewind({ ...state, at }, { event: "rewound", offset: opened.sendFrom, notBefore: at.notBefore });
}

function commit(state: AttemptState, { offset }: On<"committed">): AttemptStep {
  const { at } = state;
  return stay({ ...state, at: { ...at, committed: Math.max(at.committed, offset) } });
}

function credit(state: AttemptState, { sendLimit }: On<"credited">): AttemptStep {
  const { at } = state;
  return stay({ ...state, at: { ...at, sendLimit: Math.max(at.sendLimit, sendLimit) } });
}

// A reading that is under way goes on to its end: the source gets one request at a time.
function rewind(state: AttemptState, { offset, notBefore }: On<"rewound">): AttemptStep {
  const at = { ...state.at, course: state.at.course + 1, next: offset, notBefore };
  return stay(state.name === "ready" || state.name === "closing" ? { name: "idle", at } : { ...state, at });
}

function takeRead({ course, at }: In<"reading">, { offset, count }: On<"read">): AttemptStep {
  if (course !== at.course) return stay({ name: "idle", at });
  if (count === 0) return stay({ name: "idle", at: { ...at, sourceEnd: offset } });
  return stay({ name: "ready", course, at: { ...at, next: offset + count } });
}

function takeSum({ course, at }: In<"summing">): AttemptStep {
  return stay(course === at.course ? { name: "closing", course, at } : { name: "idle", at });
}

function fail({ at }: AttemptState, { fault }: On<"failed">): AttemptStep {
  return stay({ name: "failed", fault, at });
}

// A batch must be read before it can be sent; the reading is begun, and KeepAlives go on meanwhile.
function prepareNext(state: In<"idle">, pulled: On<"pulled">): AttemptStep {
  const { at } = state;
  const { next, sourceEnd, committed, course } = at;
  if (pulled.now < at.notBefore) return keepAlive(state, pulled);
  if (sourceEnd !== undefined && next >= sourceEnd) {
    // Finish is sent when all is committed, so that no Rewind can cross it.
    if (!at.validateOnly && committed < sourceEnd) return keepAlive(state, pulled);
    const finalOffset = Math.max(sourceEnd, at.committedAtOpen);
    return begin({ name: "summing", course, at }, { effect: "sum", finalOffset }, pulled);
  }
  const room = at.sendLimit - next;
  // A batch that is cut to the last few records of the credit costs a commit of its own: wait for
  // more credit, unless nothing else would move.
  if (room <= 0 || (room < at.batchRecords && next > committed)) return keepAlive(state, pulled);
  const limit = Math.min(room, at.batchRecords);
  return begin({ name: "reading", course, at }, { effect: "read", offset: next, limit }, pulled);
}

function begin(state: AttemptState, effect: AttemptEffect, pulled: On<"pulled">): AttemptStep {
  const { state: next, effects } = keepAlive(state, pulled);
  return { state: next, effects: [effect, ...effects] };
}

// The server measures silence from the last frame that it got, whatever it sends meanwhile.
function keepAlive(state: AttemptState, { now }: On<"pulled">): AttemptStep {
  const { notBefore, sentAt, heartbeatMs } = state.at;
  const dueAt = sentAt + heartbeatMs;
  if (now >= dueAt) return send(state, "sendKeepAlive", now);
  const until = notBefore > now ? Math.min(notBefore, dueAt) : dueAt;
  return { state, effects: [{ effect: "rest", until }] };
}

function restOpening(state: In<"opening">, { now }: On<"pulled">): AttemptStep {
  return { state, effects: [{ effect: "rest", until: now + state.at.heartbeatMs }] };
}

function sendBatch({ at }: In<"ready">, { now }: On<"pulled">): AttemptStep {
  return send({ name: "idle", at }, "sendBatch", now);
}

function sendFinish({ at }: In<"closing">, { now }: On<"pulled">): AttemptStep {
  return send({ name: "over", at }, "sendFinish", now);
}

function send(state: AttemptState, effect: "sendBatch" | "sendFinish" | "sendKeepAlive", now: number): AttemptStep {
  return { state: { ...state, at: { ...state.at, sentAt: now } }, effects: [{ effect }] };
}

function tellFault(state: In<"failed">): AttemptStep {
  return { state, effects: [{ effect: "fail", fault: state.fault }] };
}
