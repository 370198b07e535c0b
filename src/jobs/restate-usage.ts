import { randomUUID } from "node:crypto";
import type { Micros } from "../domain/time/instant.ts";
import { type ChangedLine, draftRestatements, type RestatementDraft } from "../domain/usage/restating.ts";
import type { DatedPeriod } from "../domain/usage/usage-scope.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import { confirmLease, type JobLease, withLease } from "../store/database/job-lease.ts";
import { readClock, type Tx } from "../store/database/run.ts";
import { readUsageCarriers } from "../store/usage/usage.ts";
import { type JudgedCarrier, judgedOf, type StoredPeriod, withDays } from "../store/usage/usage-periods.ts";
import {
  type ChangedNumber,
  compareLines,
  findChangedNumbers,
  findUncheckedPeriods,
  insertRestatement,
  lockPeriod,
  readChangedCalls,
  readChangedNumbers,
  readNewestRestatementTime,
  readOldestCheck,
  readSeenTime,
  writePeriodCheck,
  writePeriodTotals,
} from "../store/usage/usage-restatements.ts";
import { useZone } from "../store/usage/usage-sums.ts";

export interface RestateUsageOptions {
  readonly db: Database;
  /** Only periods whose carriers are all of this region, whose process it is; default: all. */
  readonly region?: string | undefined;
  /** A restatement as it is kept, once it has its number. */
  readonly encode: (
    draft: RestatementDraft,
    position: { periodId: string; number: number; recordTime: Micros },
  ) => Uint8Array;
  /** Between two looks for what changed, milliseconds. Default 30,000. */
  readonly intervalMs?: number;
  /** Seconds until an unchanged period is compared again. Default 86,400. */
  readonly recheckAgeS?: number;
  readonly onError: (error: unknown) => void;
}

const JOB = "restate-usage";
/** Customers may have numbers at several carriers: one lease for all. */
const ACROSS_CARRIERS = "";
const LEASE_S = 120;
/** Longest that one statement may take, milliseconds; shorter than the lease. */
const STATEMENT_TIMEOUT_MS = 60_000;
/** How many changed numbers are looked for at once. */
const PAGE_NUMBERS = 10_000;
/** Most periods that one turn compares only because they were not for long. */
const MAX_RECHECKS = 20;
/** Most lines of one comparison; what is left is found by the next. */
const MAX_LINES = 10_000;
/** Most changed calls that causes and records are taken from. */
const MAX_CALLS = 50_000;

/** Compares closed periods with the calls as judged now, and restates them, until aborted. */
export function runRestateUsage(options: RestateUsageOptions, signal: AbortSignal): Promise<void> {
  const { intervalMs = 30_000, onError } = options;
  const holder = randomUUID();
  let since: Micros | undefined;
  return every({ intervalMs, signal, onError }, async () => {
    since = await restateUsage(options, holder, since, signal);
  });
}

/**
 * One turn.
 * @param since what was committed before was looked at; undefined: since the oldest check.
 * @returns `since` for the next turn.
 */
export async function restateUsage(
  options: RestateUsageOptions,
  holder: string,
  since: Micros | undefined,
  signal: AbortSignal,
): Promise<Micros | undefined> {
  const { db, region } = options;
  // A lease is written: most have no closed period.
  if ((await systemTransaction(db, (tx) => readOldestCheck(tx, region))) === undefined) return since;
  const request = { carrierId: ACROSS_CARRIERS, job: JOB, holder, ttlS: LEASE_S };
  const seenNow = await withLease(db, request, async (lease) => {
    const seen = await systemTransaction(db, readSeenTime);
    let isDone = true;
    for await (const [periodId, numbers] of findWork(options, since)) {
      if (signal.aborted) return since;
      // One period's trouble must not keep the others waiting; it is found again by its check.
      await restatePeriod(options, lease, periodId, numbers).catch((error: unknown) => {
        isDone = false;
        options.onError(error);
      });
    }
    return isDone ? seen : since;
  });
  return seenNow ?? since;
}

/** Periods and their numbers (none: all) to compare: changed ones, then whole periods due. */
async function* findWork(
  { db, region, recheckAgeS = 86_400 }: RestateUsageOptions,
  since: Micros | undefined,
): AsyncGenerator<[periodId: string, numbers: readonly string[]]> {
  const limits = { statementTimeoutMs: STATEMENT_TIMEOUT_MS };
  const from = since ?? (await systemTransaction(db, (tx) => readOldestCheck(tx, region)));
  let after: ChangedNumber | undefined;
  let isMore = from !== undefined;
  while (from !== undefined && isMore) {
    const page = { after, limit: PAGE_NUMBERS, region };
    const changed = await systemTransaction(db, (tx) => findChangedNumbers(tx, from, page), limits);
    for (const [periodId, found] of Map.groupBy(changed, (number) => number.periodId))
      yield [periodId, found.map(({ phoneNumber }) => phoneNumber)];
    after = changed.at(-1);
    isMore = changed.length === PAGE_NUMBERS;
  }
  const unchecked = await systemTransaction(db, (tx) => findUncheckedPeriods(tx, recheckAgeS, MAX_RECHECKS, region));
  for (const periodId of unchecked) yield [periodId, []];
}

function restatePeriod(
  options: RestateUsageOptions,
  lease: JobLease,
  periodId: string,
  numbers: readonly string[],
): Promise<void> {
  return systemTransaction(
    options.db,
    async (tx) => {
      await confirmLease(tx, lease, LEASE_S);
      const period = await lockPeriod(tx, periodId);
      if (period) await comparePeriod(tx, options, await withDays(tx, period), numbers);
    },
    { statementTimeoutMs: STATEMENT_TIMEOUT_MS },
  );
}

async function comparePeriod(
  tx: Tx,
  { encode }: RestateUsageOptions,
  period: DatedPeriod & StoredPeriod,
  numbers: readonly string[],
): Promise<void> {
  const { periodId } = period;
  const seen = await readSeenTime(tx);
  const judged = judgedOf(await readUsageCarriers(tx, period, Object.keys(period.judged)));
  const lines = await compareLines(tx, period, numbers, MAX_LINES);
  const drafts = lines.length === 0 ? [] : await explain(tx, period, lines, judged);
  const recordTime = await readClock(tx);
  for (const [index, draft] of drafts.entries()) {
    const number = period.restatementNumber + index + 1;
    const payload = encode(draft, { periodId, number, recordTime });
    await insertRestatement(tx, { periodId, number, recordTime, payload, lines: draft.lines });
  }
  const newest = drafts.at(-1);
  if (newest) await writePeriodTotals(tx, periodId, period.restatementNumber + drafts.length, newest.newTotals);
  if (numbers.length > 0 || lines.length >= MAX_LINES) return;
  await writePeriodCheck(tx, periodId, seen, judged);
  await useZone(tx, Object.keys(judged), period.timeZone);
}

async function explain(
  tx: Tx,
  period: DatedPeriod & StoredPeriod,
  lines: readonly ChangedLine[],
  judged: Readonly<Record<string, JudgedCarrier>>,
): Promise<RestatementDraft[]> {
  const numbers = [...new Set(lines.map(({ phoneNumber }) => phoneNumber))];
  const restatedTime = await readNewestRestatementTime(tx, period.periodId);
  const comparedTime = restatedTime ?? period.closeTime;
  const calls = await readChangedCalls(tx, period, numbers, MAX_CALLS);
  const changedNumbers = await readChangedNumbers(tx, numbers, comparedTime);
  // A call changed just before the last comparison is a cause only when no other is.
  const later = calls.filter(({ updateTime }) => updateTime > comparedTime);
  const changedRules = new Set(
    Object.entries(period.judged).flatMap(([carrierId, before]) =>
      judged[carrierId]?.rules === before.rules ? [] : [carrierId],
    ),
  );
  const circumstances = {
    closeTime: period.closeTime,
    changedNumbers,
    changedRules,
    judgedThrough: (carrierId: string) => BigInt(period.judged[carrierId]?.through ?? 0),
  };
  return draftRestatements(lines, later.length > 0 ? later : calls, circumstances, period.currentTotals);
}
