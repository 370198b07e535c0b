import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Tracer } from "@opentelemetry/api";
import { FEED_NAMES, type FeedId } from "../../domain/feed-id.ts";
import type { Limits } from "../../domain/limits.ts";
import { wallMicros } from "../../domain/time/wall-clock.ts";
import type { FeedFrame, FeedRange, StreamedFeed } from "../../feed/feed.ts";
import type { FeedPlace, FeedStart } from "../../feed/position.ts";
import type { SharedPages } from "../../feed/shared-pages.ts";
import { streamFeed } from "../../feed/stream.ts";
import type { FeedEnd as FeedEndMessage } from "../../gen/tandem/type/v1/feed_pb.js";
import { startLinked } from "../../telemetry/tracing.ts";
import type { Services } from "./context.ts";
import { feedDisclosure } from "./disclosure/disclose-feed.ts";
import { batchFormat, feedEnd, rangeOf, sharedFrame } from "./feed-frames.ts";
import type { Metrics } from "./metrics.ts";
import { openStreamLife } from "./stream-life.ts";

/** Which feed a method streams, and from where. */
interface AnsweredFeed<Entry, Row, Shown> {
  readonly carrierId: string;
  readonly feed: StreamedFeed<Entry, Row, Shown>;
  /** From `filterHash`. */
  readonly filter: bigint;
  readonly start: FeedStart | ((place: FeedPlace) => Promise<FeedStart>);
}

/** Answers a method that streams a feed, from its opening to its closing. */
export async function* answerFeed<Entry, Row, Shown>(
  services: Services,
  context: HandlerContext,
  request: Message & { readonly end?: FeedEndMessage | undefined },
  { carrierId, feed, filter, start }: AnsweredFeed<Entry, Row, Shown>,
) {
  const { db, seals, hub, metrics, tracer, config } = services;
  const { limits } = config;
  const end = feedEnd(request.end);
  using life = openStreamLife(context, services, carrierId, "feed");
  await feed.refresh?.();
  const place: FeedPlace = { db, seals, carrierId, feed: feed.id, filter };
  const frames = streamFeed({
    ...{ place, hub, feed, end, life },
    start: typeof start === "function" ? await start(place) : start,
    disclose: feedDisclosure(services, context, { request, carrierId, feed }),
    heartbeatMs: limits.heartbeatIntervalMs,
    maxStallMs: limits.maxStallMs,
    pages: services.feedPages as SharedPages<Entry>,
  });
  const format = batchFormat(context);
  const method = `${context.service.typeName}/${context.method.name}`;
  for await (const frame of frames) {
    using _page = tracer && tracePage(tracer, { carrierId, feedId: feed.id, frame });
    yield { ...rangeOf(frame), frame: showFrame(frame, feed, { format, limits }) };
    if (frame.frame === "batch") countBatch(metrics, method, frame);
    if (frame.frame === "snapshot") metrics.recordsSent.add(frame.rows.length, { method });
  }
}

function countBatch(metrics: Metrics, method: string, { entries, throughTime }: Batch): void {
  metrics.recordsSent.add(entries.length, { method });
  // The two clocks may differ by a little.
  const ageMicros = throughTime > 0n ? Number(wallMicros() - throughTime) : undefined;
  if (ageMicros !== undefined) metrics.deliveryDelay.record(Math.max(0, ageMicros) / 1e6, { method });
}

type Batch = FeedRange & { readonly entries: readonly unknown[] };

// From when a page is ready until the client's connection has taken it. It names the sequences, so
// that one finds with which page an entry was sent.
function tracePage(
  tracer: Tracer,
  { carrierId, feedId, frame }: { carrierId: string; feedId: FeedId; frame: FeedFrame<unknown, unknown> },
): Disposable | undefined {
  if (frame.frame !== "batch") return undefined;
  const attributes = {
    "tandem.carrier": carrierId,
    "tandem.feed": FEED_NAMES[feedId],
    "tandem.feed.after_sequence": Number(frame.after),
    "tandem.feed.through_sequence": Number(frame.through),
    "tandem.feed.entries": frame.entries.length,
  };
  const span = startLinked(tracer, "tandem.feed.page", { attributes });
  return { [Symbol.dispose]: () => span.end() };
}

function showFrame<Entry, Row, Shown>(
  frame: FeedFrame<Entry, Row>,
  feed: StreamedFeed<Entry, Row, Shown>,
  { format, limits }: { format: "binary" | "json"; limits: Limits },
) {
  switch (frame.frame) {
    case "batch":
      return feed.showBatch(frame.entries, format);
    case "snapshot":
    case "synced":
      if (!feed.snapshot) throw new Error("this feed has no rows to show");
      return feed.snapshot.show(frame);
    default:
      return sharedFrame(frame, limits);
  }
}
