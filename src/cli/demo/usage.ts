import type { Client } from "@connectrpc/connect";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { DurationSource, UsageDimension, type UsageRow } from "../../gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../gen/tandem/platform/v1/usage_service_pb.js";
import type { CuttableConnection } from "./cuttable-connection.ts";

const DAY_MS = 86_400_000;
/** The contract's longest window for one query. */
const WINDOW_DAYS = 92;

/** What a customer sees of its calls, over all its carriers. */
export interface CustomerUsage {
  readonly customerId: string;
  readonly calls: number;
  readonly answered: number;
  readonly connectedMs: number;
  /** Of the connected time, what is by the carrier's clock. */
  readonly carrierSourcedMs: number;
}

/** Asks for each customer's usage from `sinceMs` to tomorrow. */
export async function readUsage(
  line: CuttableConnection,
  { customerIds, sinceMs, signal }: { customerIds: readonly string[]; sinceMs: number; signal: AbortSignal },
): Promise<CustomerUsage[]> {
  const client = line.client(UsageService);
  return await Promise.all(
    customerIds.map(async (customerId) => sumUp(customerId, await queryRows(client, customerId, sinceMs, signal))),
  );
}

async function queryRows(
  client: Client<typeof UsageService>,
  customerId: string,
  sinceMs: number,
  signal: AbortSignal,
): Promise<UsageRow[]> {
  const rows: UsageRow[] = [];
  const endMs = wallMs() + 2 * DAY_MS;
  for (let startMs = sinceMs; startMs < endMs; startMs += WINDOW_DAYS * DAY_MS) {
    const period = { startDate: dayOf(startMs), endDate: dayOf(Math.min(startMs + WINDOW_DAYS * DAY_MS, endMs)) };
    if (period.startDate === period.endDate) continue;
    const request = { customerId, ...period, timeZone: "UTC", groupBy: [UsageDimension.CARRIER], pageSize: 1_000 };
    rows.push(...(await client.queryUsage(request, { signal })).rows);
  }
  return rows;
}

function sumUp(customerId: string, rows: readonly UsageRow[]): CustomerUsage {
  const ofCarrier = rows.flatMap(({ parts }) =>
    parts.filter(({ durationSource }) => durationSource === DurationSource.CARRIER),
  );
  return {
    customerId,
    calls: sum(rows, ({ totals }) => totals?.attemptCount),
    answered: sum(rows, ({ totals }) => totals?.answeredCount),
    connectedMs: sum(rows, ({ totals }) => totals?.connectedDurationMs),
    carrierSourcedMs: sum(ofCarrier, ({ totals }) => totals?.connectedDurationMs),
  };
}

function sum<Item>(items: readonly Item[], count: (item: Item) => bigint | undefined): number {
  return items.reduce((total, item) => total + Number(count(item) ?? 0n), 0);
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
