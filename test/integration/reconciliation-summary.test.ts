import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CARRIER_SIDE } from "../../src/domain/record-kind.ts";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { ReconciliationService as PlatformReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import {
  type ReconciliationSummaryRow,
  SummaryDimension,
} from "../../src/gen/tandem/type/v1/reconciliation_summary_pb.js";
import { insertCallResults, type PartialResult, setReconciled } from "../support/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { refusal } from "../support/feed.ts";

type Settings = Parameters<Exchange["addCarrier"]>[1];

const { DAY, CUSTOMER, TRUNK, DIRECTION } = SummaryDimension;
const JUNE = { startDate: "2026-06-01", endDate: "2026-07-01" };
const on = (day: string, row: PartialResult = {}): PartialResult => ({ ...row, start_time: `${day}T12:00:00Z` });

let exchange: Exchange;
let carrierCount = 0;

beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function newCarrier(rows: readonly PartialResult[], settings: Settings = {}) {
  const carrierId = `carrier-${++carrierCount}`;
  await exchange.addCarrier(carrierId, settings);
  await insertCallResults(exchange.services.db, carrierId, rows);
  return { carrierId, client: await exchange.carrierClient(ReconciliationService, carrierId) };
}

/** The one row of a summary. */
async function summaryOf(rows: readonly PartialResult[], settings: Settings = {}) {
  const { client } = await newCarrier(rows, settings);
  const answer = await client.getReconciliationSummary({ ...JUNE, groupBy: [DIRECTION] });
  expect(answer.rows).toHaveLength(1);
  return answer.rows[0];
}

describe("the figures of a row", () => {
  test("are those that one gets by hand, of every status", async () => {
    const row = await summaryOf(
      [
        on("2026-06-01", { status: 1 }),
        on("2026-06-01", { status: 1, matched_by: 5 }),
        on("2026-06-01", { status: 2, carrier_ms: 61_500n, causes: 1 << 2 }),
        on("2026-06-01", { status: 3 }),
        on("2026-06-01", { status: 4, carrier_ms: 66_000n, causes: (1 << 6) | (1 << 7) }),
        on("2026-06-01", { status: 4, carrier_ms: 50_000n, matched_by: 1, causes: 1 << 6 }),
        // The platform says answered, the carrier unanswered.
        on("2026-06-01", { status: 5, carrier_answered: false, carrier_ms: null }),
        on("2026-06-01", { status: 6 }),
        on("2026-06-01", { status: 7, carrier_ms: 30_000n }),
        on("2026-06-01", { status: 8, carrier_ms: 20_000n }),
        on("2026-06-01", { status: 9, platform_ms: 10_000n }),
        // Left out.
        on("2026-06-01", { status: 11 }),
        on("2026-06-01", { status: 12 }),
        on("2026-06-01", { status: 13 }),
        // Counts nowhere.
        on("2026-06-01", { status: 4, is_merged: true, carrier_ms: 1n }),
        // Of another day.
        on("2026-07-01", { status: 4, carrier_ms: 1n }),
      ],
      { thresholds: { netRatio: 0.05, grossRatio: 0.5, unmatchedRatio: 0.5 } },
    );
    const total = (status: number, calls: bigint, platformMs: bigint, carrierMs: bigint) => ({
      status,
      callCount: calls,
      platformConnectedDurationMs: platformMs,
      carrierConnectedDurationMs: carrierMs,
    });
    expect(row).toMatchObject({
      statusTotals: [
        total(1, 2n, 120_000n, 120_000n),
        total(2, 1n, 60_000n, 61_500n),
        total(3, 1n, 0n, 0n),
        total(4, 2n, 120_000n, 116_000n),
        total(5, 1n, 60_000n, 0n),
        total(6, 1n, 60_000n, 0n),
        total(7, 1n, 0n, 30_000n),
        total(8, 1n, 0n, 20_000n),
        total(9, 1n, 10_000n, 0n),
        total(11, 1n, 60_000n, 0n),
        total(12, 1n, 60_000n, 60_000n),
        total(13, 1n, 60_000n, 0n),
      ],
      causeTotals: [
        { cause: 2, callCount: 1n, absoluteDeltaMs: 1_500n },
        { cause: 6, callCount: 2n, absoluteDeltaMs: 16_000n },
        { cause: 7, callCount: 1n, absoluteDeltaMs: 6_000n },
      ],
      matchedByTotals: [
        { matchedBy: 1, pairCount: 1n },
        { matchedBy: 4, pairCount: 6n },
        { matchedBy: 5, pairCount: 1n },
      ],
      comparedCallCount: 11n,
      platformCallCount: 9n,
      carrierCallCount: 9n,
      platformConnectedDurationMs: 430_000n,
      carrierConnectedDurationMs: 347_500n,
      // 1,500 + 6,000 + 10,000 + 60,000 of the answer state, 60,000 missing, 30,000 more, and the
      // doubles.
      absoluteDeltaMs: 197_500n,
    });
    expect(row?.net).toMatchObject({ ratio: -82_500 / 430_000, thresholdRatio: 0.05, exceeded: true });
    expect(row?.gross).toMatchObject({ ratio: 197_500 / 430_000, thresholdRatio: 0.5, exceeded: false });
    expect(row?.unmatched).toMatchObject({ ratio: 4 / 11, thresholdRatio: 0.5, exceeded: false });
  });

  test("ratios are absent when there is nothing to divide by, and thresholds when none is agreed; exceeded takes both", async () => {
    const agreed = { netRatio: 0.01, grossRatio: 0.01 };
    const nothing = await summaryOf([on("2026-06-01", { status: 11 })], { thresholds: agreed });
    expect(nothing).toMatchObject({ comparedCallCount: 0n });
    for (const result of [nothing?.net, nothing?.gross]) {
      expect(result).toMatchObject({ thresholdRatio: 0.01 });
      expect(result?.ratio).toBeUndefined();
      expect(result?.exceeded).toBeUndefined();
    }
    expect(nothing?.unmatched).toEqual(expect.not.objectContaining({ ratio: expect.anything() }));
    expect(nothing?.unmatched?.thresholdRatio).toBeUndefined();

    const unanswered = await summaryOf([on("2026-06-01", { status: 3 })]);
    expect(unanswered?.net?.ratio).toBeUndefined();
    expect(unanswered?.unmatched).toMatchObject({ ratio: 0 });
    expect(unanswered?.unmatched?.exceeded).toBeUndefined();
  });

  test("a measure at its threshold has not exceeded it, and net counts by its absolute value", async () => {
    const rows = [on("2026-06-01", { status: 4, carrier_ms: 57_000n })];
    const at = await summaryOf(rows, { thresholds: { netRatio: 0.05, grossRatio: 0.049 } });
    expect(at).toMatchObject({ net: { ratio: -0.05, exceeded: false }, gross: { ratio: 0.05, exceeded: true } });
  });

  test("a carrier that only bills counts with its billed seconds", async () => {
    const row = await summaryOf([on("2026-06-01", { status: 4, carrier_ms: null, billed_s: 90n })]);
    expect(row).toMatchObject({
      carrierConnectedDurationMs: 90_000n,
      absoluteDeltaMs: 30_000n,
      statusTotals: [{ status: 4, carrierConnectedDurationMs: 90_000n }],
    });
  });

  test("ambiguous calls count with the difference of both sides' sums, for each pair of numbers", async () => {
    const ambiguous = (pair: bigint, row: PartialResult) =>
      on("2026-06-01", { status: 10, matched_by: 0, pair_key: pair, ...row });
    const platform = { carrier_answered: null, carrier_ms: null };
    const carrier = { side: CARRIER_SIDE, platform_answered: null, platform_ms: null };
    const row = await summaryOf([
      ambiguous(1n, { ...platform, platform_ms: 60_000n }),
      ambiguous(1n, { ...platform, platform_ms: 40_000n, causes: 1 << 7 }),
      ambiguous(1n, { ...carrier, carrier_ms: 90_000n }),
      ambiguous(2n, { ...platform, platform_ms: 5_000n }),
      ambiguous(2n, { ...carrier, carrier_ms: 8_000n }),
    ]);
    expect(row).toMatchObject({
      comparedCallCount: 5n,
      platformCallCount: 3n,
      carrierCallCount: 2n,
      platformConnectedDurationMs: 105_000n,
      carrierConnectedDurationMs: 98_000n,
      absoluteDeltaMs: 13_000n,
      unmatched: { ratio: 1 },
    });
  });
});

describe("the rows", () => {
  const rows = [
    on("2026-06-01", { customer_id: "c2", trunk_id: "t1" }),
    on("2026-06-01", { customer_id: "c1", trunk_id: "t1", status: 4, carrier_ms: 70_000n }),
    on("2026-06-01", { trunk_id: "t2", direction: 2 }),
    on("2026-06-01", { customer_id: "c1" }),
    on("2026-06-02", { customer_id: "c1", trunk_id: "t1" }),
    on("2026-06-02", { customer_id: "c1", trunk_id: "t1", direction: 2, status: 6 }),
    on("2026-06-02", { customer_id: "c1", trunk_id: "t1", status: 10, pair_key: 1n }),
    on("2026-06-02", { customer_id: "c1", trunk_id: "t2", status: 10, pair_key: 1n, carrier_ms: 1_000n }),
  ];
  const keyOf = (row: ReconciliationSummaryRow) =>
    [row.callDate, row.customerId, row.trunkId, row.direction].map((value) => value ?? "-").join(" ");

  test("are by day, customer, trunk and direction, absent values first, in pages of any size", async () => {
    const { client } = await newCarrier(rows);
    const all = await client.getReconciliationSummary(JUNE);
    expect(all.rows.map(keyOf)).toEqual([
      "2026-06-01 - t2 2",
      "2026-06-01 c1 - 1",
      "2026-06-01 c1 t1 1",
      "2026-06-01 c2 t1 1",
      "2026-06-02 c1 t1 1",
      "2026-06-02 c1 t1 2",
      "2026-06-02 c1 t2 1",
    ]);
    for (const pageSize of [1, 2, 3]) {
      const paged: typeof all.rows = [];
      let pageToken = "";
      do {
        const page = await client.getReconciliationSummary({ ...JUNE, pageSize, pageToken });
        expect(page.rows.length).toBeLessThanOrEqual(pageSize);
        paged.push(...page.rows);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      expect(paged).toEqual(all.rows);
    }
  });

  test("of the finest grouping add up to those of every coarser one", async () => {
    const { client } = await newCarrier(rows);
    const finest = (await client.getReconciliationSummary(JUNE)).rows;
    for (const groupBy of [[DAY], [CUSTOMER], [TRUNK], [DIRECTION], [DAY, TRUNK], [CUSTOMER, DIRECTION]]) {
      const coarse = (await client.getReconciliationSummary({ ...JUNE, groupBy })).rows;
      for (const row of coarse) {
        const parts = finest.filter(
          (part) =>
            (!groupBy.includes(DAY) || part.callDate === row.callDate) &&
            (!groupBy.includes(CUSTOMER) || part.customerId === row.customerId) &&
            (!groupBy.includes(TRUNK) || part.trunkId === row.trunkId) &&
            (!groupBy.includes(DIRECTION) || part.direction === row.direction),
        );
        const sum = (read: (part: (typeof finest)[number]) => bigint) =>
          parts.reduce((total, part) => total + read(part), 0n);
        expect(sum((part) => part.comparedCallCount)).toBe(row.comparedCallCount);
        expect(sum((part) => part.absoluteDeltaMs)).toBe(row.absoluteDeltaMs);
        expect(sum((part) => part.platformConnectedDurationMs)).toBe(row.platformConnectedDurationMs);
        for (const total of row.statusTotals) {
          expect(sum((part) => part.statusTotals.find(({ status }) => status === total.status)?.callCount ?? 0n)).toBe(
            total.callCount,
          );
        }
      }
      expect(coarse.reduce((total, row) => total + row.comparedCallCount, 0n)).toBe(8n);
    }
    // Written in another order, the same.
    const one = await client.getReconciliationSummary({ ...JUNE, groupBy: [TRUNK, DAY] });
    expect(one.rows).toEqual((await client.getReconciliationSummary({ ...JUNE, groupBy: [DAY, TRUNK] })).rows);
    expect(one.rows[0]).toMatchObject({ callDate: "2026-06-01", direction: 0 });
  });

  test("are of the customers, trunks and direction asked for", async () => {
    const { client } = await newCarrier(rows);
    const count = async (request: object) => {
      const answer = await client.getReconciliationSummary({ ...JUNE, groupBy: [DIRECTION], ...request });
      return answer.rows.reduce((total, row) => total + row.comparedCallCount, 0n);
    };
    expect(await count({ customerIds: ["c1"] })).toBe(6n);
    expect(await count({ customerIds: ["c1", "c2"], trunkIds: ["t1"] })).toBe(5n);
    expect(await count({ direction: 2 })).toBe(2n);
    expect(await count({ startDate: "2026-06-02", endDate: "2026-06-03" })).toBe(4n);
    expect(await count({ customerIds: ["nobody"] })).toBe(0n);
  });

  test("a day is the call's, in the time zone agreed with the carrier, however far that is from UTC", async () => {
    const { client } = await newCarrier([
      { start_time: "2026-06-30T11:00:00Z", call_date: "2026-07-01" },
      { start_time: "2026-06-01T10:00:00Z", call_date: "2026-05-31" },
      { start_time: "2026-07-01T10:00:00Z", call_date: "2026-06-30" },
    ]);
    const { rows: found } = await client.getReconciliationSummary({ ...JUNE, groupBy: [DAY] });
    expect(found.map(({ callDate }) => callDate)).toEqual(["2026-06-30"]);
  });

  test("a wrong request names its field, and a token is good for its request only", async () => {
    const { client, carrierId } = await newCarrier(rows);
    const refused = (request: object) => refusal(client.getReconciliationSummary({ ...JUNE, ...request }));
    expect(await refused({ startDate: "" })).toMatchObject({ reason: "INVALID_ARGUMENT", field: "start_date" });
    expect(await refused({ endDate: "2026-06-01" })).toMatchObject({ field: "end_date" });
    expect(await refused({ endDate: "2026-09-02" })).toMatchObject({ reason: "LIST_WINDOW_TOO_LARGE" });
    expect(await refused({ groupBy: [0] })).toMatchObject({ field: "group_by" });
    expect(await refused({ groupBy: [DAY, DAY] })).toMatchObject({ field: "group_by" });
    expect(await refused({ customerIds: [""] })).toMatchObject({ field: "customer_ids" });
    expect(await refused({ direction: 5 })).toMatchObject({ field: "direction" });
    expect(await refused({ pageSize: -1 })).toMatchObject({ field: "page_size" });
    const { nextPageToken: pageToken } = await client.getReconciliationSummary({ ...JUNE, pageSize: 1 });
    expect(await refused({ pageToken, groupBy: [DAY] })).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
    expect(await refused({ pageToken, direction: 1 })).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
    const platform = await exchange.platformClient(PlatformReconciliationService);
    expect(await refusal(platform.getReconciliationSummary({ ...JUNE, carrierId, pageToken }))).toMatchObject({
      reason: "PAGE_TOKEN_INVALID",
    });
  });

  test("reconciled_through_time is how far the carrier is judged, and before that when it was onboarded", async () => {
    const createTime = 1_700_000_000_000_000n;
    const { client, carrierId } = await newCarrier([], { createTime });
    const read = async () => (await client.getReconciliationSummary(JUNE)).reconciledThroughTime;
    expect(await read()).toMatchObject({ seconds: 1_700_000_000n });
    await setReconciled(exchange.services.db, carrierId, { reconciled_through: "2026-06-05T00:00:00Z" });
    expect(await read()).toMatchObject({ seconds: BigInt(Date.parse("2026-06-05T00:00:00Z") / 1_000) });
  });
});

describe("reporting_state", () => {
  const OUTBOUND = [{ directions: [1], unanswered: false, emergency: false }];
  const stateOf = async (rows: readonly PartialResult[], settings: Settings = {}) => {
    const { client } = await newCarrier(rows, { reportingScopes: OUTBOUND, ...settings });
    const { rows: found } = await client.getReconciliationSummary({ ...JUNE, groupBy: [TRUNK] });
    expect(found).toHaveLength(1);
    return found[0]?.reportingState;
  };
  const [UNSPECIFIED, REPORTED, PARTLY, SILENT, OUT_OF_SCOPE] = [0, 1, 2, 3, 4];

  test("REPORTED: all within the scope, and durations for each day", async () => {
    expect(await stateOf([on("2026-06-01"), on("2026-06-02"), on("2026-06-02", { status: 6 })])).toBe(REPORTED);
  });

  test("a call that did not have to be reported for being unanswered takes nothing from it", async () => {
    const unanswered = on("2026-06-01", { status: 13, platform_answered: false, platform_ms: null });
    expect(await stateOf([on("2026-06-01"), unanswered])).toBe(REPORTED);
    expect(await stateOf([unanswered])).toBe(OUT_OF_SCOPE);
  });

  test("PARTLY_REPORTED: a day without a single duration, or a direction or time outside the scope", async () => {
    expect(await stateOf([on("2026-06-01"), on("2026-06-02", { status: 6 })])).toBe(PARTLY);
    expect(await stateOf([on("2026-06-01"), on("2026-06-01", { direction: 2, status: 13 })])).toBe(PARTLY);
    const from = { startTime: BigInt(Date.parse("2026-06-02T00:00:00Z")) * 1_000n };
    const since = { reportingScopes: OUTBOUND.map((scope) => ({ ...scope, ...from })) };
    expect(await stateOf([on("2026-06-01", { status: 13 }), on("2026-06-02")], since)).toBe(PARTLY);
  });

  test("SILENT: all within the scope, and nothing came", async () => {
    expect(await stateOf([on("2026-06-01", { status: 6 }), on("2026-06-02", { status: 6 })])).toBe(SILENT);
  });

  test("OUT_OF_SCOPE: nothing within the scope", async () => {
    expect(await stateOf([on("2026-06-01", { direction: 2, status: 13 })])).toBe(OUT_OF_SCOPE);
    expect(await stateOf([on("2026-06-01", { status: 13 })], { reportingScopes: [] })).toBe(OUT_OF_SCOPE);
  });

  test("unspecified while no hour is past its grace", async () => {
    const day = new Date().toISOString().slice(0, 10);
    const { client } = await newCarrier([{ status: 11 }], { reportingScopes: OUTBOUND });
    const endDate = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    const startDate = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
    const { rows } = await client.getReconciliationSummary({ startDate, endDate });
    expect(rows.map(({ callDate, reportingState }) => [callDate === day, reportingState])).toEqual([
      [expect.any(Boolean), UNSPECIFIED],
    ]);
    expect(await stateOf([on("2026-06-01", { status: 11 })])).toBe(UNSPECIFIED);
  });
});

test("the platform's summary is of one carrier, or of every one with its own thresholds, by carrier and then as the carrier's", async () => {
  await using own = await startExchange();
  const { db } = own.services;
  const through = { alpha: "2026-06-03T00:00:00Z", charlie: "2026-06-02T00:00:00Z" };
  for (const [carrierId, netRatio] of [
    ["alpha", 0.01],
    ["bravo", 0.02],
    ["charlie", 0.03],
  ] as const) {
    await own.addCarrier(carrierId, { thresholds: { netRatio }, createTime: 1_700_000_000_000_000n });
    if (carrierId === "bravo") continue;
    await setReconciled(db, carrierId, { reconciled_through: through[carrierId] });
    await insertCallResults(db, carrierId, [on("2026-06-01"), on("2026-06-02"), on("2026-06-03")]);
  }
  await setReconciled(db, "bravo", { reconciled_through: "2026-06-04T00:00:00Z" });
  const platform = await own.platformClient(PlatformReconciliationService);
  const found: string[] = [];
  let pageToken = "";
  do {
    const page = await platform.getReconciliationSummary({ ...JUNE, pageSize: 2, pageToken });
    expect(page.reconciledThroughTime?.seconds).toBe(BigInt(Date.parse(through.charlie) / 1_000));
    found.push(...page.rows.map((row) => `${row.carrierId} ${row.callDate} ${row.net?.thresholdRatio}`));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(found).toEqual([
    "alpha 2026-06-01 0.01",
    "alpha 2026-06-02 0.01",
    "alpha 2026-06-03 0.01",
    "charlie 2026-06-01 0.03",
    "charlie 2026-06-02 0.03",
    "charlie 2026-06-03 0.03",
  ]);
  const one = await platform.getReconciliationSummary({ ...JUNE, carrierId: "alpha" });
  expect(one.rows).toHaveLength(3);
  expect(one.reconciledThroughTime?.seconds).toBe(BigInt(Date.parse(through.alpha) / 1_000));
  expect(await refusal(platform.getReconciliationSummary({ ...JUNE, carrierId: "nobody" }))).toMatchObject({
    reason: "CARRIER_NOT_FOUND",
  });
});
