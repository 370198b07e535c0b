import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ofEachVerdict, type VerdictCounts } from "../../domain/calls/verdict.ts";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { type Limits, MAX_NUMBER_ITEMS } from "../../domain/limits.ts";
import type { StreamLife } from "../../domain/stream-life.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import { LimitsSchema } from "../../gen/tandem/type/v1/limits_pb.js";
import {
  Durability,
  type RecordOutcomeSchema,
  UploadClosingReason,
  type UploadFinish as UploadFinishMessage,
  type UploadReceiptSchema,
  UploadRewindReason,
  type UploadSchema,
  UploadState,
  type VerdictCountsSchema,
} from "../../gen/tandem/type/v1/upload_pb.js";
import { shareOf } from "../../port/memory-budget.ts";
import { MAX_CONSUMERS } from "../../store/feeds/consumers.ts";
import type { UploadRow } from "../../store/records/uploads.ts";
import type { ClientFrame, ServerFrame } from "../../upload/frames.ts";
import type { Outcome } from "../../upload/outcome.ts";
import type { RecordList } from "../../upload/records/record-list.ts";
import type { UploadFinish, UploadOpen } from "../../upload/upload-store.ts";
import type { UploadTarget } from "../../upload/uploads.ts";
import { CALLER_ALLOWANCE } from "./audit/refusal-budget.ts";
import type { Services } from "./context.ts";
import { type FirstFrameCall, type FirstFrameLimits, readFirst } from "./first-frame.ts";
import { countAcknowledged } from "./metrics.ts";

/** What the request frames of both uploads have in common. */
interface RequestFrame<Message> {
  readonly request: {
    readonly frame:
      | { case: "open"; value: unknown }
      | { case: "batch"; value: { firstOffset: bigint } }
      | { case: "keepAlive"; value: unknown }
      | { case: "finish"; value: UploadFinishMessage }
      | { case: undefined; value?: undefined };
  };
  readonly records: RecordList<Message>;
}

type OpenOf<Frame extends RequestFrame<unknown>> = Extract<Frame["request"]["frame"], { case: "open" }>["value"];

/** Reads the first frame of an upload, which must be Open, and leaves the rest to be read. */
export async function readOpen<Message, Frame extends RequestFrame<Message>>(
  requests: AsyncIterable<Frame>,
  call: FirstFrameCall,
  services: FirstFrameLimits,
): Promise<{ open: OpenOf<Frame>; rest: AsyncIterator<Frame> }> {
  const rest = requests[Symbol.asyncIterator]();
  const first = await readFirst(rest, call, services);
  if (first.done) throw outOfTurn("the end of the stream", "open");
  const { frame } = first.value.request;
  if (frame.case !== "open") throw outOfTurn(frame.case, "open");
  return { open: frame.value as OpenOf<Frame>, rest };
}

/** Turns the frames after Open into what the session reads. */
export async function* clientFrames<Message>(
  rest: AsyncIterator<RequestFrame<Message>>,
): AsyncGenerator<ClientFrame<Message>> {
  try {
    for (let next = await rest.next(); !next.done; next = await rest.next()) {
      const { request, records } = next.value;
      const { frame } = request;
      if (frame.case === "batch") yield { frame: "batch", firstOffset: frame.value.firstOffset, records };
      else if (frame.case === "finish") yield { frame: "finish", ...finishOf(frame.value) };
      else if (frame.case === "keepAlive") yield { frame: "keepAlive" };
      else throw outOfTurn(frame.case satisfies "open" | undefined, "batch, keep_alive or finish");
    }
  } finally {
    await rest.return?.();
  }
}

/** The Finish of either upload. Its totals are required. */
export function finishOf(finish: UploadFinishMessage): UploadFinish {
  if (!finish.totals)
    throw invalidArgument(
      "finish.totals",
      "is required: the count and the connected time of every record that was sent",
    );
  return {
    finalOffset: finish.finalOffset,
    recordCount: finish.totals.recordCount,
    connectedDurationMs: finish.totals.connectedDurationMs,
  };
}

/**
 * How safe an acknowledged record is: depends on how the store commits, and on whether commits wait
 * for a replica.
 */
export function durabilityOf({ config, db }: Pick<Services, "config" | "db">): Durability {
  if (config.synchronousCommit === "off") return Durability.MEMORY;
  const waits = config.synchronousCommit === "remote_apply" && db.server.isReplicated;
  return waits ? Durability.REPLICATED : Durability.DISK;
}

/** Runs an upload to its end, and answers with its frames. */
export async function* answerUpload<Message>(
  services: Services,
  method: string,
  { target, open, life, frames }: AnsweredUpload<Message>,
) {
  for await (const frame of services.uploads.run(target, open, life, frames)) {
    if (frame.frame === "ack" && !target.validateOnly) countAcknowledged(services.metrics, method, frame.counts);
    yield { frame: responseFrame(frame, services.config.limits, durabilityOf(services)) };
  }
}

interface AnsweredUpload<Message> {
  readonly target: UploadTarget<Message>;
  readonly open: UploadOpen;
  readonly life: StreamLife;
  readonly frames: AsyncIterable<ClientFrame<Message>>;
}

/** A session's frame as the `frame` of either response. */
function responseFrame(frame: ServerFrame, limits: Limits, durability: Durability) {
  switch (frame.frame) {
    case "opened": {
      const { frame: _, lostSince: lost, ...offsets } = frame;
      const lostSince = lost === undefined ? {} : { lostSince: timestampFromMicros(lost) };
      return {
        case: "opened",
        value: { ...offsets, limits: limitsMessage(limits), durability, ...lostSince },
      } as const;
    }
    case "ack": {
      const { committedOffset, sendLimitOffset } = frame;
      const told = { counts: countsMessage(frame.counts), outcomes: frame.outcomes.map(outcomeMessage) };
      return { case: "ack", value: { committedOffset, sendLimitOffset, ...told } } as const;
    }
    case "rewind": {
      const { expectedOffset, reason, retryAfterMs } = frame;
      const pause = retryAfterMs === undefined ? {} : { retryAfter: durationFromMs(retryAfterMs) };
      return { case: "rewind", value: { expectedOffset, reason: UploadRewindReason[reason], ...pause } } as const;
    }
    case "heartbeat":
      return { case: "heartbeat", value: { committedOffset: frame.committedOffset } } as const;
    case "closing": {
      const reason = UploadClosingReason[frame.reason === "SLOW_CONSUMER" ? "IDLE" : frame.reason];
      return { case: "closing", value: { reason, ...retryAfter(frame.reason) } } as const;
    }
    case "finished":
      return { case: "finished", value: { receipt: receiptMessage(frame.upload) } } as const;
    default:
      return frame satisfies never;
  }
}

/** The limits as they are advertised: those of the same name as they are. */
export function limitsMessage(limits: Limits) {
  return create(LimitsSchema, {
    ...limits,
    maxMessageBytes: BigInt(limits.maxMessageBytes),
    maxStreamAge: durationFromMs(limits.maxStreamAgeMs),
    heartbeatInterval: durationFromMs(limits.heartbeatIntervalMs),
    maxListWindow: durationFromMs(limits.maxListWindowDays * 86_400_000),
    maxStall: durationFromMs(limits.maxStallMs),
    maxBytesPerSecond: BigInt(limits.maxBytesPerSecond),
    maxRequestTime: durationFromMs(limits.requestMs),
    maxAnswerTime: durationFromMs(limits.answerMs),
    maxNumbers: BigInt(limits.maxNumbers),
    maxConsumers: MAX_CONSUMERS,
    maxReceivedBytes: BigInt(shareOf(limits.receivedBudgetBytes)),
    maxNumberItems: MAX_NUMBER_ITEMS,
    maxDecodedBytes: BigInt(shareOf(limits.decodedBudgetBytes)),
    maxAuditedRefusalsPerHour: CALLER_ALLOWANCE,
  });
}

export function countsMessage(counts: VerdictCounts): MessageInitShape<typeof VerdictCountsSchema> {
  return ofEachVerdict((name) => BigInt(counts[name]));
}

export function outcomeMessage(
  outcome: Omit<Outcome, "verdict"> & { verdict: number },
): MessageInitShape<typeof RecordOutcomeSchema> {
  const { recordOffset, recordId, verdict, issue, fieldPath, message, retryable } = outcome;
  const where = fieldPath === undefined ? {} : { fieldPath };
  return { recordOffset, recordId, verdict, issue, message, retryable, ...where };
}

/** The receipt of an upload that is sealed. */
export function receiptMessage(upload: UploadRow): MessageInitShape<typeof UploadReceiptSchema> {
  return {
    uploadId: upload.uploadId,
    finalOffset: upload.nextOffset,
    totals: { recordCount: upload.nextOffset, connectedDurationMs: upload.connectedDurationMs },
    counts: countsMessage(upload.counts),
    ...(upload.sealTime === undefined ? {} : { sealTime: timestampFromMicros(upload.sealTime) }),
  };
}

export function uploadMessage(upload: UploadRow): MessageInitShape<typeof UploadSchema> {
  return {
    uploadId: upload.uploadId,
    state: upload.sealed ? UploadState.SEALED : UploadState.OPEN,
    committedOffset: upload.nextOffset,
    writerEpoch: upload.writerEpoch,
    counts: countsMessage(upload.counts),
    totals: { recordCount: upload.nextOffset, connectedDurationMs: upload.connectedDurationMs },
    createTime: timestampFromMicros(upload.createTime),
    updateTime: timestampFromMicros(upload.updateTime),
    ...(upload.finished ? { receipt: receiptMessage(upload) } : {}),
  };
}

/**
 * How long a client should wait before it comes back: when a process shuts down, another is there
 * beside it or is starting.
 */
export function retryAfter(end: string) {
  return end === "DRAINING" ? { retryAfter: durationFromMs(DRAIN_RETRY_MS) } : {};
}

const DRAIN_RETRY_MS = 250;

function outOfTurn(frame = "an empty frame", expected: string): TandemError {
  return new TandemError("UPLOAD_PROTOCOL_VIOLATION", `${frame} is out of order: expected ${expected}`, {
    frame,
    expected,
  });
}
