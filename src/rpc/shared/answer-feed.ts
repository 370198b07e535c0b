import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Limits } from "../../domain/limits.ts";
import type { FeedFrame, StreamedFeed } from "../../feed/feed.ts";
import type { FeedPlace, FeedStart } from "../../feed/position.ts";
import type { SharedPages } from "../../feed/shared-pages.ts";
import { streamFeed } from "../../feed/stream.ts";
import type { FeedEnd as FeedEndMessage } from "../../gen/tandem/type/v1/feed_pb.js";
import type { Services } from "./context.ts";
import { feedDisclosure } from "./disclosure/disclose-feed.ts";
import { batchFormat, feedEnd, rangeOf, sharedFrame } from "./feed-frames.ts";
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
  const { db, seals, hub, metrics, config } = services;
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
    yield { ...rangeOf(frame), frame: showFrame(frame, feed, { format, limits }) };
    if (frame.frame === "batch") metrics.recordsSent.add(frame.entries.length, { method });
    if (frame.frame === "snapshot") metrics.recordsSent.add(frame.rows.length, { method });
  }
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
