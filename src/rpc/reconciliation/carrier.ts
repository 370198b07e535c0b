import type { ServiceImpl } from "@connectrpc/connect";
import type { ReconciliationService } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { carrierOf } from "../shared/access/caller.ts";
import type { Services } from "../shared/context.ts";
import { listedDiscrepancies } from "./discrepancy-list.ts";
import { explainOwnCalls } from "./explain-call.ts";
import { summary } from "./summary.ts";
import { watchDiscrepancies } from "./watch.ts";

export function carrierReconciliationService(services: Services): ServiceImpl<typeof ReconciliationService> {
  return {
    getReconciliationSummary: (request, context) =>
      summary(services, request, { method: "GetReconciliationSummary", ...carrierOf(context), context }),
    listDiscrepancies: (request, context) =>
      listedDiscrepancies(services, request, {
        method: "ListDiscrepancies",
        ...carrierOf(context),
        masked: false,
        context,
      }),
    watchDiscrepancies: (request, context) => watchDiscrepancies(services, request, context),
    explainCall: (request, context) => explainOwnCalls(services, request, context),
  };
}
