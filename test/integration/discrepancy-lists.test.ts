import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { ReconciliationService as PlatformReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { appendDiscrepancies, insertCallResults, type PartialResult } from "../support/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { refusal } from "../support/feed.ts";

type Client = Awaited<ReturnType<typeof clients>>["carrier"];
type Filter = NonNullable<Parameters<Client["listDiscrepancies"]>[0]["filter"]>;

const DAY_MS = 86_400_000;
const day = (offset: number) => new Date(Date.now() + offset * DAY_MS).toISOString().slice(0, 10);

let exchange: Exchange;
let carrierCount = 0;

beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function newCarrier(rows: readonly PartialResult[]): Promise<string> {
  const carrierId = `carrier-${++carrierCount}`;
  await exchange.addCarrier(carrierId);
  await appendDiscrepancies(exchange.services.db, carrierId, rows);
  return carrierId;
}

async function clients(carrierId: string) {
  return {
    carrier: await exchange.carrierClient(ReconciliationService, carrierId),
    platform: await exchange.platformClient(PlatformReconciliationService),
  };
}

const ids = ({ discrepancies }: { discrepancies: readonly { discrepancyId: string }[] }) =>
  discrepancies.map(({ discrepancyId }) => discrepancyId);

describe("a list of discrepancies", () => {
  test("has each in its highest revision, by sequence, with its position and times; never a call that agreed from the start", async () => {
    const carrierId = await newCarrier([
      { discrepancy_id: "first", status: 6 },
      { discrepancy_id: "second", status: 4, carrier_ms: 99_000n },
      { discrepancy_id: "first", status: 1 },
    ]);
    await insertCallResults(exchange.services.db, carrierId, [{}, { status: 2 }]);
    const { carrier } = await clients(carrierId);
    const { discrepancies, nextPageToken } = await carrier.listDiscrepancies({});
    expect(nextPageToken).toBe("");
    expect(discrepancies).toMatchObject([
      { discrepancyId: "second", revision: 1, sequence: 2n, status: 4, updateTime: {}, firstSeenTime: {} },
      { discrepancyId: "first", revision: 2, sequence: 3n, status: 1, resolvedTime: {} },
    ]);
  });

  test("restricts by every condition, alone and together", async () => {
    const carrierId = await newCarrier([
      { discrepancy_id: "mismatch", status: 4, causes: 1 << 6, customer_id: "c1", trunk_id: "t1", carrier_ms: 66_000n },
      { discrepancy_id: "missing", status: 6, customer_id: "c2", trunk_id: "t2" },
      {
        discrepancy_id: "extra",
        status: 7,
        causes: (1 << 1) | (1 << 7),
        direction: 2,
        trunk_id: "t1",
        carrier_ms: 5_000n,
      },
      { discrepancy_id: "resolved", status: 2, customer_id: "c1", carrier_ms: 61_000n },
      { discrepancy_id: "billed", status: 4, carrier_ms: null, billed_s: 66n, customer_id: "c3" },
    ]);
    const { carrier } = await clients(carrierId);
    const expected: [Filter, string[]][] = [
      [{}, ["mismatch", "missing", "extra", "resolved", "billed"]],
      [{ statuses: [4, 7] }, ["mismatch", "extra", "billed"]],
      [{ causes: [7] }, ["extra"]],
      [{ causes: [6, 1] }, ["mismatch", "extra"]],
      [{ customerIds: ["c1"] }, ["mismatch", "resolved"]],
      [{ trunkIds: ["t1", "t2"] }, ["mismatch", "missing", "extra"]],
      [{ direction: 2 }, ["extra"]],
      [{ unresolved: true }, ["mismatch", "missing", "extra", "billed"]],
      [{ unresolved: false }, ["resolved"]],
      [{ minAbsoluteDeltaMs: 5_000n }, ["mismatch", "missing", "extra", "billed"]],
      [{ minAbsoluteDeltaMs: 6_001n }, ["missing"]],
      [{ customerIds: ["c1"], unresolved: true, trunkIds: ["t1"] }, ["mismatch"]],
      [{ customerIds: ["nobody"] }, []],
    ];
    for (const [filter, found] of expected) expect(ids(await carrier.listDiscrepancies({ filter }))).toEqual(found);
  });

  test("is of the last 92 days by default, and of the days asked for otherwise", async () => {
    const at = (offset: number) => ({ discrepancy_id: `day${offset}`, call_date: day(offset) });
    const carrierId = await newCarrier([at(-200), at(-91), at(-90), at(-3), at(0), at(1)]);
    const { carrier } = await clients(carrierId);
    const list = async (dates: { startDate?: string; endDate?: string }) => ids(await carrier.listDiscrepancies(dates));
    expect(await list({})).toEqual(["day-90", "day-3", "day0", "day1"]);
    expect(await list({ startDate: day(-200) })).toEqual(["day-200"]);
    expect(await list({ endDate: day(0) })).toEqual(["day-91", "day-90", "day-3"]);
    expect(await list({ startDate: day(-3), endDate: day(0) })).toEqual(["day-3"]);
  });

  test("refuses days that are none, in the wrong order or too many", async () => {
    const { carrier } = await clients(await newCarrier([]));
    const refused = (dates: object) => refusal(carrier.listDiscrepancies(dates));
    expect(await refused({ startDate: "2026-02-30" })).toMatchObject({ field: "start_date" });
    expect(await refused({ endDate: "0000-01-01" })).toMatchObject({ field: "end_date" });
    expect(await refused({ startDate: day(0), endDate: day(0) })).toMatchObject({ field: "end_date" });
    expect(await refused({ startDate: day(-93), endDate: day(0) })).toMatchObject({
      reason: "LIST_WINDOW_TOO_LARGE",
      limit_days: "92",
    });
    expect(await refused({ pageSize: -1 })).toMatchObject({ code: Code.InvalidArgument, field: "page_size" });
    expect(await refused({ filter: { statuses: [0] } })).toMatchObject({ field: "filter.statuses" });
  });

  test("pages without loss: one that changes between two pages moves behind them", async () => {
    const carrierId = await newCarrier(Array.from({ length: 5 }, (_, index) => ({ discrepancy_id: `d${index}` })));
    const { carrier } = await clients(carrierId);
    const first = await carrier.listDiscrepancies({ pageSize: 2 });
    expect(ids(first)).toEqual(["d0", "d1"]);
    await appendDiscrepancies(exchange.services.db, carrierId, [{ discrepancy_id: "d0" }, { discrepancy_id: "d3" }]);
    const second = await carrier.listDiscrepancies({ pageSize: 2, pageToken: first.nextPageToken });
    const third = await carrier.listDiscrepancies({ pageSize: 2, pageToken: second.nextPageToken });
    expect([...ids(second), ...ids(third)]).toEqual(["d2", "d4", "d0", "d3"]);
    expect(third.nextPageToken).toBe("");
  });

  test("takes a page token with the request that it came from only", async () => {
    const carrierId = await newCarrier([{}, {}]);
    const { carrier, platform } = await clients(carrierId);
    const { nextPageToken: pageToken } = await carrier.listDiscrepancies({ pageSize: 1 });
    const invalid = { reason: "PAGE_TOKEN_INVALID" };
    expect(ids(await carrier.listDiscrepancies({ pageSize: 5, pageToken }))).toHaveLength(1);
    expect(await refusal(carrier.listDiscrepancies({ pageToken, filter: { statuses: [4] } }))).toMatchObject(invalid);
    expect(await refusal(carrier.listDiscrepancies({ pageToken, startDate: day(-1) }))).toMatchObject(invalid);
    expect(await refusal(platform.listDiscrepancies({ carrierId, pageToken }))).toMatchObject(invalid);
  });
});

describe("the platform's list", () => {
  test("is of one carrier, or of every carrier by its id, page by page", async () => {
    await using own = await startExchange();
    const { db } = own.services;
    for (const [carrierId, count] of [
      ["alpha", 2],
      ["bravo", 0],
      ["charlie", 3],
    ] as const) {
      await own.addCarrier(carrierId);
      await appendDiscrepancies(
        db,
        carrierId,
        Array.from({ length: count }, (_, index) => ({ discrepancy_id: `${carrierId}-${index}` })),
      );
    }
    const platform = await own.platformClient(PlatformReconciliationService);
    const pages: string[][] = [];
    let pageToken = "";
    do {
      const page = await platform.listDiscrepancies({ pageSize: 2, pageToken });
      pages.push(ids(page));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(pages).toEqual([["alpha-0", "alpha-1"], ["charlie-0", "charlie-1"], ["charlie-2"]]);
    expect(ids(await platform.listDiscrepancies({ carrierId: "charlie", filter: { unresolved: true } }))).toHaveLength(
      3,
    );
    expect(ids(await platform.listDiscrepancies({ carrierId: "bravo" }))).toEqual([]);
    expect(await refusal(platform.listDiscrepancies({ carrierId: "nobody" }))).toMatchObject({
      reason: "CARRIER_NOT_FOUND",
    });
  });

  test("masks the other party unless the credential may see parties; the carrier's own number stays whole", async () => {
    const carrierId = await newCarrier([
      { discrepancy_id: "out", phone_number: "+441632960001", other_number: "+12025550123" },
      { discrepancy_id: "in", direction: 2, phone_number: "+441632960001", other_number: "+12025550124" },
      { discrepancy_id: "nobody's", other_number: "+12025550125" },
    ]);
    const { platform, carrier } = await clients(carrierId);
    const parties = ({ discrepancies }: Awaited<ReturnType<typeof carrier.listDiscrepancies>>) =>
      discrepancies.map(({ calling, called }) => [calling?.value, called?.value]);
    const whole = [
      ["+441632960001", "+12025550123"],
      ["+12025550124", "+441632960001"],
      ["+441632960001", "+12025550125"],
    ];
    expect(parties(await carrier.listDiscrepancies({}))).toEqual(whole);
    expect(parties((await platform.listDiscrepancies({ carrierId })) as never)).toEqual(whole);
    const token = await exchange.platformToken(["reconciliation.read"]);
    const reader = createClient(PlatformReconciliationService, await exchange.platformTransport({ token }));
    expect(parties((await reader.listDiscrepancies({ carrierId })) as never)).toEqual([
      ["+441632960001", "+12025550***"],
      ["+12025550***", "+441632960001"],
      ["+441632960***", "+12025550***"],
    ]);
  });
});
