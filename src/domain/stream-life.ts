import { type ErrorReason, TandemError } from "./errors.ts";

/** Why the server ends a stream that could have gone on. */
export type StreamEnd = "DRAINING" | "MAX_AGE" | "CREDENTIAL_EXPIRING" | "SUSPENDED" | "SLOW_CONSUMER" | "IDLE";

/** What a long stream asks while it lives: whether to go on. */
export interface StreamLife {
  /** Aborts when the client has left or the server ends the stream; every wait takes it. */
  readonly signal: AbortSignal;
  /** Why the server wants it to end; undefined if it may go on, or the client has left. */
  readonly end: StreamEnd | undefined;
  /** Ends the stream by force: its client does not read, so that nothing in band would reach it. */
  reset(): void;
}

/** The error after a stream's Closing: no client may take a planned end for the end of the data. */
export function streamEndError(end: StreamEnd): TandemError {
  return new TandemError(...STREAM_ENDS[end]);
}

const STREAM_ENDS: Readonly<Record<StreamEnd, readonly [reason: ErrorReason, message: string]>> = {
  DRAINING: ["DRAINING", "the server is shutting down: call again and resume"],
  MAX_AGE: ["STREAM_MAX_AGE", "the stream has reached its age limit: call again and resume"],
  CREDENTIAL_EXPIRING: ["CREDENTIAL_EXPIRED", "the credential has expired: get a new one and resume"],
  SUSPENDED: ["CARRIER_SUSPENDED", "the platform has suspended this carrier"],
  SLOW_CONSUMER: ["SLOW_CONSUMER", "the client did not read the stream for too long: call again and resume"],
  IDLE: ["STREAM_IDLE", "the client sent nothing for three heartbeat intervals: call again and resume"],
};

/** Least time for a stalled client to read on before the reset, milliseconds. */
const MIN_STALL_GRACE_MS = 5_000;

/**
 * Watches whether a stream's client reads. A generator that waits at a yield cannot act, so a clock
 * runs beside it. After the limit it marks the stream as stalled. After as long again it resets it:
 * nothing reaches a client that does not read. Dispose it when the stream ends.
 */
export class StallWatch implements Disposable {
  readonly #limitMs: number;
  readonly #life: StreamLife;
  #timer: NodeJS.Timeout | undefined;
  /** Whether a message was left unread for longer than the limit. */
  stalled = false;

  constructor(limitMs: number, life: StreamLife) {
    this.#limitMs = limitMs;
    this.#life = life;
  }

  /** Starts the clock for a message that is about to be yielded, and returns it. */
  watch<T>(message: T): T {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.stalled = true;
      this.#timer = setTimeout(() => this.#life.reset(), Math.max(this.#limitMs, MIN_STALL_GRACE_MS));
    }, this.#limitMs);
    return message;
  }

  /** Stops the clock: the message was taken. */
  resumed(): void {
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
