import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { messageOf } from "../../domain/message-of.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import {
  QualityDimension,
  QualitySummarySchema,
  type SummarizeQualityRequest,
  SummaryPeriod,
} from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { carrierTransaction, systemTransaction } from "../../store/database/database.ts";
import {
  type QualityGroup,
  summarizeQuality as readQuality,
  SUMMARY_TIMEOUT_MS,
} from "../../store/records/quality-summary.ts";
import { readDaysOf } from "../../store/zone-days/zone-days.ts";
import { carrierOf } from "../shared/access/caller.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { requiredPeriod } from "../shared/lists.ts";
import { cdrConditions } from "./filter.ts";

/** Most groups of one answer. */
const MAX_GROUPS = 10_000;
/** Longest period that is summarized by hours, days. */
const MAX_HOURLY_DAYS = 7;

/** The method SummarizeQuality. */
export async function summarizeQuality(services: Services, request: SummarizeQualityRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const hourly = request.period === SummaryPeriod.HOUR;
  if (!hourly && request.period !== SummaryPeriod.DAY)
    throw invalidArgument("period", "is required: SUMMARY_PERIOD_HOUR or SUMMARY_PERIOD_DAY");
  const period = requiredPeriod(request, hourly ? MAX_HOURLY_DAYS : services.config.limits.maxListWindowDays);
  const dimensions = checkDimensions(request.dimensions);
  const { timeZone } = await requireCarrier(services, carrierId);
  // Read for it, for a carrier has no part in what names none.
  const days = hourly
    ? undefined
    : await systemTransaction(services.db, (tx) => readDaysOf(tx, timeZone, [period.start, period.end]));
  const groups = await carrierTransaction(
    services.db,
    carrierId,
    (tx) =>
      readQuality(tx, {
        carrierId,
        ...period,
        days,
        byTrunk: dimensions.has(QualityDimension.TRUNK),
        byCodec: dimensions.has(QualityDimension.CODEC),
        byDirection: dimensions.has(QualityDimension.DIRECTION),
        conditions: cdrConditions(request.filter),
        limit: MAX_GROUPS + 1,
      }),
    { statementTimeoutMs: SUMMARY_TIMEOUT_MS, snapshot: true },
  );
  if (groups.length > MAX_GROUPS) {
    throw new TandemError(
      "INVALID_ARGUMENT",
      `more than ${MAX_GROUPS} groups: ask for a shorter period or fewer dimensions`,
      { field: "dimensions" },
    );
  }
  return { summaries: groups.map(summaryMessage) };
}

function checkDimensions(dimensions: readonly QualityDimension[]): Set<QualityDimension> {
  for (const dimension of dimensions) {
    const known = dimension !== QualityDimension.UNSPECIFIED && QualityDimension[dimension] !== undefined;
    if (!known) throw invalidArgument("dimensions", "expected TRUNK, CODEC or DIRECTION, each at most once");
  }
  const unique = new Set(dimensions);
  if (unique.size !== dimensions.length) throw invalidArgument("dimensions", "expected each at most once");
  return unique;
}

function summaryMessage({ setup, setupCount, mosLq, mosLqCount, mosCq, mosCqCount, ...group }: QualityGroup) {
  const { attempts, answered, classifiedStreams, poorStreams, unmeasured } = group;
  return messageOf(QualitySummarySchema, {
    periodStartTime: timestampFromMicros(group.periodStart),
    trunkId: group.trunkId,
    codec: group.codec,
    direction: group.direction,
    attemptCount: attempts,
    answeredCount: answered,
    answerSeizureRatio: shareOf(answered, attempts),
    networkEffectivenessRatio: shareOf(group.networkEffective, attempts),
    averageCallDurationMs: shareOf(group.connectedDurationMs, answered - unmeasured),
    connectedDurationMs: group.connectedDurationMs,
    unmeasuredCount: unmeasured,
    postDialDelayMs: percentiles(setupCount, setup),
    mosLq: percentiles(mosLqCount, mosLq),
    mosCq: percentiles(mosCqCount, mosCq),
    classifiedStreamCount: classifiedStreams,
    poorStreamCount: poorStreams,
    poorStreamRatio: shareOf(poorStreams, classifiedStreams),
    poorReasons: group.poorReasons.map(({ reason, calls }) => ({ reason, callCount: calls })),
  });
}

function shareOf(part: bigint, whole: bigint): number | undefined {
  return whole === 0n ? undefined : Number(part) / Number(whole);
}

function percentiles(measuredCount: bigint, values: number[] | undefined) {
  if (measuredCount === 0n || !values) return undefined;
  const [p10 = 0, p50 = 0, p90 = 0, p99 = 0] = values;
  return { measuredCount, p10, p50, p90, p99 };
}
