import { discrepancyFeed } from "../../feed/discrepancy-feed.ts";
import type { ReconciliationService } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { carrierOf } from "../shared/access/caller.ts";
import { answerFeed } from "../shared/answer-feed.ts";
import type { Methods } from "../shared/context.ts";
import { startWithoutConsumer } from "../shared/feed-frames.ts";
import { listedDiscrepancies } from "./discrepancy-list.ts";
import { explainOwnCalls } from "./explain-call.ts";
import { readDiscrepancyFilter } from "./filter.ts";
import { summary } from "./summary.ts";

export const carrierReconciliationMethods: Methods<typeof ReconciliationService> = {
  getReconciliationSummary: summary,
  listDiscrepancies: listedDiscrepancies,
  watchDiscrepancies: (services, request, context) => {
    const { carrierId } = carrierOf(context);
    const { conditions, hash: filter } = readDiscrepancyFilter(request.filter);
    const start = startWithoutConsumer(request.start, "discrepancies");
    const feed = discrepancyFeed(carrierId, conditions);
    return answerFeed(services, context, request, { carrierId, feed, filter, start });
  },
  explainCall: explainOwnCalls,
};
