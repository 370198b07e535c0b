import { randomUUID } from "node:crypto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { isCustomerId } from "../../domain/numbers/number-item.ts";
import { type PartTotals, shareOf, totalOf } from "../../domain/usage/totals.ts";
import type { DatedPeriod } from "../../domain/usage/usage-scope.ts";
import {
  RestatementSchema,
  UsageCompletenessSchema,
  UsagePart,
  UsageRowSchema,
} from "../../gen/tandem/platform/v1/usage_pb.js";
import {
  type ClosePeriodRequest,
  ClosePeriodResponseSchema,
  type ListRestatementsRequest,
  type QueryUsageRequest,
  type UsageService,
} from "../../gen/tandem/platform/v1/usage_service_pb.js";
import { systemTransaction } from "../../store/database/database.ts";
import { readClock, type Tx } from "../../store/database/run.ts";
import {
  keyColumns,
  readCarrierUsage,
  readUsageCarriers,
  readUsageGroups,
  USAGE_TIMEOUT_MS,
} from "../../store/usage/usage.ts";
import {
  findOverlappingPeriods,
  insertClosedLines,
  insertPeriod,
  judgedOf,
  listPeriods,
  readPeriod,
  type StoredPeriod,
  withClosingsLocked,
  withDays,
} from "../../store/usage/usage-periods.ts";
import { listRestatements as readRestatements } from "../../store/usage/usage-restatements.ts";
import { NO_FILTER } from "../../store/usage/usage-source.ts";
import { hasScope } from "../shared/access/caller.ts";
import { act } from "../shared/act.ts";
import { actorOf } from "../shared/audit/audit.ts";
import type { Methods, Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { ListPage } from "../shared/list-page.ts";
import { optionalPeriod } from "../shared/lists.ts";
import { repeatableCall } from "../shared/repeatable-call.ts";
import { assertServedHere } from "../shared/residency.ts";
import { disclosedRestatements, disclosedUsage } from "./disclosed.ts";
import { exportUsage } from "./export.ts";
import {
  completenessMessage,
  keptCompleteness,
  periodFields,
  rowMessage,
  sumOfCarriers,
  totalsFields,
} from "./message.ts";
import { readUsage } from "./read-usage.ts";
import {
  assertPeriodId,
  periodNotFound,
  type ReadUsageRequest,
  readPeriodRequest,
  readUsageRequest,
} from "./request.ts";

/** Most closed periods of an answer. */
const MAX_PERIODS = 1_000;
/**
 * Most bytes of restatements in a page: with the periods and JSON it stays below the size of a
 * message.
 */
const MAX_PAGE_BYTES = 1_048_576;
/** Longest of a statement of a closing, milliseconds. */
const CLOSING_TIMEOUT_MS = 60_000;
/** Most lines of a closed period. */
const MAX_CLOSED_LINES = 1_000_000;

export const usageMethods: Methods<typeof UsageService> = { queryUsage, exportUsage, closePeriod, listRestatements };

async function queryUsage(services: Services, request: QueryUsageRequest, context: HandlerContext) {
  const asked = readUsageRequest(request, services.config.limits.maxListWindowDays);
  const isWhole = hasScope(context, "parties.read");
  const page = await ListPage.open(services, context, request, tokenScope(asked, isWhole));
  const token = page.after;
  const columns = keyColumns(asked.groupBy);
  const after = token && columns.map((_, index) => token[`k${index}`] ?? "");
  // Apart: a snapshot may not write missing days.
  const period = await systemTransaction(services.db, (tx) => withDays(tx, asked.period));
  const { answer, carrierIds } = await systemTransaction(
    services.db,
    async (tx) => {
      const { query, usage, completeness, ...found } = await readUsage(tx, services, { ...asked, period, isWhole });
      const groups = await readUsageGroups(tx, query, { after, limit: page.limit });
      const show = (group: (typeof groups)[number]) => rowMessage(group, columns);
      const { messages: rows, last } = await page.cut(groups, UsageRowSchema, show);
      const answer = {
        rows,
        nextPageToken: page.tokenAfter(
          last && Object.fromEntries(last.key.map((value, index) => [`k${index}`, value])),
        ),
        totals: totalsFields(totalOf(sumOfCarriers(usage))),
        completeness,
      };
      return { answer, carrierIds: rows.length === 0 ? [] : found.carrierIds };
    },
    { snapshot: true, statementTimeoutMs: USAGE_TIMEOUT_MS },
  );
  const disclosed = disclosedUsage(asked, carrierIds);
  await discloseRecords(services, context, { request, masked: !isWhole, disclosed });
  return answer;
}

// All but the page size. Masking is part of it, since rows are ordered by number.
function tokenScope({ period, filter, groupBy, asOf }: ReadUsageRequest, isWhole: boolean): string[] {
  const state = JSON.stringify(asOf, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  return ["platform.QueryUsage", JSON.stringify([period, filter, groupBy]), state, String(isWhole)];
}

async function closePeriod(services: Services, request: ClosePeriodRequest, context: HandlerContext) {
  const call = repeatableCall(services, request, context);
  const period = readPeriodRequest(request, services.config.limits.maxListWindowDays);
  const { maxPendingRatio = 0 } = request;
  if (!(maxPendingRatio >= 0 && maxPendingRatio <= 1)) throw invalidArgument("max_pending_ratio", "expected 0 to 1");
  const work = async (tx: Tx) => {
    const request = { maxPendingRatio, closedBy: actorOf(context) };
    const closed = await closeUnderLock(tx, await withDays(tx, period), request);
    await assertServedHere(tx, services, carriersOfPeriod(closed));
    const { periodId, customerId, startDate, endDate, timeZone } = closed;
    const details = { customer_id: customerId, start_date: startDate, end_date: endDate, time_zone: timeZone };
    return { answer: { period: periodFields(closed) }, resource: `period/${periodId}`, details };
  };
  const acting = { context, call, carrierId: undefined, schema: ClosePeriodResponseSchema };
  return systemTransaction(
    services.db,
    (tx) =>
      withClosingsLocked(tx, period.customerId, async () => {
        const answer = await act(tx, acting, () => work(tx));
        await assertServedHere(tx, services, carrierIdsOf(answer.period?.completeness?.carriers ?? []));
        return answer;
      }),
    { statementTimeoutMs: CLOSING_TIMEOUT_MS },
  );
}

/** The carriers of a closed period, and those it was compared with since. */
function carriersOfPeriod(period: StoredPeriod): string[] {
  return [...new Set([...carrierIdsOf(keptCompleteness(period).carriers), ...Object.keys(period.judged)])];
}

function carrierIdsOf(carriers: readonly { readonly carrierId: string }[]): string[] {
  return carriers.map(({ carrierId }) => carrierId);
}

async function closeUnderLock(
  tx: Tx,
  period: DatedPeriod,
  request: { maxPendingRatio: number; closedBy: string },
): Promise<StoredPeriod> {
  const [other] = await findOverlappingPeriods(tx, period);
  if (other) {
    const message = `the period overlaps one that was closed before: ${other.startDate} to ${other.endDate}`;
    throw new TandemError("PERIOD_ALREADY_CLOSED", message, { period_id: other.periodId });
  }
  const now = await readClock(tx);
  const periodId = randomUUID();
  const lineCount = await insertClosedLines(tx, periodId, period);
  if (lineCount > MAX_CLOSED_LINES)
    throw invalidArgument("end_date", `the period has more than ${MAX_CLOSED_LINES} lines: close a shorter one`);
  const version = { ...period, periodId, restatementNumber: 0 };
  // Sums are those of the lines just kept; whether carriers reported, those of the calls.
  const kept = await readCarrierUsage(tx, { period, filter: NO_FILTER, versions: [version] });
  const sums = sumOfCarriers(kept);
  assertComplete(period, sums, period.days.startOf(period.endDate) <= now, request.maxPendingRatio);
  const live = await readCarrierUsage(tx, { period, filter: NO_FILTER, versions: [] });
  const cells = new Map(live.map((usage) => [usage.carrierId, usage.cells]));
  const carriers = await readUsageCarriers(tx, period, carrierIdsOf(kept));
  const usage = kept.map((carrier) => ({ ...carrier, cells: cells.get(carrier.carrierId) ?? [] }));
  const closed = {
    ...period,
    periodId,
    closeTime: now,
    closedBy: request.closedBy,
    completeness: toBinary(UsageCompletenessSchema, completenessMessage(usage, carriers)),
    judged: judgedOf(carriers),
    closedTotals: totalOf(sums),
  };
  await insertPeriod(tx, closed);
  return { ...closed, restatementNumber: 0, checkedTime: now, currentTotals: closed.closedTotals };
}

function assertComplete(period: DatedPeriod, sums: PartTotals, isOver: boolean, maxPendingRatio: number): void {
  const pendingRatio = shareOf(sums, UsagePart.PENDING) ?? 0;
  if (isOver && pendingRatio <= maxPendingRatio) return;
  const message = isOver
    ? `${pendingRatio} of the period's attempts are pending, and at most ${maxPendingRatio} may be`
    : `the period is not over before ${period.endDate} in ${period.timeZone}`;
  const metadata = { pending_ratio: String(pendingRatio), end_date: period.endDate };
  throw new TandemError("PERIOD_NOT_COMPLETE", message, metadata);
}

async function listRestatements(services: Services, request: ListRestatementsRequest, context: HandlerContext) {
  const { customerId } = request;
  if (!isCustomerId(customerId))
    throw invalidArgument("customer_id", "expected 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -");
  const periodId = request.periodId === "" ? undefined : request.periodId;
  if (periodId !== undefined) assertPeriodId("period_id", periodId);
  const { start, end } = optionalPeriod(request);
  const scope = ["platform.ListRestatements", customerId, periodId ?? "", String(start), String(end)];
  const asked = await ListPage.open(services, context, request, scope);
  const token = asked.after;
  const after = token && {
    startDate: token["start"] ?? "",
    periodId: token["period"] ?? "",
    restatementNumber: Number(token["number"]),
  };
  const answer = await systemTransaction(
    services.db,
    async (tx) => {
      const isFirst = token === undefined;
      const periods =
        isFirst || services.config.region !== undefined ? await findPeriods(tx, customerId, periodId) : [];
      await assertServedHere(tx, services, periods.flatMap(carriersOfPeriod));
      const page = { after, limit: asked.size, maxBytes: MAX_PAGE_BYTES };
      const { restatements, isLast } = await readRestatements(tx, { customerId, periodId, start, end }, page);
      const last = isLast ? undefined : restatements.at(-1);
      return {
        restatements: restatements.map(({ payload }) => fromBinary(RestatementSchema, payload)),
        nextPageToken: asked.tokenAfter(
          last && { start: last.startDate, period: last.periodId, number: String(last.restatementNumber) },
        ),
        periods: isFirst ? periods.map(periodFields) : [],
      };
    },
    { snapshot: true },
  );
  const disclosed = disclosedRestatements(customerId, answer.restatements);
  await discloseRecords(services, context, { request, masked: false, disclosed });
  return answer;
}

async function findPeriods(tx: Tx, customerId: string, periodId: string | undefined): Promise<StoredPeriod[]> {
  if (periodId === undefined) return listPeriods(tx, customerId, MAX_PERIODS);
  const period = await readPeriod(tx, periodId);
  if (period?.customerId !== customerId) throw periodNotFound(periodId);
  return [period];
}
