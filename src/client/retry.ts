import { setTimeout as delay } from "node:timers/promises";
import { isRetryable, TandemClientError, tandemReason } from "./errors.ts";
import { explainFailure, isMisaddressed } from "./failure.ts";

/** How a follower or an uploader comes back after a cut. */
export interface RetryOptions {
  /** The longest first wait, milliseconds. Default 200. */
  readonly initialDelayMs?: number;
  /** The longest wait, milliseconds, unless the server asks for a longer one. Default 30,000. */
  readonly maxDelayMs?: number;
  /**
   * How many attempts in a row may make no progress before it gives up. Default 100, about 50
   * minutes.
   */
  readonly maxAttempts?: number;
}

/** A connection was lost, or could not be made. */
export interface CutEvent {
  readonly kind: "CUT";
  readonly error: unknown;
  /** The error in words, with what to look at first. */
  readonly why: string;
}

/** The next attempt is made. */
export interface ResumingEvent {
  readonly kind: "RESUMING";
  readonly delayMs: number;
  readonly resumes: number;
  /** How many attempts in a row have made no progress. */
  readonly fruitless: number;
  /** After this many it gives up. */
  readonly most: number;
}

export function cutEvent(error: unknown): CutEvent {
  return { kind: "CUT", error, why: explainFailure(error) };
}

/**
 * For callers that hear no events: warns once in an outage, so that nobody waits for hours for an
 * address that is wrong.
 */
export function warnOfCuts(what: string): (event: { readonly kind: string } | CutEvent) => void {
  let isWarned = false;
  return (event) => {
    if (event.kind === "OPENED") isWarned = false;
    if (!("why" in event) || isWarned) return;
    isWarned = true;
    process.emitWarning(`${what} was cut off and is tried again: ${event.why}`, { code: "TANDEM_CUT" });
  };
}

/**
 * Counts attempts without progress and waits between them: exponential with full jitter, so that
 * clients that were cut together do not come back together.
 */
export class Retry {
  readonly #initialDelayMs: number;
  readonly #maxDelayMs: number;
  readonly #maxAttempts: number;
  #fruitless = 0;
  #hasAnswered = false;

  constructor(options: RetryOptions = {}) {
    this.#initialDelayMs = options.initialDelayMs ?? 200;
    this.#maxDelayMs = options.maxDelayMs ?? 30_000;
    this.#maxAttempts = options.maxAttempts ?? 100;
  }

  /**
   * To be called when Tandem has answered: from now on no failure to reach it is taken for a wrong
   * address.
   */
  answered(): void {
    this.#hasAnswered = true;
  }

  /** To be called when the server has made progress. */
  progressed(): void {
    this.answered();
    this.#fruitless = 0;
  }

  /** How many attempts in a row have made no progress, and how many may. */
  get attempts(): { readonly fruitless: number; readonly most: number } {
    return { fruitless: this.#fruitless, most: this.#maxAttempts };
  }

  /**
   * How long to wait before the next attempt after `error`, milliseconds; throws the error, typed,
   * when there must be none.
   */
  delayAfter(error: unknown): number {
    if (!isRetryable(error)) throw surfaced(error);
    if (tandemReason(error) !== undefined) this.answered();
    if (!this.#hasAnswered && isMisaddressed(error))
      throw new TandemClientError("UNREACHABLE", explainFailure(error), { cause: error });
    this.#fruitless += 1;
    if (this.#fruitless >= this.#maxAttempts) {
      const message = `gave up after ${this.#fruitless} attempts without progress: ${explainFailure(error)}`;
      throw new TandemClientError("EXHAUSTED", message, { cause: error });
    }
    const ceilingMs = Math.min(this.#maxDelayMs, this.#initialDelayMs * 2 ** Math.min(this.#fruitless - 1, 30));
    return Math.max(Math.random() * ceilingMs, tandemReason(error)?.retryAfterMs ?? 0);
  }

  /** How long to wait after an end that the server announced, milliseconds. */
  delayAfterClosing(retryAfterMs: number | undefined): number {
    return (retryAfterMs ?? 0) + Math.random() * this.#initialDelayMs;
  }
}

/** Waits, or returns early when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // A longer timer would fire at once.
  const boundedMs = Math.min(ms, 2 ** 31 - 1);
  await delay(boundedMs, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

function surfaced(error: unknown): unknown {
  const tandem = tandemReason(error);
  if (tandem === undefined || error instanceof TandemClientError) return error;
  const message = `the server refused: ${tandem.reason}: ${error instanceof Error ? error.message : ""}`;
  return new TandemClientError("REFUSED", message, { cause: error, tandem });
}
