import { timestampMs } from "@bufbuild/protobuf/wkt";
import type {
  RecordOutcome,
  UploadAck,
  UploadClosing,
  UploadClosingReason,
  UploadFinished,
  UploadOpened,
  UploadReceipt,
  UploadRewind,
  UploadRewindReason,
} from "../gen/tandem/type/v1/upload_pb.js";
import { CallerFault, msFromDuration, StreamBroken, TandemClientError, tandemReason } from "./errors.ts";
import { receive } from "./receive.ts";
import { type CutEvent, cutEvent, pause, type ResumingEvent, Retry, type RetryOptions, warnOfCuts } from "./retry.ts";
import { UploadAttempt } from "./upload-attempt.ts";
import type { UploadChannel } from "./upload-frames.ts";
import { RunningTotals, type UploadSource } from "./upload-source.ts";

/** What happens to an upload, for progress bars, logs and metrics. */
export type UploadEvent =
  | {
      readonly kind: "OPENED";
      readonly committedOffset: number;
      readonly writerEpoch: bigint;
      /**
       * What got its acknowledgement or its receipt since then may be lost, milliseconds since
       * 1970: send it again under a new upload, once for each value. Undefined: nothing is known to
       * be lost.
       */
      readonly lostSinceMs: number | undefined;
    }
  /**
   * Store the offset, if the upload is to be resumed by another process, and give it back as
   * `acknowledgedOffset`.
   */
  | { readonly kind: "COMMITTED"; readonly committedOffset: number; readonly outcomes: readonly RecordOutcome[] }
  | { readonly kind: "REWOUND"; readonly expectedOffset: number; readonly reason: UploadRewindReason }
  | { readonly kind: "CLOSING"; readonly reason: UploadClosingReason; readonly retryAfterMs: number | undefined }
  | CutEvent
  | ResumingEvent;

/** The options of every upload. */
export interface UploadOptions<Rec> {
  /**
   * Names the upload for ever: 1 to 128 characters of `[A-Za-z0-9._:-]`. The same id with the same
   * source resumes it.
   */
  readonly uploadId: string;
  readonly source: UploadSource<Rec>;
  /** The highest committed offset that an earlier process was told. Default 0. */
  readonly acknowledgedOffset?: number;
  /** Records a batch, at most what the server allows. Default 500. */
  readonly batchRecords?: number;
  /** Judge every record and store nothing. Default false. */
  readonly validateOnly?: boolean;
  /**
   * Sends records again whose Ack was lost in a cut or came to an earlier process, so that no
   * outcome is missed: the server answers them with the stored verdicts. What is sealed by then,
   * `uploadDurations` asks ListRejects for. Default true.
   */
  readonly replayLostOutcomes?: boolean;
  /** How many outcomes to keep for the result; all are told in `onEvent`. Default 100,000. */
  readonly maxOutcomes?: number;
  readonly signal?: AbortSignal;
  /**
   * Hears of what happens. It must not throw. Default: a process warning for the first cut of an
   * outage.
   */
  readonly onEvent?: (event: UploadEvent) => void;
  readonly retry?: RetryOptions;
}

/** A finished upload. */
export interface UploadResult {
  readonly receipt: UploadReceipt;
  /**
   * What was more than plainly accepted, by offset. `uploadDurations` asks for what it was not
   * told, such as of an upload that was sealed before; `ingestCdrs` has none of that.
   */
  readonly outcomes: readonly RecordOutcome[];
  /** How many outcomes were not kept, over `maxOutcomes`. */
  readonly droppedOutcomeCount: number;
  /** How often the stream was opened again. */
  readonly resumes: number;
}

/**
 * Uploads a source to its end and comes back after every cut, at the offset that the server has
 * committed. `uploadDurations` and `ingestCdrs` are made of it.
 *
 * Throws a `TandemClientError`: REFUSED with `UPLOAD_SUPERSEDED` (another process has opened the
 * upload: leave it to that one), `UPLOAD_HISTORY_LOST`, `OFFSET_CONTENT_MISMATCH` or
 * `UPLOAD_SEALED` (start a new upload from the source: identities deduplicate),
 * `CONTROL_TOTAL_MISMATCH` and what else no retry can cure; SOURCE when the source is shorter than
 * what was committed; EXHAUSTED when attempts ran out. Throws the signal's reason when it is
 * aborted, and what the source throws.
 */
export async function uploadRecords<Rec>(
  channel: UploadChannel<Rec>,
  givenOptions: UploadOptions<Rec>,
): Promise<UploadResult> {
  const options = { ...givenOptions, onEvent: givenOptions.onEvent ?? warnOfCuts(`upload ${givenOptions.uploadId}`) };
  const signal = options.signal ?? new AbortController().signal;
  const uploader = new Uploader(channel, options);
  let resumes = 0;
  while (true) {
    signal.throwIfAborted();
    const end = await uploader.runOnce(signal);
    if (typeof end !== "number") return { receipt: end, ...uploader.outcomes(), resumes };
    resumes += 1;
    options.onEvent({ kind: "RESUMING", delayMs: end, resumes, ...uploader.attempts });
    await pause(end, signal);
  }
}

/** What lasts from one connection to the next. */
class Uploader<Rec> {
  readonly #channel: UploadChannel<Rec>;
  readonly #options: UploadOptions<Rec>;
  readonly #retry: Retry;
  readonly #totals: RunningTotals<Rec>;
  readonly #outcomes = new Map<bigint, RecordOutcome>();
  #droppedOutcomeCount = 0;
  /** The highest committed offset that the server has told. */
  #told: number;
  /** Below this, every outcome has been received. */
  #heard = 0;
  #batchRecords: number;

  constructor(channel: UploadChannel<Rec>, options: UploadOptions<Rec>) {
    this.#channel = channel;
    this.#options = options;
    this.#retry = new Retry(options.retry);
    this.#totals = new RunningTotals(options.source, channel.connectedDurationMsOf);
    this.#told = options.acknowledgedOffset ?? 0;
    this.#batchRecords = options.batchRecords ?? 500;
  }

  get attempts(): Retry["attempts"] {
    return this.#retry.attempts;
  }

  outcomes(): Pick<UploadResult, "outcomes" | "droppedOutcomeCount"> {
    const outcomes = [...this.#outcomes.values()].sort((a, b) => Number(a.recordOffset - b.recordOffset));
    return { outcomes, droppedOutcomeCount: this.#droppedOutcomeCount };
  }

  /**
   * One connection. Returns the receipt, or how long to wait before the next, or throws when there
   * must be none.
   */
  async runOnce(signal: AbortSignal): Promise<UploadReceipt | number> {
    if (this.#options.validateOnly === true) this.#told = this.#heard = 0;
    const attempt = new UploadAttempt<Rec>({
      uploadId: this.#options.uploadId,
      source: this.#options.source,
      totals: this.#totals,
      batchRecords: this.#batchRecords,
      acknowledgedOffset: this.#told,
      validateOnly: this.#options.validateOnly ?? false,
    });
    try {
      return await this.#converse(attempt, signal);
    } catch (error) {
      const cause = attempt.fault ?? error;
      if (cause instanceof CallerFault) throw cause.cause;
      signal.throwIfAborted();
      this.#options.onEvent?.(cutEvent(cause));
      if (this.#shrinkBatches(cause)) return 0;
      return this.#retry.delayAfter(cause);
    }
  }

  async #converse(attempt: UploadAttempt<Rec>, signal: AbortSignal): Promise<UploadReceipt | number> {
    const frames = receive({
      open: (ends) => this.#channel.open(attempt.frames(ends), ends),
      signal,
      silenceMs: () => attempt.silenceMs(),
    });
    for await (const frame of frames) {
      switch (frame.case) {
        case "opened":
          this.#opened(attempt, frame.value);
          break;
        case "ack":
          this.#acknowledged(attempt, frame.value);
          break;
        case "rewind":
          this.#rewound(attempt, frame.value);
          break;
        case "heartbeat":
          this.#committed(attempt, Number(frame.value.committedOffset));
          break;
        case "closing":
          return this.#closing(frame.value);
        case "finished":
          return await this.#finished(frame.value, signal);
        case undefined:
          // A frame of a newer server.
          break;
        default:
          throw new StreamBroken(`unknown frame ${frame satisfies never}`);
      }
    }
    throw new StreamBroken("the stream ended without Closing or a receipt");
  }

  #opened(attempt: UploadAttempt<Rec>, opened: UploadOpened): void {
    this.#retry.answered();
    const committedOffset = Number(opened.committedOffset);
    if (committedOffset < this.#told) throw this.#historyLost(committedOffset);
    const replays = this.#options.replayLostOutcomes ?? true;
    if (!replays) this.#heard = committedOffset;
    this.#told = committedOffset;
    attempt.opened(opened, Math.min(this.#heard, committedOffset));
    const { writerEpoch, lostSince } = opened;
    const lostSinceMs = lostSince && timestampMs(lostSince);
    this.#options.onEvent?.({ kind: "OPENED", committedOffset, writerEpoch, lostSinceMs });
  }

  #acknowledged(attempt: UploadAttempt<Rec>, ack: UploadAck): void {
    for (const outcome of ack.outcomes) this.#keep(outcome);
    const committedOffset = Number(ack.committedOffset);
    // While old records are sent again, an Ack does not say how many of those it answers; with the
    // first new commit all are answered.
    if (committedOffset > attempt.committedAtOpen) this.#heard = Math.max(this.#heard, committedOffset);
    this.#committed(attempt, committedOffset);
    attempt.raiseSendLimit(Number(ack.sendLimitOffset));
    this.#options.onEvent?.({ kind: "COMMITTED", committedOffset: this.#told, outcomes: ack.outcomes });
  }

  #committed(attempt: UploadAttempt<Rec>, committedOffset: number): void {
    this.#retry.progressed();
    this.#told = Math.max(this.#told, committedOffset);
    attempt.committed(committedOffset);
  }

  #rewound(attempt: UploadAttempt<Rec>, rewind: UploadRewind): void {
    const expectedOffset = Number(rewind.expectedOffset);
    // The server may ask again for records that were sent again for their outcomes; those before
    // are committed, and may be gone.
    if (expectedOffset < Math.min(this.#told, attempt.sentFrom)) throw this.#historyLost(expectedOffset);
    attempt.rewind(expectedOffset, rewind.retryAfter === undefined ? 0 : msFromDuration(rewind.retryAfter));
    this.#options.onEvent?.({ kind: "REWOUND", expectedOffset, reason: rewind.reason });
  }

  /**
   * An upload may have been sealed for idleness, or by a process that had less of the source: what
   * lies beyond is not uploaded, whatever the receipt says.
   */
  async #finished({ receipt }: UploadFinished, signal: AbortSignal): Promise<UploadReceipt> {
    if (receipt === undefined) throw new StreamBroken("Finished came without a receipt");
    const finalOffset = Number(receipt.finalOffset);
    const beyond = await this.#options.source.read(finalOffset, 1, signal);
    if (beyond.length === 0) return receipt;
    const message = `the upload was sealed at ${finalOffset} and its source goes on: upload the source again under a new id`;
    throw new TandemClientError("REFUSED", message, {
      tandem: { reason: "UPLOAD_SEALED", metadata: { upload_id: receipt.uploadId, final_offset: String(finalOffset) } },
    });
  }

  #closing({ reason, retryAfter }: UploadClosing): number {
    const retryAfterMs = retryAfter && msFromDuration(retryAfter);
    this.#options.onEvent?.({ kind: "CLOSING", reason, retryAfterMs });
    return this.#retry.delayAfterClosing(retryAfterMs);
  }

  #keep(outcome: RecordOutcome): void {
    const isNew = !this.#outcomes.has(outcome.recordOffset);
    if (isNew && this.#outcomes.size >= (this.#options.maxOutcomes ?? 100_000)) {
      this.#droppedOutcomeCount += 1;
      return;
    }
    this.#outcomes.set(outcome.recordOffset, outcome);
  }

  /**
   * A batch of 500 records near their size limit is too large a message. Halving finds the size
   * without measuring each batch.
   */
  #shrinkBatches(error: unknown): boolean {
    if (tandemReason(error)?.reason !== "MESSAGE_TOO_LARGE" || this.#batchRecords === 1) return false;
    this.#batchRecords = Math.ceil(this.#batchRecords / 2);
    return true;
  }

  #historyLost(committedOffset: number): TandemClientError {
    const metadata = { committed_offset: String(committedOffset) };
    const message = `the server had acknowledged ${this.#told} records and now has ${committedOffset}: start a new upload`;
    return new TandemClientError("REFUSED", message, { tandem: { reason: "UPLOAD_HISTORY_LOST", metadata } });
  }
}
