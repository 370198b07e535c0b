import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CARRIER_SIDE } from "../../src/domain/record-kind.ts";
import { CdrService, SummaryPeriod } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { UsageDimension } from "../../src/gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { Completeness } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { SummaryDimension } from "../../src/gen/tandem/type/v1/reconciliation_summary_pb.js";
import { insertCallResults, type PartialResult } from "../support/call-results.ts";
import { runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { REAL_DAY, realCdrs, realDurations } from "../support/real-switch.ts";
import { appendCdrs, appendDurations, reconcileFully } from "../support/reconcile.ts";

const DAY_MS = 86_400_000;
const NEXT_DAY = new Date(Date.parse(REAL_DAY) + DAY_MS).toISOString().slice(0, 10);
const JUNE = { startDate: "2026-06-01", endDate: "2026-07-01" };
const on = (row: PartialResult): PartialResult => ({ ...row, start_time: "2026-06-01T12:00:00Z" });

let exchange: Exchange;
let carrierCount = 0;

beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

const db = () => exchange.services.db;

describe("a length that is not known is not zero", () => {
  test("in the summary of 18 real calls through Kamailio and RADIUS, of which 4 have none", async () => {
    const carrierId = "radius";
    await exchange.addCarrier(carrierId, { timeZone: "UTC", thresholds: { netRatio: 0.05, grossRatio: 0.05 } });
    await exchange.assignNumbers(carrierId, ["+441632960001"], "radius-customer");
    await appendCdrs(db(), carrierId, await realCdrs("radius"));
    const durations = await realDurations("radius-radacct.csv");
    // As of a switch that does not hear when the far end hangs up.
    for (const duration of durations.filter(({ called }) => called?.value?.endsWith("111"))) {
      delete duration.endTime;
      delete duration.connectedDurationMs;
    }
    await appendDurations(db(), carrierId, durations);
    await reconcileFully(db(), carrierId);
    const client = await exchange.carrierClient(ReconciliationService, carrierId);
    const days = { startDate: REAL_DAY, endDate: NEXT_DAY };
    const { rows } = await client.getReconciliationSummary({ ...days, groupBy: [SummaryDimension.DAY] });
    const [row] = rows;
    const closeTo = (ratio: number) => expect.closeTo(ratio, 3);
    expect(row).toMatchObject({
      comparedCallCount: 18n,
      unmeasuredCallCount: 4n,
      unmeasuredCarrierDurationMs: 0n,
      net: { ratio: closeTo(0.036), exceeded: false, unmeasuredCallCount: 4n },
      unmatched: { ratio: 0, unmeasuredCallCount: 0n },
    });
    const mismatches = row?.statusTotals.find(({ status }) => status === 4);
    expect(mismatches).toMatchObject({ unmeasuredCallCount: 4n });
  });

  test("in a summary: it is in neither net nor gross, on whichever side it is not known", async () => {
    const row = await summaryOf([
      on({ status: 1 }),
      // Both say answered, and one has no length.
      on({ status: 4, carrier_ms: null, causes: 1 << 8 }),
      on({ status: 4, platform_ms: null, causes: 1 << 8 }),
      // The other side lacks the call.
      on({ status: 6, platform_ms: null }),
      on({ status: 7, carrier_ms: null }),
      // Of these all are known.
      on({ status: 4, carrier_ms: null, billed_s: 66n }),
      on({ status: 5, carrier_answered: false, carrier_ms: null }),
      on({ status: 3 }),
    ]);
    expect(row).toMatchObject({
      comparedCallCount: 8n,
      platformConnectedDurationMs: 180_000n,
      carrierConnectedDurationMs: 126_000n,
      absoluteDeltaMs: 66_000n,
      unmeasuredCallCount: 4n,
      unmeasuredPlatformDurationMs: 60_000n,
      unmeasuredCarrierDurationMs: 60_000n,
      net: { ratio: -54_000 / 180_000, unmeasuredCallCount: 4n },
      gross: { ratio: 66_000 / 180_000, unmeasuredCallCount: 4n },
      unmatched: { ratio: 2 / 8, unmeasuredCallCount: 0n },
      causeTotals: [{ callCount: 2n, absoluteDeltaMs: 0n }],
    });
  });

  test("in calls that nobody can tell apart: where one has no length, all that it could be one of are left out", async () => {
    const ambiguous = (pair: bigint, row: PartialResult) => on({ status: 10, matched_by: 0, pair_key: pair, ...row });
    const platform = { carrier_answered: null, carrier_ms: null };
    const carrier = { side: CARRIER_SIDE, platform_answered: null, platform_ms: null };
    const row = await summaryOf([
      ambiguous(1n, platform),
      ambiguous(1n, platform),
      ambiguous(1n, { ...carrier, carrier_ms: null }),
      ambiguous(2n, platform),
      ambiguous(2n, { ...carrier, carrier_ms: 63_000n }),
    ]);
    expect(row).toMatchObject({
      comparedCallCount: 5n,
      unmeasuredCallCount: 3n,
      unmeasuredPlatformDurationMs: 120_000n,
      platformConnectedDurationMs: 60_000n,
      absoluteDeltaMs: 3_000n,
    });
  });

  test("in a ratio of no call with a length: there is none, and what is left out is counted", async () => {
    const thresholds = { netRatio: 0.01, grossRatio: 0.01 };
    const row = await summaryOf([on({ status: 4, carrier_ms: null })], { thresholds });
    expect(row?.net).toMatchObject({ thresholdRatio: 0.01, unmeasuredCallCount: 1n });
    expect(row?.net?.ratio).toBeUndefined();
    expect(row?.net?.exceeded).toBeUndefined();
  });

  test("in usage: the call counts, and is named as one whose time is not in the sum", async () => {
    const carrierId = await newCarrier();
    const number = "+441632960777";
    await exchange.assignNumbers(carrierId, [number], "unmeasured");
    const ours = (row: PartialResult) => on({ ...row, phone_number: number });
    await insertCallResults(db(), carrierId, [
      ours({ status: 1 }),
      ours({ status: 4, platform_ms: null }),
      ours({ status: 6, platform_ms: null }),
      ours({ status: 7, carrier_ms: null, billed_s: 60n }),
      ours({ status: 3 }),
    ]);
    const usage = await exchange.platformClient(UsageService);
    const query = { customerId: "unmeasured", ...JUNE, timeZone: "UTC", groupBy: [UsageDimension.DAY] };
    const { rows, totals } = await usage.queryUsage(query);
    const figures = { attemptCount: 5n, answeredCount: 4n, connectedDurationMs: 60_000n, unmeasuredCount: 3n };
    expect(totals).toMatchObject(figures);
    expect(rows[0]?.totals).toMatchObject(figures);
    expect(rows[0]?.parts.map((part) => [part.usagePart, part.totals?.unmeasuredCount])).toEqual([
      [1, 0n],
      [2, 1n],
      [3, 1n],
      [6, 1n],
    ]);
    const closed = await usage.closePeriod({
      customerId: "unmeasured",
      ...JUNE,
      timeZone: "UTC",
      requestId: "close-june",
    });
    expect(closed.period?.closedTotals).toMatchObject(figures);
    const asClosed = await usage.queryUsage({
      ...query,
      asOf: { case: "asOfTime", value: closed.period?.closeTime ?? {} },
    });
    expect(asClosed.totals).toMatchObject(figures);
  });

  test("in the average length of calls: it is over those that have one", async () => {
    const carrierId = await newCarrier();
    await exchange.assignNumbers(carrierId, ["+441632960778"]);
    const [answered, other] = (await realCdrs("radius")).filter((record) => record.times?.answerTime);
    if (answered?.parties?.calling === undefined || other?.parties?.calling === undefined) throw new Error("no calls");
    for (const record of [answered, other]) Object.assign(record.parties?.calling ?? {}, { value: "+441632960778" });
    // A partial record with a final code and no end.
    other.completeness = Completeness.PARTIAL;
    if (other.times) delete other.times.endTime;
    await appendCdrs(db(), carrierId, [answered, other]);
    const client = await exchange.carrierClient(CdrService, carrierId);
    const start = BigInt(Date.parse(REAL_DAY) / 1_000);
    const window = { startTime: { seconds: start }, endTime: { seconds: start + 86_400n } };
    const { summaries } = await client.summarizeQuality({ ...window, period: SummaryPeriod.DAY });
    expect(summaries).toHaveLength(1);
    expect(summaries[0]).toMatchObject({
      answeredCount: 2n,
      unmeasuredCount: 1n,
      averageCallDurationMs: Number(summaries[0]?.connectedDurationMs),
    });
  });
});

test("the command line shows how many calls have no length beside the figures that are without them", async () => {
  const carrierId = await newCarrier();
  const number = "+441632960779";
  await exchange.assignNumbers(carrierId, [number], "shown");
  const rows = [{ status: 1 }, { status: 1 }, { status: 4, carrier_ms: null }, { status: 6, platform_ms: null }];
  await insertCallResults(
    db(),
    carrierId,
    rows.map((row) => on({ ...row, phone_number: number })),
  );
  const settings = { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir };
  const june = ["--from", "2026-06-01", "--to", "2026-06-30"];
  const summary = ["reconcile", "summary", "--carrier", carrierId, ...june];
  const usage = ["usage", "shown", ...june, "--time-zone", "UTC", "--by", "day"];
  const [table, csv, used] = await Promise.all(
    [summary, [...summary, "--csv"], usage].map((args) => runCli(args, settings)),
  );
  expect(table?.stdout).toMatch(/^day +calls +min +min carrier +net +gross +unmatched +pending +no length +reported/m);
  expect(table?.stdout).toMatch(/^2026-06-01 +4 +2.0 +2.0 +0.00 % +0.00 % +25.00 % +0 +2 +/m);
  expect(csv?.stdout).toMatch(
    /,unmeasured_call_count,unmeasured_platform_duration_ms,unmeasured_carrier_duration_ms$/m,
  );
  expect(csv?.stdout).toMatch(/,2,60000,0$/m);
  expect(used?.stdout).toMatch(/^day +calls +answered +minutes +no length +disputed +unconfirmed$/m);
  expect(used?.stdout).toMatch(/^2026-06-01 +4 +4 +3.0 +1 +1 +1$/m);
});

describe("the platform's copies of calls that the carrier need not report", () => {
  const scopes = [{ directions: [1], unanswered: false, emergency: false }];
  const copy = (row: PartialResult) => on({ status: 9, ...row });

  test("are not compared, and not unmatched", async () => {
    const row = await summaryOf(
      [
        on({ status: 1 }),
        on({ status: 13, direction: 2 }),
        copy({ direction: 2 }),
        copy({ platform_answered: false, platform_ms: null }),
        copy({}),
      ],
      { reportingScopes: scopes, groupBy: [SummaryDimension.DAY] },
    );
    expect(row).toMatchObject({
      comparedCallCount: 2n,
      platformCallCount: 2n,
      platformConnectedDurationMs: 120_000n,
      absoluteDeltaMs: 60_000n,
      unmatched: { ratio: 1 / 2 },
    });
    expect(row?.statusTotals.find(({ status }) => status === 9)).toMatchObject({ callCount: 3n });
  });

  test("do not make a carrier silent", async () => {
    const unanswered = { platform_answered: false, platform_ms: null };
    const row = await summaryOf([on({ status: 13, ...unanswered }), copy(unanswered)], { reportingScopes: scopes });
    expect(row?.reportingState).toBe(4);
  });
});

type Settings = Parameters<Exchange["addCarrier"]>[1] & { groupBy?: SummaryDimension[] };

async function newCarrier(settings: Settings = {}): Promise<string> {
  const carrierId = `carrier-${++carrierCount}`;
  await exchange.addCarrier(carrierId, settings);
  return carrierId;
}

/** The one row of a summary of June. */
async function summaryOf(
  results: readonly PartialResult[],
  { groupBy = [SummaryDimension.DAY], ...settings }: Settings = {},
) {
  const carrierId = await newCarrier(settings);
  await insertCallResults(db(), carrierId, results);
  const client = await exchange.carrierClient(ReconciliationService, carrierId);
  const { rows } = await client.getReconciliationSummary({ ...JUNE, groupBy });
  expect(rows).toHaveLength(1);
  return rows[0];
}
