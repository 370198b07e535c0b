import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument } from "../../domain/errors.ts";
import { FeedId } from "../../domain/feed-id.ts";
import { disclosedEntries, discrepancyBatch } from "../../feed/discrepancy-codec.ts";
import type { FeedPlace } from "../../feed/position.ts";
import { type FeedSource, streamFeed } from "../../feed/stream.ts";
import type { WatchDiscrepanciesRequest } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { readDiscrepancyPage, type StoredDiscrepancy } from "../../store/reconciliation/discrepancies.ts";
import { carrierOf } from "../shared/access/caller.ts";
import type { Services } from "../shared/context.ts";
import { feedDisclosure } from "../shared/disclosure/disclose-feed.ts";
import { batchFormat, feedEnd, feedStart, rangeOf, sharedFrame } from "../shared/feed-frames.ts";
import { openStreamLife } from "../shared/stream-life.ts";
import { readDiscrepancyFilter } from "./filter.ts";

const WATCH_METHOD = "tandem.carrier.v1.ReconciliationService/WatchDiscrepancies";
/** Most entries of one message. */
const PAGE_ENTRIES = 1_000;

export async function* watchDiscrepancies(
  services: Services,
  request: WatchDiscrepanciesRequest,
  context: HandlerContext,
) {
  const { carrierId } = carrierOf(context);
  const { limits } = services.config;
  const { conditions, hash } = readDiscrepancyFilter(request.filter);
  const start = feedStart(request.start);
  if (start.at === "consumer")
    throw invalidArgument("start.consumer", "discrepancies have no named consumers: use another start");
  const end = feedEnd(request.end);
  using life = openStreamLife(context, services, carrierId, "feed");
  const place: FeedPlace = {
    db: services.db,
    seals: services.seals,
    carrierId,
    feed: FeedId.DISCREPANCIES,
    filter: hash,
  };
  const source: FeedSource<StoredDiscrepancy[]> = {
    async readPage(tx, after, until) {
      const page = await readDiscrepancyPage(tx, { carrierId, after, until, limit: PAGE_ENTRIES, conditions });
      return { ...page, batch: page.entries };
    },
  };
  const { heartbeatIntervalMs: heartbeatMs, maxStallMs } = limits;
  const format = batchFormat(context);
  for await (const frame of streamFeed({
    place,
    hub: services.hub,
    source,
    start,
    end,
    life,
    disclose: feedDisclosure(services, context, {
      request,
      place,
      recordParts: () => [RecordPart.CALL, RecordPart.DURATION],
      entriesOf: disclosedEntries,
    }),
    heartbeatMs,
    maxStallMs,
  })) {
    if (frame.frame === "batch") {
      yield { ...rangeOf(frame), frame: { case: "batch" as const, value: discrepancyBatch(frame.batch, format) } };
      services.metrics.recordsSent.add(frame.batch.length, { method: WATCH_METHOD });
    } else yield { ...rangeOf(frame), frame: sharedFrame(frame, limits) };
  }
}
