import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import {
  QualityDimension,
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
import { requireCarrier, type Services } from "../shared/context.ts";
import { requiredPeriod } from "../shared/lists.ts";
import { cdrConditions } from "./filter.ts";

/** Most groups of one answer. */
const MAX_GROUPS = 10_000;
/** Longest period that is summarized by hours, days. */
const MAX_HOURLY_DAYS = 7;

/** Answers SummarizeQuality for one carrier. */
export async function summarizeQuality(services: Services, request: SummarizeQualityRequest, carrierId: string) {
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

function summaryMessage(group: QualityGroup) {
  const { attempts, answered, networkEffective, classifiedStreams, poorStreams, connectedDurationMs } = group;
  const measured = answered - group.unmeasured;
  return {
    periodStartTime: timestampFromMicros(group.periodStart),
    ...(group.trunkId === undefined ? {} : { trunkId: group.trunkId }),
    ...(group.codec === undefined ? {} : { codec: group.codec }),
    direction: group.direction,
    attemptCount: BigInt(attempts),
    answeredCount: BigInt(answered),
    ...(attempts === 0
      ? {}
      : { answerSeizureRatio: answered / attempts, networkEffectivenessRatio: networkEffective / attempts }),
    ...(measured === 0 ? {} : { averageCallDurationMs: Number(connectedDurationMs) / measured }),
    connectedDurationMs,
    unmeasuredCount: BigInt(group.unmeasured),
    ...percentileField("postDialDelayMs", group.postDialDelayMs),
    ...percentileField("mosLq", group.mosLq),
    ...percentileField("mosCq", group.mosCq),
    classifiedStreamCount: BigInt(classifiedStreams),
    poorStreamCount: BigInt(poorStreams),
    ...(classifiedStreams === 0 ? {} : { poorStreamRatio: poorStreams / classifiedStreams }),
    poorReasons: group.poorReasons.map(({ reason, calls }) => ({ reason, callCount: BigInt(calls) })),
  };
}

function percentileField<Name extends string>(name: Name, percentiles: QualityGroup["mosLq"]) {
  if (!percentiles) return {};
  const { measuredCount, ...values } = percentiles;
  return { [name]: { measuredCount: BigInt(measuredCount), ...values } } as Record<Name, object>;
}
