import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { createTandemTransport } from "../src/client/transport.ts";
import { NumberService as CarrierNumberService } from "../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService } from "../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { ReconciliationService } from "../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { UsageDimension } from "../src/gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../src/gen/tandem/platform/v1/usage_service_pb.js";
import { readCarrier } from "../src/store/carriers/carriers.ts";
import { systemTransaction } from "../src/store/database/database.ts";
import {
  SUMMARY_DIMENSIONS,
  SUMMARY_TIMEOUT_MS,
  summarizeReconciliation,
} from "../src/store/reconciliation/reconciliation-summary.ts";
import { keepSums } from "../src/store/usage/sum-upkeep.ts";
import { readCarrierUsage, readUsageGroups, USAGE_TIMEOUT_MS } from "../src/store/usage/usage.ts";
import { withDays } from "../src/store/usage/usage-periods.ts";
import { NO_FILTER } from "../src/store/usage/usage-source.ts";
import { addCarrier } from "../test/support/carriers.ts";
import { median } from "./statistics.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

/** What usage and reconciliation of a month cost a reader, milliseconds. */
export interface UsageFigures {
  /** QueryUsage by day, from sums. */
  manyMs: number;
  /** Of a hundredth of the calls, by as many numbers. */
  fewMs: number;
  /** The calls read one by one, as every query did before. */
  callsMs: number;
  /** From sums and the calls of the numbers that were just ported for the past. */
  portedMs: number;
  /** Until they are in the right sums. */
  movedMs: number;
  /** How long it takes to fill a zone, for a call, microseconds. */
  fillMicros: number;
  /** GetReconciliationSummary of the month, from sums. */
  summaryMs: number;
  /** Of a hundredth of the calls. */
  fewSummaryMs: number;
  /** The same query over the calls. */
  callsSummaryMs: number;
  discrepanciesMs: number;
}

const DAY_MS = 86_400_000;
const TIME_ZONE = "Europe/Copenhagen";
const BATCH = 1_000;
const ROUNDS = 15;

/**
 * So many calls of a customer and a hundredth as many of another, over a month of the same count of
 * numbers, in a zone that is filled; and what is read of them. Then a hundredth of the numbers move
 * to another carrier and customer, ten days back.
 */
export async function measureUsage(calls: number): Promise<UsageFigures> {
  await using world = await openBenchWorld();
  const { db } = world.app.services;
  const numbers = calls / 100;
  for (const carrierId of ["many", "few", "other"]) await addCarrier(db, carrierId);
  const ofMany = await holdNumbers(world, "many", "4532", numbers);
  await holdNumbers(world, "few", "4533", numbers);
  for (const carrierId of ["many", "few", "other"]) await keepAll(world, carrierId);
  await insertCalls(world, "many", "4532", { calls, numbers });
  await insertCalls(world, "few", "4533", { calls: calls / 100, numbers });
  await db.pool.query("VACUUM ANALYZE");
  await db.pool.query("UPDATE usage_zone SET filled_from = '9999-12-31'");
  await db.pool.query("DELETE FROM summary_fill");
  const fillMs = await timed(async () => {
    for (const carrierId of ["many", "few", "other"]) await keepAll(world, carrierId);
  });
  await db.pool.query("VACUUM ANALYZE");
  const usage = await client(world, UsageService);
  const query = (customerId: string) =>
    usage.queryUsage({ customerId, ...month(), timeZone: TIME_ZONE, groupBy: [UsageDimension.DAY] });
  await assertSame(world, await query("many"));
  const manyMs = await often(() => query("many"));
  const fewMs = await often(() => query("few"));
  const callsMs = await often(() => readCalls(world, "many"), 1);
  const reconciliation = await client(world, ReconciliationService);
  const summarize = (carrierId: string) => reconciliation.getReconciliationSummary({ carrierId, ...month() });
  const summaryMs = await often(() => summarize("many"));
  const fewSummaryMs = await often(() => summarize("few"));
  const callsSummaryMs = await often(() => summarizeCalls(world, "many"), 1);
  await assertSummed(world, await summarize("many"));
  const discrepanciesMs = await often(() => reconciliation.listDiscrepancies({ carrierId: "many", ...month() }));
  await port(world, ofMany.slice(0, Math.max(1, numbers / 100)));
  await assertSame(world, await query("many"));
  const portedMs = await often(() => query("many"));
  const movedMs = await timed(async () => {
    for (const carrierId of ["many", "other"]) await keepAll(world, carrierId);
  });
  await assertSame(world, await query("many"));
  const fillMicros = (fillMs * 1_000) / (calls * 1.01);
  return {
    manyMs,
    fewMs,
    callsMs,
    portedMs,
    movedMs,
    fillMicros,
    summaryMs,
    fewSummaryMs,
    callsSummaryMs,
    discrepanciesMs,
  };
}

async function client<S extends Parameters<typeof createClient>[0]>(world: BenchWorld, service: S): Promise<Client<S>> {
  const token = await world.platformToken();
  return createClient(service, createTandemTransport({ baseUrl: world.app.url, token }));
}

async function holdNumbers(world: BenchWorld, carrierId: string, prefix: string, count: number): Promise<string[]> {
  const baseUrl = world.app.url;
  const token = await world.carrierToken(carrierId);
  const carrier = createClient(CarrierNumberService, createTandemTransport({ baseUrl, token }));
  const platform = await client(world, NumberService);
  const effectiveTime = timestampFromMs(Date.now() - 60 * DAY_MS);
  const numbers = Array.from({ length: count }, (_, index) => `+${prefix}${String(index).padStart(6, "0")}`);
  for (let from = 0; from < count; from += BATCH) {
    const batch = numbers.slice(from, from + BATCH);
    await carrier.provisionNumbers({
      requestId: `p-${carrierId}-${from}`,
      items: batch.map((phoneNumber) => {
        return { phoneNumber, numberType: 1, usages: [1], capabilities: [1], countryCode: "DK", effectiveTime };
      }),
    });
    const { outcomes } = await platform.assignNumbers({
      requestId: `a-${carrierId}-${from}`,
      carrierId,
      items: batch.map((phoneNumber) => ({ phoneNumber, customerId: carrierId, assigneeKind: 1, effectiveTime })),
    });
    const refused = outcomes.find(({ result }) => result.case !== "number");
    if (refused) throw new Error(`not assigned: ${JSON.stringify(refused.result)}`);
  }
  return numbers;
}

async function port(world: BenchWorld, phoneNumbers: readonly string[]): Promise<void> {
  const platform = await client(world, NumberService);
  const effectiveTime = timestampFromMs(Date.now() - 10 * DAY_MS);
  const { outcomes } = await platform.portNumbers({
    requestId: "port",
    carrierId: "many",
    toCarrierId: "other",
    phoneNumbers: [...phoneNumbers],
    effectiveTime,
  });
  const refused = outcomes.find(({ result }) => result.case !== "number");
  if (refused) throw new Error(`not ported: ${JSON.stringify(refused.result)}`);
  const items = phoneNumbers.map((phoneNumber) => ({ phoneNumber, customerId: "few", assigneeKind: 1, effectiveTime }));
  await platform.assignNumbers({ requestId: "port-assign", carrierId: "other", items });
}

/** Of 100 calls two are missing at a side, and one is cut short. */
async function insertCalls(
  world: BenchWorld,
  carrierId: string,
  prefix: string,
  { calls, numbers }: { calls: number; numbers: number },
): Promise<void> {
  const { start, days } = span();
  await world.app.services.db.pool.query(`
    INSERT INTO call_result (carrier_id, side, record_id, record_date, revision, carrier_record_ids, carrier_record_dates,
      carrier_revisions, start_time, call_date, status, causes, matched_by, pending_reason, is_open, is_merged, direction, phone_number,
      customer_id, trunk_id, other_number, other_country, platform_answered, carrier_answered, platform_ms, carrier_ms, result_hash,
      arrival_time, update_time, discrepancy_id, discrepancy_revision, sequence, payload)
    SELECT '${carrierId}', 1, 'call-' || i, at::date, 1, CASE WHEN is_missing THEN '{}' ELSE ARRAY['d-' || i] END,
      CASE WHEN is_missing THEN '{}' ELSE ARRAY[at::date] END, CASE WHEN is_missing THEN '{}' ELSE ARRAY[1] END, at, at::date,
      CASE WHEN is_missing THEN 6 WHEN i % 100 = 0 THEN 4 ELSE 1 END, 0, CASE WHEN is_missing THEN 0 ELSE 2 END, 0, is_missing, false,
      1 + i % 2, '+${prefix}' || lpad((i::int8 * 7919 % ${numbers})::text, 6, '0'), '${carrierId}', 'trunk-' || i % 4,
      '+1202555' || lpad((i % 10000)::text, 4, '0'), (ARRAY['US', 'GB', 'DK'])[1 + i % 3], true,
      CASE WHEN NOT is_missing THEN true END, i % 600000, CASE WHEN NOT is_missing THEN i % 600000 END, 1, at, at,
      CASE WHEN is_missing OR i % 100 = 0 THEN 'discrepancy-' || i END, 1,
      CASE WHEN is_missing OR i % 100 = 0 THEN i END, CASE WHEN is_missing OR i % 100 = 0 THEN decode('0a00', 'hex') END
    FROM (SELECT i, i % 100 IN (1, 2) AS is_missing, '${start}'::timestamptz + i * interval '1 second' * ${(days * 86_400) / calls} AS at
      FROM generate_series(0, ${calls - 1}) AS g(i)) c`);
}

function span() {
  const end = Math.floor(Date.now() / DAY_MS) * DAY_MS - 2 * DAY_MS;
  const days = 30;
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  return {
    start: new Date(end - days * DAY_MS).toISOString(),
    days,
    startDate: day(end - days * DAY_MS),
    endDate: day(end),
  };
}

function month() {
  const { startDate, endDate } = span();
  return { startDate, endDate };
}

async function keepAll(world: BenchWorld, carrierId: string): Promise<void> {
  while (
    await systemTransaction(world.app.services.db, (tx) => keepSums(tx, carrierId), { statementTimeoutMs: 60_000 })
  );
}

/** The queries of QueryUsage without sums. */
async function readCalls(world: BenchWorld, customerId: string) {
  const { db } = world.app.services;
  const period = await systemTransaction(db, (tx) => withDays(tx, { customerId, ...month(), timeZone: TIME_ZONE }));
  const query = {
    period,
    filter: NO_FILTER,
    groupBy: [UsageDimension.DAY] as const,
    versions: [],
    otherParty: { isWhole: true, secret: Buffer.alloc(32) },
  };
  return systemTransaction(
    db,
    async (tx) => {
      await readCarrierUsage(tx, query);
      return readUsageGroups(tx, query, { after: undefined, limit: 100 });
    },
    { snapshot: true, statementTimeoutMs: USAGE_TIMEOUT_MS },
  );
}

/** The query of GetReconciliationSummary without sums. */
async function summarizeCalls(world: BenchWorld, carrierId: string) {
  const carrier = await systemTransaction(world.app.services.db, (tx) => readCarrier(tx, carrierId));
  if (!carrier) throw new Error("no carrier");
  const asked = {
    ...carrier,
    ...month(),
    customerIds: [],
    trunkIds: [],
    direction: undefined,
    groupBy: SUMMARY_DIMENSIONS,
  };
  return systemTransaction(
    world.app.services.db,
    (tx) => summarizeReconciliation(tx, asked, { after: undefined, limit: 1_000 }, { ofCalls: [month()] }),
    { snapshot: true, statementTimeoutMs: SUMMARY_TIMEOUT_MS },
  );
}

async function assertSummed(
  world: BenchWorld,
  { rows }: Awaited<ReturnType<Client<typeof ReconciliationService>["getReconciliationSummary"]>>,
): Promise<void> {
  const told = rows.map((row) => `${row.callDate} ${row.trunkId} ${row.comparedCallCount} ${row.absoluteDeltaMs}`);
  const found = (await summarizeCalls(world, "many")).map(
    ({ key, ...row }) => `${key.call_date} ${key.trunk_id} ${row.comparedCallCount} ${row.absoluteDeltaMs}`,
  );
  if (told.length === 0 || told.join() !== found.slice(0, told.length).join())
    throw new Error("the summary's sums are not those of the calls");
}

async function assertSame(
  world: BenchWorld,
  { rows }: Awaited<ReturnType<Client<typeof UsageService>["queryUsage"]>>,
): Promise<void> {
  const told = rows.map(
    ({ key, totals }) => `${key?.usageDate} ${totals?.attemptCount} ${totals?.connectedDurationMs}`,
  );
  const groups = await readCalls(world, "many");
  const found = groups.map(({ key, parts }) => {
    const all = [...parts.values()];
    return `${key[0]} ${all.reduce((sum, { attempts }) => sum + attempts, 0n)} ${all.reduce((sum, { connectedMs }) => sum + connectedMs, 0n)}`;
  });
  if (told.length === 0 || told.join() !== found.join())
    throw new Error(`sums are not those of the calls:\n${told.join("\n")}\nbut\n${found.join("\n")}`);
}

async function often(work: () => Promise<unknown>, rounds = ROUNDS): Promise<number> {
  await work();
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) took.push(await timed(work));
  return median(took);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
