import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument } from "../../domain/errors.ts";
import { numberFeed } from "../../feed/number-feed.ts";
import { type FeedPlace, type FeedStart, openOwnCursor } from "../../feed/position.ts";
import type { WatchNumbersRequest } from "../../gen/tandem/carrier/v1/number_service_pb.js";
import { carrierOf } from "../shared/access/caller.ts";
import { answerFeed } from "../shared/answer-feed.ts";
import type { Services } from "../shared/context.ts";
import { startWithoutConsumer } from "../shared/feed-frames.ts";
import { readNumberFilter } from "./filter.ts";

/** Answers WatchNumbers: the current rows if asked for, then every change. */
export function watchNumbers(services: Services, request: WatchNumbersRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const { filter, hash } = readNumberFilter(request.filter);
  const start = (place: FeedPlace) => watchStart(place, request);
  return answerFeed(services, context, request, {
    carrierId,
    feed: numberFeed(carrierId, filter),
    filter: hash,
    start,
  });
}

// The current rows first, unless a cursor says that they have been sent.
async function watchStart(place: FeedPlace, request: WatchNumbersRequest): Promise<FeedStart> {
  const { position } = request.start ?? {};
  if (!request.initialState) return startWithoutConsumer(request.start, "numbers");
  if (!position?.case) return { at: "snapshot" };
  const opened = position.case === "cursor" ? await openOwnCursor(place, position.value) : undefined;
  // One whose key is gone is refused as such, with where to begin.
  if (position.case === "cursor" && opened && (opened === "key gone" || opened.cursor.snapshot))
    return { at: "cursor", cursor: position.value };
  throw invalidArgument("start", "expected none with initial_state, or the cursor of a snapshot message");
}
