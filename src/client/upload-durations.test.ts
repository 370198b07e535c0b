// biome-ignore lint/plugin: the pace of a server's heartbeats, from which nothing is concluded
import { setTimeout as delay } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type HandlerContext } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { startScriptedServer } from "../../test/support/scripted-server.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import {
  type DurationBatch,
  DurationService,
  type UploadDurationsRequest,
  type UploadDurationsResponseSchema,
} from "../gen/tandem/carrier/v1/duration_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../gen/tandem/type/v1/call_duration_pb.js";
import { type UploadFinish, UploadRewindReason, Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import { createTandemTransport } from "./transport.ts";
import type { UploadEvent, UploadOptions, UploadResult } from "./upload.ts";
import { uploadDurations } from "./upload-durations.ts";
import { arraySource } from "./upload-source.ts";

type Frame = Extract<MessageInitShape<typeof UploadDurationsResponseSchema>, { $typeName?: never }>;
type Frames = AsyncIterator<UploadDurationsRequest>;

const RECORDS = Array.from({ length: 100 }, (_, index) =>
  create(CallDurationSchema, { recordId: `r-${index}`, connectedDurationMs: BigInt(index) }),
);
const TOTAL_MS = 4950n;

describe("uploadDurations", () => {
  it("uploads all records once and in order, and finishes with their totals", async () => {
    const ledger = new Ledger();
    const { result } = await upload((frames) => ledger.serve(frames));
    expect(ledger.recordIds()).toEqual(RECORDS.map(({ recordId }) => recordId));
    expect(ledger.finish).toMatchObject({
      finalOffset: 100n,
      totals: { recordCount: 100n, connectedDurationMs: TOTAL_MS },
    });
    expect(result).toMatchObject({ receipt: { finalOffset: 100n }, resumes: 0 });
  });

  it("resumes after cuts between commit and acknowledgement, without loss or repeats", async () => {
    const ledger = new Ledger();
    let batches = 0;
    const { result, events } = await upload((frames, { cut }) =>
      ledger.serve(frames, {
        afterCommit: () => {
          batches += 1;
          if (batches % 4 === 3 && batches < 30) cut();
        },
      }),
    );
    expect(ledger.recordIds()).toEqual(RECORDS.map(({ recordId }) => recordId));
    expect(ledger.finish?.totals?.connectedDurationMs).toBe(TOTAL_MS);
    expect(result.resumes).toBeGreaterThan(1);
    expect(events.filter(({ kind }) => kind === "OPENED").length).toBe(result.resumes + 1);
  });

  it("hears every outcome, also those whose acknowledgement was lost", async () => {
    const ledger = new Ledger();
    let batches = 0;
    const { result } = await upload((frames, { cut }) =>
      ledger.serve(frames, {
        afterCommit: () => {
          batches += 1;
          if (batches === 3) cut();
        },
      }),
    );
    expect(result.outcomes.map(({ recordOffset }) => Number(recordOffset))).toEqual(RECORDS.map((_, index) => index));
  });

  it("sends again from where a Rewind says, and counts each record once in the totals", async () => {
    const ledger = new Ledger();
    let rewinds = 0;
    const { result } = await upload((frames) =>
      ledger.serve(frames, {
        beforeBatch: (batch) => {
          if (batch.firstOffset !== 40n || rewinds > 0) return undefined;
          rewinds += 1;
          return { expectedOffset: 40n, reason: UploadRewindReason.STORE_UNAVAILABLE };
        },
      }),
    );
    expect(rewinds).toBe(1);
    expect(ledger.recordIds()).toEqual(RECORDS.map(({ recordId }) => recordId));
    expect(ledger.finish?.totals?.connectedDurationMs).toBe(TOTAL_MS);
    expect(result.resumes).toBe(0);
  });

  it("never sends past its credit", async () => {
    const ledger = new Ledger({ windowRecords: 25 });
    await upload((frames) => ledger.serve(frames));
    expect(ledger.recordIds()).toHaveLength(100);
    expect(ledger.sentPastCredit).toBe(0);
  });

  it("finishes an upload that another process began, with totals over all of it", async () => {
    const ledger = new Ledger();
    ledger.records.push(...RECORDS.slice(0, 30));
    const { events } = await upload((frames) => ledger.serve(frames), { replayLostOutcomes: false });
    expect(events[0]).toMatchObject({ kind: "OPENED", committedOffset: 30 });
    expect(ledger.recordIds()).toEqual(RECORDS.map(({ recordId }) => recordId));
    expect(ledger.finish?.totals?.connectedDurationMs).toBe(TOTAL_MS);
  });

  it("returns the receipt of an upload that is sealed already", async () => {
    const { result } = await upload(async function* (frames) {
      await frames.next();
      yield { frame: { case: "finished", value: { receipt: { finalOffset: 100n } } } };
    });
    expect(result.receipt.finalOffset).toBe(100n);
  });

  it("does not fight for an upload that was opened elsewhere", async () => {
    let attempts = 0;
    const uploading = upload(async function* (frames) {
      attempts += 1;
      await frames.next();
      yield opened(0, 4000);
      throw tandemError(Code.Aborted, "UPLOAD_SUPERSEDED", { writer_epoch: "2" });
    });
    await expect(uploading).rejects.toMatchObject({ fault: "REFUSED", tandem: { reason: "UPLOAD_SUPERSEDED" } });
    expect(attempts).toBe(1);
  });

  it("tells its caller when the server has lost what it had acknowledged, even if the server does not notice", async () => {
    const uploading = upload(
      async function* (frames) {
        await frames.next();
        yield opened(20, 4000);
        await frames.next();
      },
      { acknowledgedOffset: 50 },
    );
    await expect(uploading).rejects.toMatchObject({
      tandem: { reason: "UPLOAD_HISTORY_LOST", metadata: { committed_offset: "20" } },
    });
  });

  it("says so when the source is shorter than what was committed", async () => {
    const ledger = new Ledger();
    ledger.records.push(...RECORDS, ...RECORDS);
    await expect(upload((frames) => ledger.serve(frames))).rejects.toMatchObject({ fault: "SOURCE" });
  });

  it("sends smaller batches when a message was too large", async () => {
    const ledger = new Ledger();
    const { result } = await upload((frames) =>
      ledger.serve(frames, {
        beforeBatch: ({ records }) => {
          if (records.length > 3) throw tandemError(Code.ResourceExhausted, "MESSAGE_TOO_LARGE", { limit: "1" });
          return undefined;
        },
      }),
    );
    expect(ledger.recordIds()).toEqual(RECORDS.map(({ recordId }) => recordId));
    expect(result.resumes).toBe(2);
  });

  it("keeps the connection alive while its source has nothing yet", async () => {
    const ledger = new Ledger({ heartbeatMs: 200 });
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { result } = await upload(
      (frames) => ledger.serve(frames, { afterKeepAlive: (count) => (count === 5 ? release() : undefined) }),
      {
        source: {
          read: async (offset, limit) => {
            if (offset === 50) await released;
            return RECORDS.slice(offset, offset + limit);
          },
        },
      },
    );
    expect(result).toMatchObject({ receipt: { finalOffset: 100n }, resumes: 0 });
  });

  it("sends KeepAlives however often the server is heard", async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const heard: (string | undefined)[] = [];
    const ledger = new Ledger({ heartbeatMs: 200 });
    const { result } = await upload(
      async function* (frames) {
        await frames.next();
        yield opened(0, 4000, 200);
        const next = frames.next();
        while (heard.length === 0) {
          yield { frame: { case: "heartbeat", value: { committedOffset: 0n } } };
          await Promise.race([next.then(({ value }) => heard.push(value?.frame.case)), delay(5)]);
        }
        release();
        yield* ledger.answer(frames);
      },
      {
        source: {
          read: async (offset, limit) => {
            await released;
            return RECORDS.slice(offset, offset + limit);
          },
        },
      },
    );
    expect(heard[0]).toBe("keepAlive");
    expect(result.resumes).toBe(0);
  });

  it("resumes after whatever has no reason of Tandem's, and repeats only what carries RetryInfo of what has one", async () => {
    const cuts = [
      Code.Unknown,
      Code.Internal,
      Code.Canceled,
      Code.Aborted,
      Code.Unimplemented,
      Code.FailedPrecondition,
    ];
    const ledger = new Ledger();
    let attempts = 0;
    const { result } = await upload(async function* (frames) {
      const code = cuts[attempts++];
      if (code !== undefined) throw new ConnectError("a proxy says so", code);
      if (attempts === cuts.length + 1) throw tandemError(Code.Unavailable, "STORE_UNAVAILABLE", {}, 1);
      yield* ledger.serve(frames);
    });
    expect(result.resumes).toBe(cuts.length + 1);
    attempts = cuts.length;
    const refused = upload(async function* () {
      attempts += 1;
      yield* [];
      throw tandemError(Code.Unavailable, "A_REASON_OF_A_NEWER_SERVER", {});
    });
    await expect(refused).rejects.toMatchObject({ fault: "REFUSED" });
    expect(attempts).toBe(cuts.length + 1);
  });

  it("passes on what its source throws", async () => {
    const ledger = new Ledger();
    const fault = new Error("the switch's disk is away");
    const source = { read: () => Promise.reject(fault) };
    await expect(upload((frames) => ledger.serve(frames), { source })).rejects.toBe(fault);
  });

  it("ends with its signal's reason, and closes the call", async () => {
    const stop = new AbortController();
    const reason = new Error("enough");
    let left = () => {};
    const hasLeft = new Promise<void>((resolve) => {
      left = resolve;
    });
    const uploading = upload(
      async function* (frames, { context }) {
        context.signal.addEventListener("abort", () => left(), { once: true });
        await frames.next();
        yield opened(0, 4000);
        stop.abort(reason);
        await hasLeft;
      },
      { signal: stop.signal },
    );
    await expect(uploading).rejects.toBe(reason);
    await hasLeft;
  });
});

interface LedgerHooks {
  readonly beforeBatch?: (batch: DurationBatch) => { expectedOffset: bigint; reason: UploadRewindReason } | undefined;
  readonly afterCommit?: () => void;
  readonly afterKeepAlive?: (count: number) => void;
}

/** An upload that takes what it is sent, with one outcome a record. */
class Ledger {
  readonly records: CallDuration[] = [];
  readonly #windowRecords: number;
  readonly #heartbeatMs: number;
  finish: UploadFinish | undefined;
  sentPastCredit = 0;
  #keepAlives = 0;

  constructor({ windowRecords = 4000, heartbeatMs = 15_000 } = {}) {
    this.#windowRecords = windowRecords;
    this.#heartbeatMs = heartbeatMs;
  }

  recordIds(): string[] {
    return this.records.map(({ recordId }) => recordId);
  }

  async *serve(frames: Frames, hooks: LedgerHooks = {}): AsyncGenerator<Frame> {
    await frames.next();
    yield opened(this.records.length, this.records.length + this.#windowRecords, this.#heartbeatMs);
    yield* this.answer(frames, hooks);
  }

  async *answer(frames: Frames, hooks: LedgerHooks = {}): AsyncGenerator<Frame> {
    for (let next = await frames.next(); next.done !== true; next = await frames.next()) {
      const { frame } = next.value;
      if (frame.case === "keepAlive") {
        this.#keepAlives += 1;
        hooks.afterKeepAlive?.(this.#keepAlives);
        yield { frame: { case: "heartbeat", value: { committedOffset: BigInt(this.records.length) } } };
      }
      if (frame.case === "batch") yield this.#take(frame.value, hooks);
      if (frame.case === "finish") {
        this.finish = frame.value;
        yield { frame: { case: "finished", value: { receipt: { finalOffset: frame.value.finalOffset } } } };
        return;
      }
    }
  }

  #take(batch: DurationBatch, hooks: LedgerHooks): Frame {
    const rewind = hooks.beforeBatch?.(batch);
    if (rewind !== undefined) return { frame: { case: "rewind", value: rewind } };
    const first = Number(batch.firstOffset);
    if (first + batch.records.length > this.records.length + this.#windowRecords) this.sentPastCredit += 1;
    const fresh = batch.records.slice(Math.max(this.records.length - first, 0));
    if (first <= this.records.length) this.records.push(...fresh);
    hooks.afterCommit?.();
    const outcomes = batch.records.map(({ recordId }, index) => {
      return { recordOffset: batch.firstOffset + BigInt(index), recordId, verdict: Verdict.DUPLICATE };
    });
    const committedOffset = BigInt(this.records.length);
    const sendLimitOffset = committedOffset + BigInt(this.#windowRecords);
    return { frame: { case: "ack", value: { committedOffset, sendLimitOffset, outcomes } } };
  }
}

async function upload(
  script: (frames: Frames, tools: { cut: () => void; context: HandlerContext }) => AsyncIterable<Frame>,
  options: Partial<UploadOptions<CallDuration>> = {},
): Promise<{ result: UploadResult; events: UploadEvent[] }> {
  await using server = await startScriptedServer((router) => {
    router.service(DurationService, {
      uploadDurations: (requests, context) =>
        script(requests[Symbol.asyncIterator](), { cut: () => server.cut(), context }),
    });
  });
  using transport = createTandemTransport({ baseUrl: server.baseUrl });
  const events: UploadEvent[] = [];
  const result = await uploadDurations(createClient(DurationService, transport), {
    uploadId: "test",
    source: arraySource(RECORDS),
    batchRecords: 10,
    retry: { initialDelayMs: 1, maxDelayMs: 5, maxAttempts: 20 },
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { result, events };
}

function opened(committedOffset: number, sendLimitOffset: number, heartbeatMs = 15_000): Frame {
  const limits = { heartbeatInterval: { seconds: 0n, nanos: heartbeatMs * 1_000_000 } };
  const offsets = { committedOffset: BigInt(committedOffset), sendLimitOffset: BigInt(sendLimitOffset) };
  return { frame: { case: "opened", value: { ...offsets, ...(heartbeatMs < 1000 ? { limits } : {}) } } };
}

function tandemError(
  code: Code,
  reason: string,
  metadata: Record<string, string>,
  retryAfterMs?: number,
): ConnectError {
  const error = new ConnectError(reason, code);
  error.details.push({ desc: ErrorInfoSchema, value: { domain: "tandem", reason, metadata } });
  if (retryAfterMs !== undefined)
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: { nanos: retryAfterMs * 1_000_000 } } });
  return error;
}
