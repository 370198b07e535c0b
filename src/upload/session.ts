import { countVerdicts, type VerdictCounts } from "../domain/calls/verdict.ts";
import { StallWatch, type StreamEnd, type StreamLife } from "../domain/stream-life.ts";
import { isTransient } from "../store/database/database.ts";
import { ByteBudget } from "./byte-budget.ts";
import type { ClientFrame, ServerFrame } from "./frames.ts";
import { type Outcome, outcomesOf } from "./outcome.ts";
import type { AppendResult, PreparedBatch, SentBatch } from "./pending.ts";
import type { RecordList } from "./records/record-list.ts";
import {
  openSession,
  readerOf,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
  stepSession,
} from "./session-state.ts";
import { historyLost, type UploadOpen, type UploadStore } from "./upload-store.ts";

export interface UploadSessionOptions<Message> {
  store: UploadStore<Message>;
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
 * With this many bytes in a commit or waiting for one, whether as they came or as batches, the
 * reader rests: the store is slower than the client.
 */
const MAX_HELD_BYTES = 16_777_216;
/** The writer's longest rest while an end waits for commits, milliseconds. */
const END_REST_MS = 1_000;

/**
 * One connection of an upload: the I/O around the states of session-state.ts. Reader and writer are
 * independent: `#read` takes frames and commits batches whether or not the client reads its
 * acknowledgements, limited only by the credit that the writer gives; `run` is the writer.
 */
export class UploadSession<Message> {
  readonly #options: UploadSessionOptions<Message>;
  readonly #held = new ByteBudget(MAX_HELD_BYTES);
  #state: SessionState = openSession(0n, 0);
  #writerEpoch = 0n;
  #lastCommit: Promise<void> = Promise.resolve();
  /** Since when the reader waits for the client. */
  #listeningSince: number | undefined;
  #wakeWriter: (() => void) | undefined;
  #wakeReader: (() => void) | undefined;

  constructor(options: UploadSessionOptions<Message>) {
    this.#options = options;
  }

  /**
   * Runs the upload to its end: yields what is to be sent, and throws what ends the call with an
   * error.
   */
  async *run(frames: AsyncIterable<ClientFrame<Message>>): AsyncGenerator<ServerFrame> {
    const { store, open, life, maxStallMs, windowRecords } = this.#options;
    using stall = new StallWatch(maxStallMs, life);
    const upload = await store.open(open);
    if (upload.sealed) {
      yield stall.watch({ frame: "finished", upload });
      return;
    }
    const { nextOffset: committedOffset, writerEpoch, lostSince } = upload;
    this.#writerEpoch = writerEpoch;
    this.#state = openSession(committedOffset, windowRecords);
    const sendLimitOffset = this.#state.at.sendLimit;
    using _fence = store.claim(open.uploadId, writerEpoch, (error) => this.#happened({ event: "failed", error }));
    yield stall.watch({ frame: "opened", committedOffset, writerEpoch, sendLimitOffset, lostSince });
    const input = frames[Symbol.asyncIterator]();
    void this.#read(input);
    try {
      yield* this.#write(stall);
    } finally {
      this.#happened({ event: "left" });
      void input.return?.()?.catch(() => {});
    }
  }

  // Takes a step and carries out its effects, but for those of the writer.
  #happened(event: SessionEvent): readonly SessionEffect[] {
    const { state, effects } = this.#next(event);
    this.#state = state;
    let isNews = true;
    for (const effect of effects) {
      if (effect.effect === "replay") void this.#replay(effect);
      if (effect.effect === "seal") void this.#seal(effect);
      if (effect.effect !== "commit") continue;
      this.#commit(effect);
      isNews = false;
    }
    this.#wakeReader?.();
    if (isNews) this.#wakeWriter?.();
    return effects;
  }

  // An impossible step is a fault of ours. It ends this upload, and not the process.
  #next(event: SessionEvent): ReturnType<typeof stepSession> {
    try {
      return stepSession(this.#state, event);
    } catch (error) {
      return { state: { name: "failed", error, at: this.#state.at }, effects: [] };
    }
  }

  async *#write(stall: StallWatch): AsyncGenerator<ServerFrame> {
    let sentAt = performance.now();
    while (true) {
      stall.resumed();
      const restMs = sentAt + this.#options.heartbeatMs - performance.now();
      const pulled = this.#pulled(stall, restMs <= 0);
      const sleepMs = pulled.end ? END_REST_MS : restMs;
      for (const effect of this.#happened(pulled)) {
        if (effect.effect === "send") {
          sentAt = performance.now();
          yield stall.watch(effect.frame);
        } else if (effect.effect === "rest") await this.#sleep(sleepMs);
        else if (effect.effect === "end") return leaveBy(effect);
      }
    }
  }

  #pulled(stall: StallWatch, isHeartbeatDue: boolean): SessionEvent & { event: "pulled" } {
    const { life, budget } = this.#options;
    const isAborted = life.signal.aborted && !life.end;
    return { event: "pulled", hasRoom: budget.hasRoom, end: this.#plannedEnd(stall), isAborted, isHeartbeatDue };
  }

  #plannedEnd(stall: StallWatch): StreamEnd | undefined {
    const { life, heartbeatMs } = this.#options;
    if (life.end) return life.end;
    const since = this.#listeningSince;
    const isSilent = since !== undefined && performance.now() - since > 3 * heartbeatMs;
    return stall.stalled || isSilent ? "IDLE" : undefined;
  }

  // A wake-up that comes while the writer is busy is not lost: it looks at the whole state before
  // it sleeps.
  async #sleep(timeoutMs: number): Promise<void> {
    const { life, budget } = this.#options;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wakeWriter = undefined;
        life.signal.removeEventListener("abort", done);
        budget.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(1, timeoutMs));
      this.#wakeWriter = done;
      if (!life.signal.aborted) life.signal.addEventListener("abort", done, { once: true });
      if (!budget.hasRoom) budget.waiting.add(done);
    });
  }

  async #read(input: AsyncIterator<ClientFrame<Message>>): Promise<void> {
    try {
      while (await this.#mayRead()) {
        this.#listeningSince = performance.now();
        const next = await input.next();
        this.#listeningSince = undefined;
        if (next.done) break;
        this.#take(next.value);
      }
    } catch (error) {
      // The client's side of the stream broke: what it sent is committed, and it will resume.
      this.#happened({ event: "failed", error });
    }
    this.#listeningSince = undefined;
    this.#happened({ event: "inputEnded" });
  }

  // Resolves once a frame may be taken, with true; or with false when none is wanted any more.
  async #mayRead(): Promise<boolean> {
    while (true) {
      const reader = readerOf(this.#state);
      if (reader === "done" || this.#options.life.signal.aborted) return false;
      if (reader === "reads" && this.#held.hasRoom) return true;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  #take(frame: ClientFrame<Message>): void {
    switch (frame.frame) {
      case "keepAlive":
        return;
      case "batch":
        this.#takeBatch(frame.firstOffset, frame.records);
        return;
      case "finish":
        this.#happened({ event: "finish", finish: frame });
        return;
      default:
        frame satisfies never;
    }
  }

  #takeBatch(firstOffset: bigint, records: RecordList<Message>): void {
    const { store } = this.#options;
    store.checkBatch(firstOffset, records.length);
    const prepare = () => store.prepare(firstOffset, records, this.#writerEpoch);
    const batch = { firstOffset, count: records.length, receivedBytes: records.byteLength ?? 0, prepare };
    this.#happened({ event: "batch", batch });
  }

  // Results are handled strictly in the order of the batches, whatever order they come in.
  #commit({ batch: sent, generation }: SessionEffect & { effect: "commit" }): void {
    const { store, budget } = this.#options;
    const batch = sent.prepare();
    const preparedBytes = batch.records.reduce((sum, record) => sum + record.payloadBytes + 64, 0);
    const bytes = Math.max(preparedBytes, sent.receivedBytes);
    this.#held.take(bytes);
    budget.take(bytes);
    const before = this.#lastCommit;
    const committing = store.commit(batch);
    // A rejection is handled below, in its turn.
    committing.catch(() => {});
    this.#lastCommit = (async () => {
      await before;
      await this.#resolve(batch, committing, generation);
      budget.give(bytes);
      this.#held.give(bytes);
      this.#happened({ event: "settled" });
    })();
  }

  // If the upload is not at the batch's offset, an earlier commit with unknown outcome had
  // succeeded: what that one holds is verified, and the rest, which was refused only for its
  // position, is committed again. A failure asks again for what has not been told. That may begin
  // before the committed offset, since a repeat that failed is sent again as if it were new.
  async #resolve(batch: PreparedBatch, committing: Promise<AppendResult>, generation: number): Promise<void> {
    const { store } = this.#options;
    let untold: PreparedBatch | undefined = batch;
    try {
      let result = generation === this.#state.at.generation ? await committing : undefined;
      while (untold && result && !result.committed) {
        const upload = await store.checkWriter(this.#writerEpoch);
        if (upload.nextOffset < untold.firstOffset) throw historyLost(upload.nextOffset);
        if (upload.nextOffset > untold.firstOffset) untold = await this.#replayPrefix(untold, upload.nextOffset);
        if (untold) result = await store.commit(untold);
      }
      if (untold && result?.committed)
        this.#tell(untold, outcomesOf(untold, result.verdicts, result.issues), countVerdicts(result.verdicts));
    } catch (error) {
      this.#failed(error, (untold ?? batch).firstOffset, generation);
    }
  }

  // A batch that begins before the committed offset: its known prefix is compared with what is
  // stored, and the rest is appended.
  async #replay({ batch, committed, generation }: SessionEffect & { effect: "replay" }): Promise<void> {
    try {
      const rest = await this.#replayPrefix(batch.prepare(), committed);
      this.#happened({ event: "replayed", rest: rest && sentAgain(rest) });
    } catch (error) {
      this.#failed(error, batch.firstOffset, generation);
    }
  }

  async #replayPrefix(batch: PreparedBatch, committed: bigint): Promise<PreparedBatch | undefined> {
    const known = Number(committed - batch.firstOffset);
    const prefix = known < batch.records.length ? sliceBatch(batch, 0, known) : batch;
    const { outcomes, counts } = await this.#options.store.replay(prefix);
    this.#tell(prefix, outcomes, counts);
    return prefix === batch ? undefined : sliceBatch(batch, known, batch.records.length);
  }

  async #seal({ finish, committed }: SessionEffect & { effect: "seal" }): Promise<void> {
    const { store } = this.#options;
    try {
      const upload = await store.finish(this.#writerEpoch, finish, committed);
      this.#happened({ event: "sealed", upload });
    } catch (error) {
      this.#happened({ event: "failed", error });
    }
  }

  #tell(batch: PreparedBatch, outcomes: Outcome[], counts: VerdictCounts): void {
    const end = batch.firstOffset + BigInt(batch.records.length);
    this.#happened({ event: "told", end, outcomes, counts });
  }

  #failed(error: unknown, from: bigint, generation: number): void {
    this.#happened(
      isTransient(error) ? { event: "storeLost", from, generation } : { event: "failed", error, generation },
    );
  }
}

function leaveBy({ failure }: SessionEffect & { effect: "end" }): void {
  if (failure) throw failure.error;
}

function sentAgain(batch: PreparedBatch): SentBatch {
  return { firstOffset: batch.firstOffset, count: batch.records.length, receivedBytes: 0, prepare: () => batch };
}

function sliceBatch(batch: PreparedBatch, start: number, end: number): PreparedBatch {
  return {
    ...batch,
    firstOffset: batch.firstOffset + BigInt(start),
    records: batch.records.slice(start, end),
    describe: (index, verdict, issue) => batch.describe(index + start, verdict, issue),
  };
}
