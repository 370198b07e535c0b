import type { UploadOpened } from "../gen/tandem/type/v1/upload_pb.js";
import { CallerFault, msFromDuration } from "./errors.ts";
import { pause } from "./retry.ts";
import type { ClientFrame } from "./upload-frames.ts";
import type { RunningTotals, UploadSource } from "./upload-source.ts";

const DEFAULT_HEARTBEAT_MS = 15_000;
const DEAD_AFTER_HEARTBEATS = 3;
const DEFAULT_MAX_BATCH_RECORDS = 2_000;

/** What one connection of an upload starts with. */
export interface UploadAttemptOptions<Rec> {
  readonly uploadId: string;
  readonly source: UploadSource<Rec>;
  readonly totals: RunningTotals<Rec>;
  readonly batchRecords: number;
  readonly acknowledgedOffset: number;
  readonly validateOnly: boolean;
}

/**
 * The sending side of one connection. `frames` is pulled by the transport, so that HTTP/2's flow
 * control holds it back; the receiving side tells it what the server said. It sends Open, waits for
 * Opened, sends batches within the credit, and Finish once all is committed:
 *
 * opening --Opened--> sending --source ends, all committed--> finishing ^ | Rewind +-+
 */
export class UploadAttempt<Rec> {
  readonly #options: UploadAttemptOptions<Rec>;
  #heartbeatMs = DEFAULT_HEARTBEAT_MS;
  #batchRecords: number;
  #isOpen = false;
  #committedAtOpen = 0;
  #sentFrom = 0;
  #committed = 0;
  #next = 0;
  #sendLimit = 0;
  #sourceEnd: number | undefined;
  /** Grows with each Rewind, so that what was read for the old position is thrown away. */
  #course = 0;
  #notBefore = 0;
  #sentAt = 0;
  #changed = new Change();
  #fault: unknown;
  #isReading = false;
  #prepared: { readonly course: number; readonly frame: ClientFrame<Rec> } | undefined;

  constructor(options: UploadAttemptOptions<Rec>) {
    this.#options = options;
    this.#batchRecords = options.batchRecords;
  }

  /** What went wrong on the sending side; the transport shows it only as a broken call. */
  get fault(): unknown {
    return this.#fault;
  }

  /** The committed offset that the server opened with. */
  get committedAtOpen(): number {
    return this.#committedAtOpen;
  }

  /** Where this connection began to send. */
  get sentFrom(): number {
    return this.#sentFrom;
  }

  /** How long the server may be silent, milliseconds. */
  silenceMs(): number {
    return DEAD_AFTER_HEARTBEATS * this.#heartbeatMs;
  }

  /**
   * The server is ready; `sendFrom` lies before its committed offset when old outcomes are wanted
   * again.
   */
  opened(opened: UploadOpened, sendFrom: number): void {
    this.#isOpen = true;
    this.#committedAtOpen = this.#committed = Number(opened.committedOffset);
    this.#next = this.#sentFrom = sendFrom;
    this.#sendLimit = Number(opened.sendLimitOffset);
    const interval = opened.limits?.heartbeatInterval;
    if (interval !== undefined) this.#heartbeatMs = Math.max(msFromDuration(interval), 1);
    const most = opened.limits?.maxBatchRecords || DEFAULT_MAX_BATCH_RECORDS;
    this.#batchRecords = Math.max(1, Math.min(this.#batchRecords, most));
    this.#wake();
  }

  committed(offset: number): void {
    this.#committed = Math.max(this.#committed, offset);
    this.#wake();
  }

  raiseSendLimit(offset: number): void {
    this.#sendLimit = Math.max(this.#sendLimit, offset);
    this.#wake();
  }

  rewind(expectedOffset: number, waitMs: number): void {
    this.#course += 1;
    this.#next = expectedOffset;
    this.#notBefore = performance.now() + waitMs;
    this.#wake();
  }

  /** The frames to send, ended by `signal`. */
  async *frames(signal: AbortSignal): AsyncGenerator<ClientFrame<Rec>, void, undefined> {
    const { uploadId, acknowledgedOffset, validateOnly } = this.#options;
    yield this.#sent({ case: "open", uploadId, acknowledgedOffset: BigInt(acknowledgedOffset), validateOnly });
    while (!signal.aborted) {
      const changed = this.#changed.promise;
      const frame = this.#nextFrame(signal) ?? this.#dueKeepAlive();
      if (frame === undefined) await this.#idle(changed, signal);
      else yield this.#sent(frame);
      if (frame?.case === "finish") return;
    }
  }

  #sent(frame: ClientFrame<Rec>): ClientFrame<Rec> {
    this.#sentAt = performance.now();
    return frame;
  }

  /** The server counts from the last frame that it got, whatever it sends meanwhile. */
  #dueKeepAlive(): ClientFrame<Rec> | undefined {
    const isDue = this.#isOpen && performance.now() >= this.#sentAt + this.#heartbeatMs;
    return isDue ? { case: "keepAlive" } : undefined;
  }

  /**
   * What can be sent now. When that must be read first, the reading is begun and ends with a
   * wake-up, so that KeepAlives go on meanwhile.
   */
  #nextFrame(signal: AbortSignal): ClientFrame<Rec> | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    if (!this.#isOpen || this.#isReading || performance.now() < this.#notBefore) return undefined;
    const prepared = this.#prepared;
    this.#prepared = undefined;
    if (prepared?.course === this.#course) return prepared.frame;
    if (this.#sourceEnd !== undefined && this.#next >= this.#sourceEnd) {
      if (this.#isAllCommitted()) this.#prepare(() => this.#finishFrame(signal), signal);
      return undefined;
    }
    const room = this.#sendLimit - this.#next;
    const isInFlight = this.#next > this.#committed;
    // A batch that is cut to the last few records of the credit costs a commit of its own: wait for
    // more, unless nothing else will move.
    if (room <= 0 || (room < this.#batchRecords && isInFlight)) return undefined;
    this.#prepare(() => this.#batchFrame(Math.min(room, this.#batchRecords), signal), signal);
    return undefined;
  }

  #prepare(make: () => Promise<ClientFrame<Rec> | undefined>, signal: AbortSignal): void {
    const course = this.#course;
    this.#isReading = true;
    const prepared = make().then(
      (frame) => {
        this.#prepared = frame && { course, frame };
      },
      (error: unknown) => {
        // A source that stops because the connection has ended is no fault.
        if (!signal.aborted) this.#fault = new CallerFault("the caller's source failed", { cause: error });
      },
    );
    void prepared.finally(() => {
      this.#isReading = false;
      this.#wake();
    });
  }

  async #batchFrame(limit: number, signal: AbortSignal): Promise<ClientFrame<Rec> | undefined> {
    const [offset, course] = [this.#next, this.#course];
    const records = await this.#options.source.read(offset, limit, signal);
    this.#options.totals.add(offset, records);
    if (course !== this.#course) return undefined;
    this.#next = offset + records.length;
    if (records.length > 0) return { case: "batch", firstOffset: BigInt(offset), records };
    this.#sourceEnd = offset;
    return undefined;
  }

  /**
   * Finish is sent when all is committed, so that no Rewind can cross it. A validation commits
   * nothing.
   */
  #isAllCommitted(): boolean {
    return this.#options.validateOnly || this.#committed >= (this.#sourceEnd ?? 0);
  }

  async #finishFrame(signal: AbortSignal): Promise<ClientFrame<Rec>> {
    const finalOffset = Math.max(this.#sourceEnd ?? 0, this.#committedAtOpen);
    const connectedDurationMs = await this.#options.totals.through(finalOffset, this.#batchRecords, signal);
    return { case: "finish", finalOffset: BigInt(finalOffset), connectedDurationMs };
  }

  /** Waits until something changes, a KeepAlive is due, or a Rewind's pause is over. */
  async #idle(changed: Promise<void>, signal: AbortSignal): Promise<void> {
    const wait = new AbortController();
    const stop = () => wait.abort();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const now = performance.now();
      const dueAt = (this.#isOpen ? this.#sentAt : now) + this.#heartbeatMs;
      const until = this.#notBefore > now ? Math.min(this.#notBefore, dueAt) : dueAt;
      await Promise.race([changed, pause(Math.max(until - now, 1), wait.signal)]);
    } finally {
      stop();
      signal.removeEventListener("abort", stop);
    }
  }

  #wake(): void {
    this.#changed.happen();
    this.#changed = new Change();
  }
}

/** Something that happens once and can be waited for. */
class Change {
  happen: () => void = () => {};
  readonly promise = new Promise<void>((resolve) => {
    this.happen = resolve;
  });
}
