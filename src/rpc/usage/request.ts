import type { Stated } from "../../domain/enum-values.ts";
import { fieldViolations, invalidArgument, TandemError } from "../../domain/errors.ts";
import type { Micros } from "../../domain/time/instant.ts";
import {
  type DatedPeriod,
  DEFAULT_GROUPING,
  findGroupingViolation,
  findPeriodViolations,
  findUsageFilterViolations,
  isLongerThan,
  type UsageFilter,
  type UsagePeriod,
} from "../../domain/usage/usage-scope.ts";
import { UsageDimension } from "../../gen/tandem/platform/v1/usage_pb.js";
import type { ExportUsageRequest, QueryUsageRequest } from "../../gen/tandem/platform/v1/usage_service_pb.js";
import { readClock, type Tx } from "../../store/database/run.ts";
import {
  findOverlappingPeriods,
  readPeriod,
  readRestatementNumbers,
  type StoredPeriod,
} from "../../store/usage/usage-periods.ts";
import type { PeriodVersion } from "../../store/usage/usage-source.ts";
import { optionalInstant, windowTooLarge } from "../shared/lists.ts";

type UsageRequest = QueryUsageRequest | ExportUsageRequest;

export interface ReadUsageRequest {
  readonly period: UsagePeriod;
  readonly filter: UsageFilter;
  readonly groupBy: readonly Stated<UsageDimension>[];
  readonly asOf: AsOf;
}

/** Which state of the figures. */
type AsOf =
  | { readonly kind: "now" }
  | { readonly kind: "time"; readonly time: Micros }
  | { readonly kind: "version"; readonly periodId: string; readonly restatementNumber: number };

/** Throws INVALID_ARGUMENT with every wrong field, LIST_WINDOW_TOO_LARGE. */
export function readUsageRequest(request: UsageRequest, maxDays: number): ReadUsageRequest {
  const period = pickPeriod(request);
  const filter = {
    phoneNumbers: [...new Set(request.phoneNumbers)].sort(),
    direction: request.direction,
    countryCodes: [...new Set(request.countryCodes)].sort(),
  };
  const grouping = findGroupingViolation(request.groupBy);
  const violations = [
    ...findPeriodViolations(period),
    ...findUsageFilterViolations({ ...filter, phoneNumbers: request.phoneNumbers, countryCodes: request.countryCodes }),
    ...(grouping ? [grouping] : []),
  ];
  if (violations.length > 0) throw fieldViolations(violations);
  if (isLongerThan(period, maxDays)) throw windowTooLarge("end_date", "start_date", maxDays);
  const groupBy =
    request.groupBy.length === 0 ? DEFAULT_GROUPING : request.groupBy.map((number) => number as Stated<UsageDimension>);
  const asOf = readAsOf(request.asOf);
  if (asOf.kind !== "now" && groupBy.includes(UsageDimension.OTHER_PARTY))
    throw invalidArgument(
      "group_by",
      "closed figures are not kept by other party: leave out OTHER_PARTY or as_of_time",
    );
  return { period, filter, groupBy, asOf };
}

/** Throws INVALID_ARGUMENT, LIST_WINDOW_TOO_LARGE. */
export function readPeriodRequest(request: UsagePeriod, maxDays: number): UsagePeriod {
  const period = pickPeriod(request);
  const violations = findPeriodViolations(period);
  if (violations.length > 0) throw fieldViolations(violations);
  if (isLongerThan(period, maxDays)) throw windowTooLarge("end_date", "start_date", maxDays);
  return period;
}

/** Closed periods that are shown as closed, and in which version. */
interface Versions {
  readonly versions: readonly PeriodVersion[];
  readonly periods: readonly StoredPeriod[];
}

/**
 * Finds the versions a request means, in a system transaction. Throws INVALID_ARGUMENT,
 * PERIOD_NOT_FOUND.
 */
export async function findVersions(tx: Tx, period: DatedPeriod, asOf: AsOf): Promise<Versions> {
  switch (asOf.kind) {
    case "now":
      return { versions: [], periods: [] };
    case "version":
      return findVersion(tx, period, asOf.periodId, asOf.restatementNumber);
    case "time":
      return findVersionsAt(tx, period, asOf.time);
    default:
      return asOf satisfies never;
  }
}

export function periodNotFound(periodId: string): TandemError {
  return new TandemError("PERIOD_NOT_FOUND", "the customer has no closed period with this id", { period_id: periodId });
}

function pickPeriod({ customerId, startDate, endDate, timeZone }: UsagePeriod): UsagePeriod {
  return { customerId, startDate, endDate, timeZone };
}

function readAsOf(asOf: UsageRequest["asOf"]): AsOf {
  if (asOf.case === "asOfTime") return { kind: "time", time: optionalInstant("as_of_time", asOf.value) ?? 0n };
  if (asOf.case !== "asOfVersion") return { kind: "now" };
  const { periodId, restatementNumber } = asOf.value;
  assertPeriodId("as_of_version.period_id", periodId);
  return { kind: "version", periodId, restatementNumber };
}

/** Throws INVALID_ARGUMENT if it cannot be a period's id. */
export function assertPeriodId(field: string, periodId: string): void {
  if (!/^[\x21-\x7e]{1,64}$/.test(periodId)) throw invalidArgument(field, "expected 1 to 64 characters");
}

async function findVersion(tx: Tx, asked: UsagePeriod, periodId: string, restatementNumber: number): Promise<Versions> {
  const period = await readPeriod(tx, periodId);
  if (period?.customerId !== asked.customerId) throw periodNotFound(periodId);
  if (restatementNumber < 0 || restatementNumber > period.restatementNumber) {
    const newest = `expected 0 to ${period.restatementNumber}, the period's newest restatement`;
    throw invalidArgument("as_of_version.restatement_number", newest);
  }
  if (period.timeZone !== asked.timeZone)
    throw invalidArgument("time_zone", `expected ${period.timeZone}, in which the period was closed`);
  if (asked.startDate < period.startDate)
    throw invalidArgument("start_date", `the period begins on ${period.startDate}`);
  if (asked.endDate > period.endDate) throw invalidArgument("end_date", `the period ends before ${period.endDate}`);
  return { periods: [period], versions: [{ ...period, restatementNumber }] };
}

/**
 * The versions at that time. Days of no period, or of one closed later, are shown as now; but a
 * time before every closing means a state that nobody kept, and is refused.
 */
async function findVersionsAt(tx: Tx, asked: DatedPeriod, time: Micros): Promise<Versions> {
  if (time > (await readClock(tx))) throw invalidArgument("as_of_time", "is in the future");
  const overlapping = await findOverlappingPeriods(tx, asked);
  const periods = overlapping.filter(({ closeTime }) => closeTime <= time);
  if (overlapping.length > 0 && periods.length === 0)
    throw invalidArgument("as_of_time", "is before these days were closed; earlier figures were not kept");
  const other = periods.find(({ timeZone }) => timeZone !== asked.timeZone);
  if (other) throw invalidArgument("time_zone", `expected ${other.timeZone}, in which these days were closed`);
  const numbers = await readRestatementNumbers(
    tx,
    periods.map(({ periodId }) => periodId),
    time,
  );
  const versions = periods.map((period) => ({ ...period, restatementNumber: numbers.get(period.periodId) ?? 0 }));
  return { periods, versions };
}
