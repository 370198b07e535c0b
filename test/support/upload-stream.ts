import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { tandemReason } from "../../src/client/errors.ts";
import type { ServerFrame } from "../../src/client/upload-frames.ts";
import type { UploadAck, UploadReceipt } from "../../src/gen/tandem/type/v1/upload_pb.js";
import type { Exchange } from "./exchange.ts";
import { EVENTUALLY_MS } from "./limits.ts";
import { connectedMsOf, type RecordSpec, type SentFrame, type TestedUpload } from "./upload-kinds.ts";

/** How a call ended: in order, without a reason, or with an error. */
export interface StreamEnding {
  readonly error: unknown;
  readonly code: string | undefined;
  readonly reason: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
}

type FrameOf<Case extends ServerFrame["case"]> = Extract<ServerFrame, { case: Case }>["value"];

export interface UploadStreamOptions {
  /** Leaves the server's frames unread. Default false: they are read as they come. */
  readonly isDeaf?: boolean;
  readonly transport?: Transport;
}

/** One connection of an upload, driven frame by frame; it may also do what a client must not. */
export class UploadStream implements AsyncDisposable {
  /** Every frame that has come, heartbeats too. */
  readonly frames: ServerFrame[] = [];
  /** Resolves when the call has ended and was read to its end. */
  readonly ended: Promise<StreamEnding>;
  readonly #abort = new AbortController();
  readonly #outgoing = new FrameQueue();
  readonly #waiting = new Set<() => void>();
  #taken = 0;
  #ending: StreamEnding | undefined;

  private constructor(
    call: (frames: AsyncIterable<SentFrame>, signal: AbortSignal) => AsyncIterable<{ frame: ServerFrame }>,
    isDeaf: boolean,
  ) {
    const answers = call(this.#outgoing, this.#abort.signal);
    this.ended = isDeaf ? this.#ignore(answers) : this.#read(answers);
  }

  /** Makes the call and sends nothing. */
  static async connect(
    exchange: Exchange,
    upload: TestedUpload,
    carrierId: string,
    { isDeaf = false, transport }: UploadStreamOptions = {},
  ): Promise<UploadStream> {
    const chosen = transport ?? (await upload.connect(exchange, carrierId));
    return new UploadStream((frames, signal) => upload.call(chosen, carrierId, frames, signal), isDeaf);
  }

  /** Makes the call and opens the upload; a new one, or from where it stands. */
  static async open(
    exchange: Exchange,
    upload: TestedUpload,
    carrierId: string,
    open: { uploadId: string; acknowledgedOffset?: bigint; validateOnly?: boolean } & UploadStreamOptions,
  ): Promise<UploadStream> {
    const stream = await UploadStream.connect(exchange, upload, carrierId, open);
    stream.send({ case: "open", ...open });
    return stream;
  }

  send(frame: SentFrame): void {
    this.#outgoing.push(frame);
  }

  batch(firstOffset: number | bigint, records: readonly RecordSpec[]): void {
    this.send({ case: "batch", firstOffset: BigInt(firstOffset), records });
  }

  /** Finishes with honest totals over these records. */
  finish(records: readonly RecordSpec[]): void {
    const count = BigInt(records.length);
    this.send({
      case: "finish",
      finalOffset: count,
      recordCount: count,
      connectedDurationMs: connectedMsOf(records),
    });
  }

  /** Says that no frame will come any more. */
  halfClose(): void {
    this.#outgoing.end();
  }

  /** Resets the call, as a client that is killed does. */
  cut(): void {
    this.#abort.abort();
  }

  /** The next frame, which must be this one. Heartbeats between are left out. */
  async next<Case extends ServerFrame["case"]>(expected: Case): Promise<FrameOf<Case>> {
    const frame = await this.#nextFrame(expected !== "heartbeat");
    if (frame.case !== expected) throw new Error(`expected ${expected}, got ${describe(frame)}`);
    return frame.value as FrameOf<Case>;
  }

  /** Reads Acks until everything below the offset is committed, and returns them. */
  async committed(offset: number): Promise<UploadAck[]> {
    const acks: UploadAck[] = [];
    while ((acks.at(-1)?.committedOffset ?? -1n) < BigInt(offset)) acks.push(await this.next("ack"));
    return acks;
  }

  /** Waits for the receipt. */
  async receipt(): Promise<UploadReceipt> {
    const { receipt } = await this.next("finished");
    if (!receipt) throw new Error("Finished came without a receipt");
    return receipt;
  }

  /** Waits for the call to end with an error, and tells which. */
  async failure(): Promise<StreamEnding> {
    const ending = await patiently(this.ended, "the end of the call");
    if (ending.error === undefined) throw new Error("the call ended in order");
    return ending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#outgoing.end();
  }

  async #nextFrame(withoutHeartbeats: boolean): Promise<ServerFrame> {
    while (true) {
      const frame = this.frames[this.#taken];
      if (frame) {
        this.#taken++;
        if (frame.case === "heartbeat" && withoutHeartbeats) continue;
        return frame;
      }
      if (this.#ending) throw new Error(`the call has ended: ${this.#ending.reason ?? this.#ending.error}`);
      await patiently(new Promise<void>((resolve) => this.#waiting.add(resolve)), "a frame");
    }
  }

  async #read(answers: AsyncIterable<{ frame: ServerFrame }>): Promise<StreamEnding> {
    try {
      for await (const { frame } of answers) {
        this.frames.push(frame);
        this.#wake();
      }
      this.#ending = { error: undefined, code: undefined, reason: undefined, metadata: {} };
    } catch (error) {
      this.#ending = endingOf(error);
    }
    this.#wake();
    return this.#ending;
  }

  // The call begins when its answers are first asked for; after the first of them nothing more is
  // read.
  async #ignore(answers: AsyncIterable<{ frame: ServerFrame }>): Promise<StreamEnding> {
    const iterator = answers[Symbol.asyncIterator]();
    const first = await iterator.next();
    if (!first.done) this.frames.push(first.value.frame);
    this.#wake();
    return new Promise(() => {});
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** Tells an error of a call apart. */
export function endingOf(error: unknown): StreamEnding {
  const tandem = tandemReason(error);
  const code = error instanceof ConnectError ? Code[error.code] : undefined;
  return { error, code, reason: tandem?.reason, metadata: tandem?.metadata ?? {} };
}

/** Frames that were pushed, in their order, to whoever reads them. */
class FrameQueue implements AsyncIterable<SentFrame> {
  readonly #frames: SentFrame[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(frame: SentFrame): void {
    this.#frames.push(frame);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SentFrame> {
    while (true) {
      const frame = this.#frames.shift();
      if (frame) yield frame;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

async function patiently<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${EVENTUALLY_MS} ms in vain for ${what}`)), EVENTUALLY_MS);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function describe(frame: ServerFrame): string {
  return `${frame.case} ${JSON.stringify(frame.value, (_, value) => (typeof value === "bigint" ? String(value) : value))}`;
}
