import type { UploadOpened } from "../gen/tandem/type/v1/upload_pb.js";
import {
  type AttemptEffect,
  type AttemptEvent,
  type AttemptState,
  beginAttempt,
  stepAttempt,
} from "./attempt-state.ts";
import { CallerFault, msFromDuration } from "./errors.ts";
import { pause } from "./retry.ts";
import type { ClientFrame } from "./upload-frames.ts";
import type { RunningTotals, UploadSource } from "./upload-source.ts";

const DEAD_AFTER_HEARTBEATS = 3;
const DEFAULT_MAX_BATCH_RECORDS = 2_000;

export interface UploadAttemptOptions<Rec> {
  readonly uploadId: string;
  readonly source: UploadSource<Rec>;
  readonly totals: RunningTotals<Rec>;
  readonly batchRecords: number;
  readonly acknowledgedOffset: number;
  readonly validateOnly: boolean;
}

/**
 * The sending side of one connection: the I/O around the states of attempt-state.ts. `frames` is
 * pulled by the transport, so that HTTP/2's flow control holds it back; the receiving side tells it
 * what the server said.
 */
export class UploadAttempt<Rec> {
  readonly #options: UploadAttemptOptions<Rec>;
  #state: AttemptState;
  /** What was read or summed last and is not sent yet. */
  #prepared: ClientFrame<Rec> | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(options: UploadAttemptOptions<Rec>) {
    this.#options = options;
    this.#state = beginAttempt(options.batchRecords, options.validateOnly, performance.now());
  }

  /** What went wrong on the sending side; the transport shows it only as a broken call. */
  get fault(): unknown {
    return this.#state.name === "failed" ? this.#state.fault : undefined;
  }

  /** The committed offset that the server opened with. */
  get committedAtOpen(): number {
    return this.#state.at.committedAtOpen;
  }

  /** Where this connection began to send. */
  get sentFrom(): number {
    return this.#state.at.sentFrom;
  }

  /** How long the server may be silent, milliseconds. */
  silenceMs(): number {
    return DEAD_AFTER_HEARTBEATS * this.#state.at.heartbeatMs;
  }

  /**
   * The server is ready; `sendFrom` lies before its committed offset when old outcomes are wanted
   * again.
   */
  opened({ committedOffset, sendLimitOffset, limits }: UploadOpened, sendFrom: number): void {
    const interval = limits?.heartbeatInterval;
    this.#happened({
      event: "opened",
      committed: Number(committedOffset),
      sendFrom,
      sendLimit: Number(sendLimitOffset),
      heartbeatMs: interval && Math.max(msFromDuration(interval), 1),
      maxBatchRecords: limits?.maxBatchRecords || DEFAULT_MAX_BATCH_RECORDS,
    });
  }

  committed(offset: number): void {
    this.#happened({ event: "committed", offset });
  }

  raiseSendLimit(sendLimit: number): void {
    this.#happened({ event: "credited", sendLimit });
  }

  rewind(offset: number, waitMs: number): void {
    this.#happened({ event: "rewound", offset, notBefore: performance.now() + waitMs });
  }

  /** The frames to send, ended by `signal`. */
  async *frames(signal: AbortSignal): AsyncGenerator<ClientFrame<Rec>, void, undefined> {
    const { uploadId, acknowledgedOffset, validateOnly } = this.#options;
    yield { case: "open", value: { uploadId, acknowledgedOffset: BigInt(acknowledgedOffset), validateOnly } };
    while (!signal.aborted && this.#state.name !== "over") {
      const changed = this.#changed.promise;
      for (const effect of this.#step({ event: "pulled", now: performance.now() })) {
        if (effect.effect === "rest") await restUntil(effect.until, changed, signal);
        const frame = this.#perform(effect, signal);
        if (frame) yield frame;
      }
    }
  }

  #perform(effect: AttemptEffect, signal: AbortSignal): ClientFrame<Rec> | undefined {
    switch (effect.effect) {
      case "fail":
        throw effect.fault;
      case "sendKeepAlive":
        return { case: "keepAlive", value: {} };
      case "sendBatch":
      case "sendFinish":
        return this.#prepared;
      case "read":
      case "sum":
        void this.#prepare(effect, signal);
        return undefined;
      case "rest":
        return undefined;
      default:
        return effect satisfies never;
    }
  }

  async #prepare(effect: AttemptEffect & { effect: "read" | "sum" }, signal: AbortSignal): Promise<void> {
    try {
      if (effect.effect === "read") {
        const { offset, limit } = effect;
        const records = await this.#options.source.read(offset, limit, signal);
        this.#options.totals.add(offset, records);
        this.#prepared = { case: "batch", value: { firstOffset: BigInt(offset), records: [...records] } };
        this.#happened({ event: "read", offset, count: records.length });
      } else {
        const { finalOffset } = effect;
        const connectedDurationMs = await this.#options.totals.through(
          finalOffset,
          this.#state.at.batchRecords,
          signal,
        );
        const totals = { recordCount: BigInt(finalOffset), connectedDurationMs };
        this.#prepared = { case: "finish", value: { finalOffset: BigInt(finalOffset), totals } };
        this.#happened({ event: "summed" });
      }
    } catch (error) {
      // A source that stops because the connection has ended is no fault.
      if (signal.aborted) return;
      this.#happened({ event: "failed", fault: new CallerFault("the caller's source failed", { cause: error }) });
    }
  }

  #happened(event: AttemptEvent): void {
    this.#step(event);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #step(event: AttemptEvent): readonly AttemptEffect[] {
    try {
      const { state, effects } = stepAttempt(this.#state, event);
      this.#state = state;
      return effects;
    } catch (fault) {
      // An impossible step is a fault of ours. It ends this upload, and not the process.
      this.#state = { name: "failed", fault, at: this.#state.at };
      return [];
    }
  }
}

/** Waits until something changes, or a KeepAlive is due, or a Rewind's pause is over. */
async function restUntil(until: number, changed: Promise<void>, signal: AbortSignal): Promise<void> {
  const wait = new AbortController();
  const stop = () => wait.abort();
  signal.addEventListener("abort", stop, { once: true });
  try {
    await Promise.race([changed, pause(Math.max(until - performance.now(), 1), wait.signal)]);
  } finally {
    stop();
    signal.removeEventListener("abort", stop);
  }
}
