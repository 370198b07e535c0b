import { sql } from "kysely";
import { PLATFORM_SIDE, type RecordKind } from "../../src/domain/record-kind.ts";
import {
  UsageDimension,
  type UsageKey,
  type UsageRow,
  type UsageTotals,
} from "../../src/gen/tandem/platform/v1/usage_pb.js";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { type Database, systemTransaction } from "../../src/store/database/database.ts";
import { run } from "../../src/store/database/run.ts";
import { readUsageGroups } from "../../src/store/usage/usage.ts";
import { withDays } from "../../src/store/usage/usage-periods.ts";
import { NO_FILTER } from "../../src/store/usage/usage-source.ts";
import { insertCallResults, type PartialResult } from "./call-results.ts";

/** A call as a test of usage says it; the rest is as `insertCallResults` makes it. */
export interface UsageCall {
  readonly start: string;
  readonly number: string;
  readonly status: number;
  readonly side?: RecordKind["side"];
  readonly merged?: boolean;
  readonly direction?: number;
  readonly country?: string | null;
  readonly other?: string | null;
  readonly platformAnswered?: boolean | null;
  readonly carrierAnswered?: boolean | null;
  readonly platformMs?: bigint | null;
  readonly carrierMs?: bigint | null;
  readonly billedS?: bigint | null;
  readonly more?: PartialResult;
}

/** Most rows of one statement, which takes at most 65,535 parameters. */
const INSERT_ROWS = 1_000;

/** Writes calls as the reconciler does. */
export async function insertCalls(db: Database, carrierId: string, calls: readonly UsageCall[]): Promise<void> {
  for (let from = 0; from < calls.length; from += INSERT_ROWS)
    await insertCallResults(db, carrierId, calls.slice(from, from + INSERT_ROWS).map(resultOf));
}

/** Writes calls anew, by their record's id, as a change that was found just now. */
export async function changeCall(
  db: Database,
  carrierId: string,
  recordId: string,
  changes: Partial<Record<keyof PartialResult, unknown>>,
): Promise<void> {
  await systemTransaction(db, async (tx) => {
    const columns = Object.entries({ update_time: new Date().toISOString(), ...changes });
    const { count } = await run(tx)`
      UPDATE call_result SET ${sql.join(columns.map(([name, value]) => sql`${sql.ref(name)} = ${value}`))}
      WHERE carrier_id = ${carrierId} AND record_id = ${recordId}`;
    if (count !== 1) throw new Error(`no call ${recordId}`);
  });
}

function resultOf(call: UsageCall): PartialResult {
  const { more = {} } = call;
  return {
    start_time: call.start,
    phone_number: call.number,
    status: call.status,
    ...(call.side === undefined ? {} : { side: call.side }),
    ...(call.merged === undefined ? {} : { is_merged: call.merged }),
    ...(call.direction === undefined ? {} : { direction: call.direction }),
    ...(call.country === undefined ? {} : { other_country: call.country }),
    ...(call.other === undefined ? {} : { other_number: call.other }),
    ...(call.platformAnswered === undefined ? {} : { platform_answered: call.platformAnswered }),
    ...(call.carrierAnswered === undefined ? {} : { carrier_answered: call.carrierAnswered }),
    ...(call.platformMs === undefined ? {} : { platform_ms: call.platformMs }),
    ...(call.carrierMs === undefined ? {} : { carrier_ms: call.carrierMs }),
    ...(call.billedS === undefined ? {} : { billed_s: call.billedS }),
    ...more,
  };
}

/**
 * What a call adds, written down apart from the SQL: the part and [attempts, answered,
 * milliseconds, calls with a bill, billed seconds].
 */
export function judgeCall(call: Required<Omit<UsageCall, "more">>): { part: number; sums: bigint[] } | undefined {
  const bySource = sourceOf(call);
  if (call.merged || !bySource) return undefined;
  const { part, isAnswered, ms } = bySource;
  if (!isAnswered) return { part, sums: [1n, 0n, 0n, 0n, 0n] };
  const { billedS } = call;
  return { part, sums: [1n, 1n, ms ?? 0n, billedS === null ? 0n : 1n, billedS ?? 0n] };
}

function sourceOf({
  status,
  side,
  platformAnswered,
  carrierAnswered,
  platformMs,
  carrierMs,
}: Required<Omit<UsageCall, "more">>) {
  const ofPlatform = { isAnswered: platformAnswered ?? false, ms: platformMs };
  const [AGREED, DISPUTED, UNCONFIRMED, PENDING, NOT_REPORTED, CARRIER_ONLY] = [1, 2, 3, 4, 5, 6];
  switch (status) {
    case DiscrepancyStatus.MATCHED_EXACT:
    case DiscrepancyStatus.WITHIN_TOLERANCE:
    case DiscrepancyStatus.MATCHED_UNANSWERED:
      return { part: AGREED, isAnswered: carrierAnswered ?? false, ms: carrierMs ?? platformMs };
    case DiscrepancyStatus.DURATION_MISMATCH:
    case DiscrepancyStatus.ANSWER_STATE_MISMATCH:
      return { part: DISPUTED, ...ofPlatform };
    case DiscrepancyStatus.MISSING_AT_CARRIER:
    case DiscrepancyStatus.AMBIGUOUS:
      return side === PLATFORM_SIDE ? { part: UNCONFIRMED, ...ofPlatform } : undefined;
    case DiscrepancyStatus.PENDING:
      return side === PLATFORM_SIDE ? { part: PENDING, ...ofPlatform } : undefined;
    case DiscrepancyStatus.NOT_REPORTED:
      return side === PLATFORM_SIDE ? { part: NOT_REPORTED, ...ofPlatform } : undefined;
    case DiscrepancyStatus.MISSING_AT_PLATFORM:
      return { part: CARRIER_ONLY, isAnswered: carrierAnswered ?? false, ms: carrierMs };
    default:
      return undefined;
  }
}

/** The day of an instant in a time zone. */
export function dayIn(iso: string, timeZone: string): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone, dateStyle: "short" }).format(Date.parse(iso));
}

/** Sums as `judgeCall` has them. */
export function sumsOf(totals: UsageTotals | undefined): bigint[] {
  if (!totals) return [];
  const { attemptCount, answeredCount, connectedDurationMs, billedCount, billedDurationS } = totals;
  return [attemptCount, answeredCount, connectedDurationMs, billedCount, billedDurationS ?? 0n];
}

/** Adds sums. */
export function add(a: readonly bigint[], b: readonly bigint[]): bigint[] {
  return b.map((value, index) => value + (a[index] ?? 0n));
}

/** A row in short: its key's values, and each part as `part:attempts/answered/ms`. */
export function describeRow({ key, parts }: UsageRow): string {
  const figures = parts.map(({ usagePart, totals }) => `${usagePart}:${sumsOf(totals).slice(0, 3).join("/")}`);
  return [...describeKey(key), ...figures].join(" ");
}

function describeKey(key: UsageKey | undefined): string[] {
  if (!key) return [];
  const { usageDate, phoneNumber, direction, countryCode, carrierId, otherPartyNumber } = key;
  const way = direction === 0 ? undefined : ["", "out", "in"][direction];
  return [usageDate, phoneNumber, way, countryCode, carrierId, otherPartyNumber].filter((part) => part !== undefined);
}

/** All of a customer's usage by day and number, a line each, to compare. */
export async function tellUsage(db: Database, customerId: string, timeZone: string): Promise<string[]> {
  const period = { customerId, startDate: "2020-01-01", endDate: "2099-01-01", timeZone };
  const groups = await systemTransaction(db, async (tx) =>
    readUsageGroups(
      tx,
      {
        period: await withDays(tx, period),
        filter: NO_FILTER,
        groupBy: [UsageDimension.DAY, UsageDimension.NUMBER],
        versions: [],
        otherParty: { isWhole: true, secret: Buffer.alloc(32) },
      },
      { after: undefined, limit: 100_000 },
    ),
  );
  return groups.map(({ key, parts }) => `${key} ${JSON.stringify(parts, (_, value) => String(value))}`);
}
