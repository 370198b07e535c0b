import type { ServiceImpl } from "@connectrpc/connect";
import type { ReconciliationService } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { carrierOf } from "../shared/access/caller.ts";
import type { Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { disclosedDiscrepancies } from "../shared/disclosure/disclosed-records.ts";
import { listedDiscrepancies, shownDiscrepancy } from "./discrepancy-list.ts";
import { explainOwnCalls } from "./explain-call.ts";
import { summary } from "./summary.ts";
import { watchDiscrepancies } from "./watch.ts";

/** The carrier's view of reconciliation. */
export function carrierReconciliationService(services: Services): ServiceImpl<typeof ReconciliationService> {
  return {
    getReconciliationSummary: (request, context) =>
      summary(services, request, { method: "GetReconciliationSummary", ...carrierOf(context), context }),
    listDiscrepancies: (request, context) => {
      const { carrierId } = carrierOf(context);
      return listedDiscrepancies(services, request, {
        method: "ListDiscrepancies",
        carrierId,
        context,
        show: shownDiscrepancy,
        disclose: (found) => {
          const disclosed = disclosedDiscrepancies(found);
          return discloseRecords(services, context, { request, masked: false, disclosed });
        },
      });
    },
    watchDiscrepancies: (request, context) => watchDiscrepancies(services, request, context),
    explainCall: (request, context) => explainOwnCalls(services, request, context),
  };
}
