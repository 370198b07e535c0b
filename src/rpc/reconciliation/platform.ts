import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Carrier } from "../../domain/carriers/carrier.ts";
import { invalidArgument } from "../../domain/errors.ts";
import { RULE_VERSION } from "../../domain/matching/result.ts";
import { messageOf } from "../../domain/message-of.ts";
import { addDays, type Micros, timestampFromMicros } from "../../domain/time/instant.ts";
import { wallMicros } from "../../domain/time/wall-clock.ts";
import {
  CarrierReconciliationStatusSchema,
  type GetReconciliationStatusRequest,
  type ReconciliationService,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { ReportingState } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { systemTransaction } from "../../store/database/database.ts";
import {
  type ReconciliationStatus,
  readReconciliationStatus,
} from "../../store/reconciliation/reconciliation-status.ts";
import { SUMMARY_TIMEOUT_MS, summarizeReconciliation } from "../../store/reconciliation/reconciliation-summary.ts";
import { readDaysOf } from "../../store/zone-days/zone-days.ts";
import { carriersAsked } from "../shared/carriers-asked.ts";
import { type Methods, requireCarrier, type Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import { listedDiscrepancies } from "./discrepancy-list.ts";
import { explainCalls } from "./explain-call.ts";
import { sortedUnique } from "./fields.ts";
import { reportingState, summary } from "./summary.ts";

/** Most carriers of a request for statuses. */
const MAX_CARRIERS = 100;
/** Days over which a carrier's status says whether it reports. */
const REPORTING_DAYS = 7;

export const platformReconciliationMethods: Methods<typeof ReconciliationService> = {
  getReconciliationSummary: summary,
  listDiscrepancies: listedDiscrepancies,
  getReconciliationStatus: getStatus,
  explainCall: explainCalls,
};

async function getStatus(services: Services, request: GetReconciliationStatusRequest, context: HandlerContext) {
  const asked = sortedUnique(request.carrierIds);
  if (request.carrierIds.length > MAX_CARRIERS)
    throw invalidArgument("carrier_ids", `expected at most ${MAX_CARRIERS}`);
  const page = await ListPage.open(services, context, request, ["platform.GetReconciliationStatus", ...asked]);
  const after = page.after?.["after"] ?? "";
  const found: { carrier: Carrier; status: ReconciliationStatus }[] = [];
  for await (const carrier of statusCarriers(services, asked, after)) {
    const status = await systemTransaction(services.db, (tx) => readReconciliationStatus(tx, carrier), {
      statementTimeoutMs: SUMMARY_TIMEOUT_MS,
    });
    if (status) found.push({ carrier, status });
    if (found.length > page.size) break;
  }
  const shown = new Map<unknown, MessageInitShape<typeof CarrierReconciliationStatusSchema>>();
  for (const item of found.slice(0, page.size))
    shown.set(item, await statusMessage(services, item.carrier, item.status));
  const show = (item: unknown) => shown.get(item) ?? {};
  const { messages: statuses, last } = await page.cut(found, CarrierReconciliationStatusSchema, show);
  return { statuses, nextPageToken: page.tokenAfter(last && { after: last.carrier.carrierId }) };
}

async function* statusCarriers(services: Services, asked: readonly string[], after: string): AsyncGenerator<Carrier> {
  // Checked on every page: the first tells of a missing one.
  const named: Carrier[] = [];
  for (const carrierId of asked) named.push(await requireCarrier(services, carrierId));
  const carriers = asked.length > 0 ? named : carriersAsked(services, "", after);
  for await (const carrier of carriers) if (carrier.carrierId > after) yield carrier;
}

async function statusMessage(services: Services, carrier: Carrier, status: ReconciliationStatus) {
  const { asideMinutes, asideFirst, lastCdrTime, lastDurationTime } = status;
  const timestamp = (time: Micros | undefined) => (time === undefined ? undefined : timestampFromMicros(time));
  return messageOf(CarrierReconciliationStatusSchema, {
    ...status,
    carrierId: carrier.carrierId,
    reportingState: await recentReporting(services, carrier),
    reconciledThroughTime: timestamp(status.reconciledThrough),
    lastDurationTime: timestamp(lastDurationTime),
    lastCdrTime: timestamp(lastCdrTime),
    pendingTotals: status.pending.map(({ reason, calls, oldest }) => ({
      pendingReason: reason,
      callCount: calls,
      oldestCallTime: timestamp(oldest),
    })),
    ruleVersion: RULE_VERSION,
    setAside: asideFirst === undefined ? undefined : { minuteCount: asideMinutes, firstTime: timestamp(asideFirst) },
  });
}

// The last seven days whose grace is over, in the carrier's time zone.
async function recentReporting(services: Services, carrier: Carrier) {
  const end = wallMicros() - carrier.graceMs * 1_000n;
  const days = await systemTransaction(services.db, (tx) => readDaysOf(tx, carrier.timeZone, [end]));
  const endDate = days.dayOf(end);
  const request = {
    ...carrier,
    startDate: addDays(endDate, -REPORTING_DAYS),
    endDate,
    customerIds: [],
    trunkIds: [],
    direction: undefined,
    groupBy: [],
  };
  const [figures] = await systemTransaction(
    services.db,
    (tx) => summarizeReconciliation(tx, request, { after: undefined, limit: 1 }),
    { statementTimeoutMs: SUMMARY_TIMEOUT_MS, snapshot: true },
  );
  return figures ? reportingState(figures) : ReportingState.UNSPECIFIED;
}
