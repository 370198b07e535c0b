import type { HandlerContext } from "@connectrpc/connect";
import type { Carrier } from "../../domain/carriers/carrier.ts";
import { messageOf } from "../../domain/message-of.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import type { GetReconciliationSummaryRequest as OfCarrier } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import type { GetReconciliationSummaryRequest as OfAll } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import {
  SummaryDimension as Dimension,
  ReconciliationSummaryRowSchema,
  ReportingState,
} from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { carrierTransaction, systemTransaction } from "../../store/database/database.ts";
import { readReconciledThrough } from "../../store/reconciliation/reconciliation-status.ts";
import {
  SUMMARY_DIMENSIONS,
  SUMMARY_TIMEOUT_MS,
  type SummaryDimension,
  type SummaryFigures,
  type SummaryKey,
  type SummaryRequest,
  type SummaryTotals,
  summarizeReconciliation,
} from "../../store/reconciliation/reconciliation-summary.ts";
import { carriersAsked } from "../shared/carriers-asked.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import { fieldChecks } from "../shared/lists.ts";
import { askedCarrier, checkDirection, checkNames, type DatePeriod, requiredDates, sortedUnique } from "./fields.ts";

type Asked = DatePeriod & Pick<SummaryRequest, "customerIds" | "trunkIds" | "direction" | "groupBy">;

/** Answers GetReconciliationSummary to a carrier, or to the platform. */
export async function summary(services: Services, request: OfAll | OfCarrier, context: HandlerContext) {
  const { carrierId, scopeOf } = askedCarrier(request, context);
  const { limits, region } = services.config;
  const asked = readRequest(request, limits.maxListWindowDays);
  const scope = [scopeOf("GetReconciliationSummary"), carrierId, JSON.stringify(asked)];
  const page = await ListPage.open(services, context, request, scope);
  if (carrierId !== "") await requireCarrier(services, carrierId);
  // Before the rows: they may know more.
  const named = carrierId === "" ? { region } : { carrierId };
  const through = await systemTransaction(services.db, (tx) => readReconciledThrough(tx, named));
  const found = await findRows(services, carrierId, asked, page.after, page.limit);
  const { messages: rows, last } = await page.cut(found, ReconciliationSummaryRowSchema, rowMessage);
  return {
    rows,
    nextPageToken: page.tokenAfter(last && { ...last.figures.key, carrier: last.carrier.carrierId }),
    ...(through === undefined ? {} : { reconciledThroughTime: timestampFromMicros(through) }),
  };
}

interface FoundRow {
  readonly carrier: Carrier;
  readonly figures: SummaryFigures;
}

async function findRows(
  services: Services,
  carrierId: string,
  asked: Asked,
  token: Readonly<Record<string, string>> | undefined,
  limit: number,
): Promise<FoundRow[]> {
  const found: FoundRow[] = [];
  for await (const carrier of carriersAsked(services, carrierId, token?.["carrier"] ?? "")) {
    const after = token && carrier.carrierId === token["carrier"] ? keyOf(token) : undefined;
    const page = { after, limit: limit - found.length };
    const rows = await carrierTransaction(
      services.db,
      carrier.carrierId,
      (tx) => summarizeReconciliation(tx, { ...asked, ...carrier }, page),
      { statementTimeoutMs: SUMMARY_TIMEOUT_MS, snapshot: true },
    );
    found.push(...rows.map((figures) => ({ carrier, figures })));
    if (found.length >= limit) break;
  }
  return found;
}

function keyOf(token: Readonly<Record<string, string>>): SummaryKey {
  return Object.fromEntries(SUMMARY_DIMENSIONS.map((dimension) => [dimension, token[dimension] ?? ""]));
}

function readRequest(request: OfAll | OfCarrier, maxDays: number): Asked {
  const { customerIds, trunkIds, direction, groupBy } = request;
  const { check, done } = fieldChecks();
  checkNames(check, { customerIds, trunkIds });
  checkDirection(check, direction);
  const isKnown = groupBy.every((by) => COLUMN_OF[by] !== undefined);
  check(isKnown, "group_by", "expected DAY, CUSTOMER, TRUNK or DIRECTION");
  check(new Set(groupBy).size === groupBy.length, "group_by", "expected each at most once");
  done();
  const columns = new Set(groupBy.map((by) => COLUMN_OF[by]));
  return {
    ...requiredDates(request, maxDays),
    customerIds: sortedUnique(customerIds),
    trunkIds: sortedUnique(trunkIds),
    direction: direction || undefined,
    groupBy: SUMMARY_DIMENSIONS.filter((dimension) => columns.size === 0 || columns.has(dimension)),
  };
}

const COLUMN_OF: Readonly<Record<number, SummaryDimension>> = {
  [Dimension.DAY]: "call_date",
  [Dimension.CUSTOMER]: "customer_id",
  [Dimension.TRUNK]: "trunk_id",
  [Dimension.DIRECTION]: "direction",
};

function rowMessage({ carrier: { carrierId, thresholds }, figures }: FoundRow) {
  const { key, ...totals } = figures;
  const overTime = { whole: totals.platformConnectedDurationMs, unmeasured: totals.unmeasuredCallCount };
  const overCalls = { whole: totals.comparedCallCount, unmeasured: 0n };
  const netMs = totals.carrierConnectedDurationMs - totals.platformConnectedDurationMs;
  return messageOf(ReconciliationSummaryRowSchema, {
    ...totals,
    carrierId,
    callDate: key.call_date,
    customerId: key.customer_id || undefined,
    trunkId: key.trunk_id || undefined,
    direction: Number(key.direction ?? 0),
    reportingState: reportingState(totals),
    net: thresholdResult(netMs, overTime, thresholds.netRatio),
    gross: thresholdResult(totals.absoluteDeltaMs, overTime, thresholds.grossRatio),
    unmatched: thresholdResult(totals.unmatchedCallCount, overCalls, thresholds.unmatchedRatio),
  });
}

/** @param over the divisor, and the number of calls that are in neither it nor the part. */
function thresholdResult(
  part: bigint,
  over: { whole: bigint; unmeasured: bigint },
  thresholdRatio: number | undefined,
) {
  const ratio = over.whole === 0n ? undefined : Number(part) / Number(over.whole);
  const exceeded = ratio === undefined || thresholdRatio === undefined ? undefined : Math.abs(ratio) > thresholdRatio;
  return { unmeasuredCallCount: over.unmeasured, ratio, thresholdRatio, exceeded };
}

/** Whether the carrier reported what the figures cover: days and directions whose grace is over. */
export function reportingState(figures: SummaryTotals): ReportingState {
  const { outsideParts, notExpectedParts, expectedParts, reportedParts } = figures;
  if (expectedParts === 0n) return notExpectedParts > 0n ? ReportingState.OUT_OF_SCOPE : ReportingState.UNSPECIFIED;
  if (outsideParts > 0n) return ReportingState.PARTLY_REPORTED;
  if (reportedParts === 0n) return ReportingState.SILENT;
  return reportedParts === expectedParts ? ReportingState.REPORTED : ReportingState.PARTLY_REPORTED;
}
