import { addCounts, countVerdicts, type VerdictCounts } from "../domain/calls/verdict.ts";
import { TandemError } from "../domain/errors.ts";
import { StallWatch, type StreamEnd, type StreamLife, streamEndError } from "../domain/stream-life.ts";
import type { Micros } from "../domain/time/instant.ts";
import { isTransient } from "../store/database/database.ts";
import type { AppendResult } from "../store/records/append.ts";
import type { UploadRow } from "../store/records/uploads.ts";
import { historyLost, type UploadBook, type UploadOpen } from "./book.ts";
import type { ByteBudget } from "./byte-budget.ts";
import type { Outcome } from "./outcome.ts";
import type { PreparedBatch } from "./pending.ts";
import type { RecordList } from "./records/record-list.ts";

/** A frame from the client, after Open. */
export type ClientFrame<Message> =
  | { frame: "batch"; firstOffset: bigint; records: RecordList<Message> }
  | { frame: "keepAlive" }
  | { frame: "finish"; finalOffset: bigint; recordCount: bigint; connectedDurationMs: bigint };

/**
 * Why an upload stream ends before it is finished: as any stream, or for its client said no more.
 */
export type UploadEnd = StreamEnd | "NOT_FINISHED";

/** A frame to the client. */
export type ServerFrame =
  | {
      frame: "opened";
      committedOffset: bigint;
      writerEpoch: bigint;
      sendLimitOffset: bigint;
      lostSince: Micros | undefined;
    }
  | { frame: "ack"; committedOffset: bigint; counts: VerdictCounts; outcomes: Outcome[]; sendLimitOffset: bigint }
  | { frame: "rewind"; expectedOffset: bigint; reason: "GAP" | "STORE_UNAVAILABLE"; retryAfterMs: number | undefined }
  | { frame: "heartbeat"; committedOffset: bigint }
  | { frame: "closing"; reason: UploadEnd }
  | { frame: "finished"; upload: UploadRow };

export interface UploadSessionOptions<Message> {
  book: UploadBook<Message>;
  open: UploadOpen;
  life: StreamLife;
  budget: ByteBudget;
  heartbeatMs: number;
  maxStallMs: number;
  /**
   * How far past the committed offset the client may send at first, records; three times as far
   * once that many more are committed.
   */
  windowRecords: number;
}

/**
 * The first pause that a Rewind for a failing store asks for, milliseconds; it doubles with each
 * failure in a row, to at most 5 s.
 */
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;

/**
 * Most outcomes that one Ack tells, as many as a batch can have: well below the 4 MiB that a
 * message may have.
 */
const MAX_ACK_OUTCOMES = 2_000;
/** The window that an upload may grow to, in windows that it begins with. */
const WINDOW_GROWTH = 3n;
/**
 * With so many outcomes that the client has not taken, what it repeats waits. New records cannot
 * bring so many: credit rises with the Acks.
 */
const MAX_WAITING_OUTCOMES = 8_000;
/**
 * With so much in a commit or waiting for one, bytes as they came or as batches, the reader rests:
 * the store is slower than the client.
 */
const MAX_HELD_BYTES = 16_777_216;
const MAX_HELD_BATCHES = 64;

/** What is to be told of committed batches. */
interface WaitingAck {
  committedOffset: bigint;
  counts: VerdictCounts;
  outcomes: Outcome[];
}

/** What the writer does next: send a frame, fail, end, or rest, as far as each is given. */
interface WriterStep {
  readonly frame?: ServerFrame;
  readonly failure?: { readonly error: unknown };
  readonly isLast?: true;
  /** Absent: until it is woken. */
  readonly restMs?: number;
}

/**
 * One connection of an upload. Reader and writer are apart: `#read` takes frames and commits
 * batches whether or not the client reads its acknowledgements, held back only by the credit that
 * the writer gives; `run` is the writer.
 *
 * States of the reader: *following*, where a batch must begin at the expected offset (an earlier
 * one is a replay, a later one a gap); and *discarding*, after a Rewind, where everything is
 * dropped until a batch begins at the expected offset. A generation number sets apart the batches
 * of before a Rewind, whose results no longer count.
 */
export class UploadSession<Message> {
  readonly #options: UploadSessionOptions<Message>;
  readonly #outgoing: ServerFrame[] = [];
  #expected = 0n;
  #committed = 0n;
  #openedAt = 0n;
  #sendLimit = 0n;
  #writerEpoch = 0n;
  #discarding = false;
  #generation = 0;
  #failuresInARow = 0;
  #inFlight = 0;
  #heldBytes = 0;
  #chain: Promise<void> = Promise.resolve();
  readonly #acks: WaitingAck[] = [];
  #finished: UploadRow | undefined;
  #failure: { error: unknown } | undefined;
  #inputEnded = false;
  #isListening = false;
  #heardAt = performance.now();
  #isOver = false;
  #wake: (() => void) | undefined;
  readonly #readerWaits = new Set<() => void>();

  constructor(options: UploadSessionOptions<Message>) {
    this.#options = options;
  }

  /**
   * Runs the upload to its end: yields what is to be sent, and throws what ends the call with an
   * error.
   */
  async *run(frames: AsyncIterable<ClientFrame<Message>>): AsyncGenerator<ServerFrame> {
    const { book, open, life, maxStallMs, windowRecords } = this.#options;
    using stall = new StallWatch(maxStallMs, life);
    const upload = await book.open(open);
    if (upload.sealed) {
      yield stall.watch({ frame: "finished", upload });
      return;
    }
    this.#committed = this.#expected = upload.nextOffset;
    this.#writerEpoch = upload.writerEpoch;
    this.#openedAt = upload.nextOffset;
    this.#sendLimit = upload.nextOffset + BigInt(windowRecords);
    using _fence = book.claim(open.uploadId, upload.writerEpoch, (error) => this.#fail(error));
    yield stall.watch({
      frame: "opened",
      committedOffset: this.#committed,
      writerEpoch: this.#writerEpoch,
      sendLimitOffset: this.#sendLimit,
      lostSince: upload.lostSince,
    });
    const input = frames[Symbol.asyncIterator]();
    void this.#read(input);
    try {
      yield* this.#write(stall);
    } finally {
      this.#generation++;
      this.#inputEnded = true;
      this.#isOver = true;
      this.#wakeReader();
      void input.return?.()?.catch(() => {});
    }
  }

  // The writer: acknowledgements as commits come in, then whatever ends the stream, once what was
  // read is committed and acknowledged.
  async *#write(stall: StallWatch): AsyncGenerator<ServerFrame> {
    let sentAt = performance.now();
    while (true) {
      stall.resumed();
      const { frame, failure, isLast, restMs } = this.#step(stall, sentAt);
      if (frame) {
        sentAt = performance.now();
        yield stall.watch(frame);
      }
      if (failure) throw failure.error;
      if (isLast) return;
      if (!frame) await this.#sleep(restMs);
    }
  }

  #step(stall: StallWatch, sentAt: number): WriterStep {
    const frame = this.#nextFrame();
    if (frame) return { frame };
    const end = this.#plannedEnd(stall);
    const last = this.#lastStep(end);
    if (last) return { ...last, isLast: true };
    if (end) return {};
    const restMs = sentAt + this.#options.heartbeatMs - performance.now();
    return restMs > 0 ? { restMs } : { frame: { frame: "heartbeat", committedOffset: this.#committed } };
  }

  // If the stream is to end now: with a last frame, with an error, with both or with neither.
  #lastStep(end: StreamEnd | undefined): WriterStep | undefined {
    const { life } = this.#options;
    if (this.#finished) return { frame: { frame: "finished", upload: this.#finished } };
    if (life.signal.aborted && !life.end) return {};
    if (this.#failure) return { failure: this.#failure };
    if (this.#inFlight > 0) return undefined;
    if (end) return { frame: { frame: "closing", reason: end }, failure: { error: streamEndError(end) } };
    return this.#inputEnded ? this.#notFinished() : undefined;
  }

  // An end without a word would pass for success.
  #notFinished(): WriterStep {
    const committed = String(this.#committed);
    const message = `the client ended the stream without Finish. ${committed} records are committed; the upload stays open`;
    const error = new TandemError("UPLOAD_NOT_FINISHED", message, { committed_offset: committed });
    return { frame: { frame: "closing", reason: "NOT_FINISHED" }, failure: { error } };
  }

  #plannedEnd(stall: StallWatch): StreamEnd | undefined {
    const { life, heartbeatMs } = this.#options;
    if (life.end) return life.end;
    const idle = stall.stalled || (this.#isListening && performance.now() - this.#heardAt > 3 * heartbeatMs);
    return idle ? "IDLE" : undefined;
  }

  #nextFrame(): ServerFrame | undefined {
    const told = this.#acks.shift();
    this.#wakeReader();
    const committedOffset = told?.committedOffset ?? this.#committed;
    const limit = committedOffset + this.#window(committedOffset);
    const creditOwed = this.#options.budget.hasRoom && limit > this.#sendLimit;
    if (!told && !creditOwed) return this.#outgoing.shift();
    if (creditOwed) this.#sendLimit = limit;
    const { counts, outcomes } = told ?? { counts: countVerdicts([]), outcomes: [] };
    return { frame: "ack", committedOffset, counts, outcomes, sendLimitOffset: this.#sendLimit };
  }

  // Grows by what has been committed on this stream: a client whose records come through may have
  // more of them on the way, so that a commit takes more.
  #window(committedOffset: bigint): bigint {
    const first = BigInt(this.#options.windowRecords);
    const grown = first + committedOffset - this.#openedAt;
    return grown < first * WINDOW_GROWTH ? grown : first * WINDOW_GROWTH;
  }

  // A wake-up that comes while the writer is busy is not lost: it looks at the whole state before
  // it sleeps.
  async #sleep(timeoutMs: number | undefined): Promise<void> {
    const { life, budget } = this.#options;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        life.signal.removeEventListener("abort", done);
        budget.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(1, timeoutMs ?? 1_000));
      this.#wake = done;
      if (!life.signal.aborted) life.signal.addEventListener("abort", done, { once: true });
      if (!budget.hasRoom) budget.waiting.add(done);
    });
  }

  async #read(input: AsyncIterator<ClientFrame<Message>>): Promise<void> {
    try {
      while (!this.#failure && !this.#finished && !this.#isOver && !this.#options.life.signal.aborted) {
        this.#isListening = true;
        this.#heardAt = performance.now();
        const next = await input.next();
        this.#isListening = false;
        if (next.done) break;
        await this.#take(next.value);
      }
    } catch (error) {
      // The client's end of the stream broke: what it sent is committed, and it will resume.
      this.#fail(error);
    }
    this.#isListening = false;
    this.#inputEnded = true;
    this.#wake?.();
  }

  async #take(frame: ClientFrame<Message>): Promise<void> {
    switch (frame.frame) {
      case "keepAlive":
        return;
      case "batch":
        return this.#takeBatch(frame.firstOffset, frame.records);
      case "finish":
        return this.#finish(frame);
      default:
        return frame satisfies never;
    }
  }

  async #takeBatch(first: bigint, records: RecordList<Message>): Promise<void> {
    const end = first + BigInt(records.length);
    this.#options.book.checkBatch(first, records.length);
    if (end > this.#sendLimit) {
      const limit = String(this.#sendLimit);
      throw new TandemError(
        "FLOW_CONTROL_VIOLATION",
        `a batch ended at offset ${end}, past send_limit_offset ${limit}`,
        { send_limit_offset: limit },
      );
    }
    if (this.#discarding) {
      if (first !== this.#expected) return;
      this.#discarding = false;
    }
    if (first > this.#expected) return this.#rewind(this.#expected, "GAP");
    const batch = this.#options.book.prepare(first, records, this.#writerEpoch);
    if (first === this.#expected) this.#commit(batch, records.byteLength);
    else await this.#replay(batch);
    await this.#readerMayGo(() => this.#heldBytes < MAX_HELD_BYTES && this.#inFlight < MAX_HELD_BATCHES);
  }

  // Results are taken strictly in the order of the batches, whatever order they come in.
  #commit(batch: PreparedBatch, receivedBytes = 0): void {
    const { book, budget } = this.#options;
    const generation = this.#generation;
    const preparedBytes = batch.records.reduce((sum, record) => sum + record.payload.length + 64, 0);
    const bytes = Math.max(preparedBytes, receivedBytes);
    this.#expected = batch.firstOffset + BigInt(batch.records.length);
    this.#inFlight++;
    this.#heldBytes += bytes;
    budget.take(bytes);
    const before = this.#chain;
    const committing = book.commit(batch);
    // Handled below, in its turn.
    committing.catch(() => {});
    this.#chain = (async () => {
      await before;
      await this.#resolve(batch, committing, generation);
      budget.give(bytes);
      this.#heldBytes -= bytes;
      this.#inFlight--;
      this.#wakeReader();
      this.#wake?.();
    })();
  }

  // When the upload does not stand where the batch begins, an earlier commit whose outcome was
  // unknown had succeeded: what it holds is verified, and the rest, which was refused only for
  // standing behind it, is committed again. A failure asks again for what has not been told: that
  // may begin before the committed offset, for a repeat that failed is sent again as if it were
  // new.
  async #resolve(batch: PreparedBatch, committing: Promise<AppendResult>, generation: number): Promise<void> {
    const { book, open } = this.#options;
    let untold: PreparedBatch | undefined = batch;
    try {
      let result = generation === this.#generation ? await committing : undefined;
      while (untold && result && !result.committed) {
        const upload = await book.checkWriter(open, this.#writerEpoch);
        if (upload.nextOffset < untold.firstOffset) throw historyLost(upload.nextOffset);
        if (upload.nextOffset > untold.firstOffset) untold = await this.#replayPrefix(untold, upload.nextOffset);
        if (untold) result = await book.commit(untold);
      }
      if (untold && result?.committed)
        this.#acknowledge(untold, book.outcomes(untold, result), countVerdicts(result.verdicts));
    } catch (error) {
      if (generation === this.#generation) this.#failOrRewind(error, (untold ?? batch).firstOffset);
    }
  }

  // A batch that begins before the expected offset: its known prefix is held against what is
  // stored, and the rest is appended.
  async #replay(batch: PreparedBatch): Promise<void> {
    await this.#readerMayGo(() => this.#inFlight === 0 && this.#waitingOutcomes < MAX_WAITING_OUTCOMES);
    if (this.#failure || this.#discarding || this.#isOver) return;
    try {
      const rest = await this.#replayPrefix(batch, this.#committed);
      if (rest) this.#commit(rest);
    } catch (error) {
      if (!isTransient(error)) throw error;
      this.#rewind(batch.firstOffset, "STORE_UNAVAILABLE");
    }
  }

  async #replayPrefix(batch: PreparedBatch, committed: bigint): Promise<PreparedBatch | undefined> {
    const known = Number(committed - batch.firstOffset);
    const prefix = known < batch.records.length ? sliceBatch(batch, 0, known) : batch;
    const { outcomes, counts } = await this.#options.book.replay(prefix);
    this.#acknowledge(prefix, outcomes, counts);
    return prefix === batch ? undefined : sliceBatch(batch, known, batch.records.length);
  }

  #acknowledge(batch: PreparedBatch, outcomes: Outcome[], counts: VerdictCounts): void {
    const end = batch.firstOffset + BigInt(batch.records.length);
    if (end > this.#committed) this.#committed = end;
    if (this.#committed > this.#expected) this.#expected = this.#committed;
    this.#failuresInARow = 0;
    const last = this.#acks.at(-1);
    if (last && last.outcomes.length + outcomes.length <= MAX_ACK_OUTCOMES) {
      last.committedOffset = this.#committed;
      last.counts = addCounts(last.counts, counts);
      last.outcomes.push(...outcomes);
    } else this.#acks.push({ committedOffset: this.#committed, counts, outcomes: [...outcomes] });
    this.#wake?.();
  }

  async #finish(frame: ClientFrame<Message> & { frame: "finish" }): Promise<void> {
    if (this.#discarding) return;
    await this.#readerMayGo(() => this.#inFlight === 0);
    if (this.#failure || this.#discarding || this.#isOver) return;
    this.#finished = await this.#options.book.finish(this.#options.open, this.#writerEpoch, frame, this.#committed);
  }

  #rewind(expectedOffset: bigint, reason: "GAP" | "STORE_UNAVAILABLE"): void {
    this.#discarding = true;
    if (reason === "STORE_UNAVAILABLE") {
      this.#generation++;
      this.#expected = expectedOffset;
    }
    const failures = reason === "GAP" ? 0 : ++this.#failuresInARow;
    const retryAfterMs = failures === 0 ? undefined : Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
    this.#outgoing.push({ frame: "rewind", expectedOffset, reason, retryAfterMs });
    this.#wake?.();
  }

  #failOrRewind(error: unknown, firstUntold: bigint): void {
    if (isTransient(error)) this.#rewind(firstUntold, "STORE_UNAVAILABLE");
    else this.#fail(error);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  get #waitingOutcomes(): number {
    return this.#acks.reduce((sum, ack) => sum + ack.outcomes.length, 0);
  }

  // Until a condition holds, or there is nothing more to read for. Who makes it true wakes the
  // reader.
  async #readerMayGo(condition: () => boolean): Promise<void> {
    while (!condition() && !this.#isOver) await new Promise<void>((resolve) => this.#readerWaits.add(resolve));
  }

  #wakeReader(): void {
    const waits = [...this.#readerWaits];
    this.#readerWaits.clear();
    for (const resolve of waits) resolve();
  }
}

function sliceBatch(batch: PreparedBatch, start: number, end: number): PreparedBatch {
  return {
    ...batch,
    firstOffset: batch.firstOffset + BigInt(start),
    records: batch.records.slice(start, end),
    describe: (index, verdict, issue) => batch.describe(index + start, verdict, issue),
  };
}
