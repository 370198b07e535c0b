import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument } from "../../domain/errors.ts";
import type { Limits } from "../../domain/limits.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import type { FeedFrame, FeedRange } from "../../feed/feed.ts";
import type { FeedEnd, FeedStart } from "../../feed/position.ts";
import {
  FeedClosingReason,
  type FeedEnd as FeedEndMessage,
  type FeedStart as FeedStartMessage,
} from "../../gen/tandem/type/v1/feed_pb.js";
import { requiredInstant } from "./lists.ts";
import { limitsMessage, retryAfter } from "./upload-frames.ts";

/**
 * The start of a feed stream; `consumer` where the method knows named consumers. There is no
 * default.
 */
export function feedStart(message: FeedStartMessage | undefined): FeedStart | { at: "consumer"; consumer: string } {
  const position = message?.position;
  switch (position?.case) {
    case "cursor":
      return { at: "cursor", cursor: position.value };
    case "earliest":
    case "latest":
      return { at: position.case };
    case "ingestTime":
      return { at: "ingest_time", ingestTime: requiredInstant("start.ingest_time", position.value) };
    case "consumer":
      return { at: "consumer", consumer: position.value };
    case undefined:
      throw invalidArgument(
        "start",
        "is required: cursor, earliest, latest or ingest_time. A silent default would lose data",
      );
    default:
      return position satisfies never;
  }
}

/** The start of a stream of a feed without named consumers. */
export function startWithoutConsumer(message: FeedStartMessage | undefined, feed: string): FeedStart {
  const start = feedStart(message);
  if (start.at === "consumer")
    throw invalidArgument("start.consumer", `${feed} have no named consumers: use another start`);
  return start;
}

/** The end of a feed stream; undefined: it stays live. */
export function feedEnd(message: FeedEndMessage | undefined): FeedEnd | undefined {
  const position = message?.position;
  switch (position?.case) {
    case "cursor":
      return { at: "cursor", cursor: position.value };
    case "ingestTime":
      return { at: "ingest_time", ingestTime: requiredInstant("end.ingest_time", position.value) };
    case "head":
      return { at: "head" };
    case undefined:
      if (message) throw invalidArgument("end.position", "is required when end is set: cursor, ingest_time or head");
      return undefined;
    default:
      return position satisfies never;
  }
}

/** How the entries of a batch are written for a call. */
export function batchFormat(context: Pick<HandlerContext, "requestHeader">): "binary" | "json" {
  return /\bjson\b/.test(context.requestHeader.get("content-type") ?? "") ? "json" : "binary";
}

/** What every message of a feed stream carries. */
export function rangeOf(frame: FeedRange) {
  return { afterSequence: frame.after, throughSequence: frame.through, cursor: frame.cursor };
}

/** The frames that every feed shares, as the `frame` of its response. */
export function sharedFrame(
  frame: Exclude<FeedFrame<never, never>, { frame: "batch" | "snapshot" | "synced" }>,
  limits: Limits,
) {
  switch (frame.frame) {
    case "opened": {
      const { head, sessionId } = frame;
      const value = {
        sessionId,
        feedEpoch: head.epoch,
        earliestSequence: head.earliestSequence,
        headSequence: head.headSequence,
        heartbeatInterval: durationFromMs(limits.heartbeatIntervalMs),
        limits: limitsMessage(limits),
        ...(head.lostSince === undefined ? {} : { lostSince: timestampFromMicros(head.lostSince) }),
      };
      return { case: "opened", value } as const;
    }
    case "caughtUp":
      return { case: "caughtUp", value: { headSequence: frame.headSequence } } as const;
    case "heartbeat":
      return { case: "heartbeat", value: { headSequence: frame.headSequence } } as const;
    case "closing": {
      const reason = FeedClosingReason[frame.reason === "IDLE" ? "SLOW_CONSUMER" : frame.reason];
      return { case: "closing", value: { reason, ...retryAfter(frame.reason) } } as const;
    }
    default:
      return frame satisfies never;
  }
}
