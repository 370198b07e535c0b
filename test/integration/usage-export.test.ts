import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { UsageDimension, type UsageRow } from "../../src/gen/tandem/platform/v1/usage_pb.js";
import { type ExportUsageResponse, UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { addCarrier, assignNumbers } from "../support/carriers.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { takeNumber } from "../support/numbers.ts";
import { reasonOf } from "../support/refusal.ts";
import { add, describeRow, insertCalls, sumsOf } from "../support/usage.ts";

const { DAY, DIRECTION, COUNTRY, OTHER_PARTY } = UsageDimension;
const MARCH = { startDate: "2026-03-01", endDate: "2026-04-01", timeZone: "Europe/Copenhagen" };
const NOTHING = [0n, 0n, 0n, 0n, 0n];
/** More rows, by other party, than three messages hold. */
const OTHERS = 6_500;

let exchange: Exchange;
let usage: Client<typeof UsageService>;

beforeAll(async () => {
  exchange = await startExchange();
  usage = await exchange.platformClient(UsageService);
  await exchange.addCarrier("alpha");
  const number = takeNumber();
  await exchange.assignNumbers("alpha", [number], "cedar-bank");
  const calls = Array.from({ length: OTHERS }, (_, index) => ({
    start: `2026-03-${String(1 + (index % 31)).padStart(2, "0")}T10:00:00Z`,
    number,
    status: 1 + (index % 7),
    direction: 1 + (index % 2),
    country: index % 3 === 0 ? null : "DK",
    other: `+45${33_000_000 + index}`,
  }));
  await insertCalls(db(), "alpha", calls);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const db = () => exchange.services.db;
const request = (more: object = {}) => ({ customerId: "cedar-bank", ...MARCH, ...more });

function rowsOf(frames: readonly ExportUsageResponse[]): UsageRow[] {
  return frames.flatMap(({ frame }) => (frame.case === "batch" ? frame.value.rows : []));
}

async function queryAll(more: object): Promise<UsageRow[]> {
  const rows: UsageRow[] = [];
  let pageToken = "";
  do {
    const page = await usage.queryUsage(request({ ...more, pageSize: 1_000, pageToken }));
    rows.push(...page.rows);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return rows;
}

test.each([[[DAY]], [[]], [[OTHER_PARTY, DIRECTION, COUNTRY]]])(
  "an export grouped by %j has the rows of the query, in its order, between a header and a trailer that adds them up",
  async (groupBy) => {
    const frames = await Array.fromAsync(usage.exportUsage(request({ groupBy })));
    const cases = frames.map(({ frame }) => frame.case);
    expect(cases).toEqual(["header", ...Array.from({ length: cases.length - 2 }, () => "batch"), "trailer"]);
    const rows = rowsOf(frames);
    expect(rows.map(describeRow)).toEqual((await queryAll({ groupBy })).map(describeRow));
    for (const { frame } of frames)
      if (frame.case === "batch") expect(frame.value.rows.length).toBeLessThanOrEqual(2_000);
    const [header, trailer] = [frames[0]?.frame, frames.at(-1)?.frame];
    if (header?.case !== "header" || trailer?.case !== "trailer") throw new Error("expected a header and a trailer");
    expect(header.value).toMatchObject({
      exportId: expect.stringMatching(/./),
      completeness: { carriers: [{ carrierId: "alpha" }] },
    });
    expect(trailer.value.rowCount).toBe(BigInt(rows.length));
    expect(sumsOf(trailer.value.totals)).toEqual(rows.map((row) => sumsOf(row.totals)).reduce(add, NOTHING));
  },
);

test("an export shows one state, whatever changes while it is read", async () => {
  const customerId = "birch-clinic";
  const number = takeNumber();
  await exchange.assignNumbers("alpha", [number], customerId);
  const call = (index: number) => ({
    start: "2026-03-10T10:00:00Z",
    number,
    status: 1,
    other: `+45${44_000_000 + index}`,
  });
  await insertCalls(
    db(),
    "alpha",
    Array.from({ length: 4_001 }, (_, index) => call(index)),
  );
  const frames: ExportUsageResponse[] = [];
  for await (const frame of usage.exportUsage(request({ customerId, groupBy: [OTHER_PARTY] }))) {
    if (frames.length === 1) await insertCalls(db(), "alpha", [call(0), call(9_999)]);
    frames.push(frame);
  }
  expect(rowsOf(frames)).toHaveLength(4_001);
  expect(frames.map(({ frame }) => frame.case)).toEqual(["header", "batch", "batch", "batch", "trailer"]);
});

test("a longer period than a query's may be exported, up to 400 days", async () => {
  expect(await reasonOf(usage.exportUsage(request({ endDate: "2027-04-05" })))).toBe("OK");
  expect(await reasonOf(usage.exportUsage(request({ endDate: "2027-04-06" })))).toBe("LIST_WINDOW_TOO_LARGE");
  expect(await reasonOf(usage.exportUsage(request({ timeZone: "" })))).toBe("INVALID_ARGUMENT");
  const asOf = { case: "asOfVersion", value: { periodId: "none", restatementNumber: 0 } } as const;
  expect(await reasonOf(usage.exportUsage(request({ asOf })))).toBe("PERIOD_NOT_FOUND");
});

test("an export whose client leaves keeps nothing open", async () => {
  const left = new AbortController();
  const frames = usage
    .exportUsage(request({ groupBy: [OTHER_PARTY] }), { signal: left.signal })
    [Symbol.asyncIterator]();
  expect((await frames.next()).value?.frame.case).toBe("header");
  left.abort();
  await frames.next().catch(() => {});
  const { slots, db: database } = exchange.services;
  await expect.poll(() => slots.count).toBe(0);
  await expect.poll(() => exchange.callCount).toBe(0);
  await expect.poll(() => database.pool.totalCount - database.pool.idleCount).toBe(0);
});

test("a process keeps no more than 8 exports at once in memory", async () => {
  const { slots } = exchange.services;
  using taken = new DisposableStack();
  const method = "tandem.platform.v1.UsageService/ExportUsage";
  for (let place = 0; place < 8; place++) taken.use(slots.take(`${method}:`));
  expect(await reasonOf(usage.exportUsage(request()))).toBe("TOO_MANY_STREAMS");
  taken.dispose();
  expect(await reasonOf(usage.exportUsage(request()))).toBe("OK");
});

/**
 * A client that has read an export's header, and whose window is smaller than one of its messages.
 */
async function beginExport(app: Exchange) {
  const { db: database } = app.services;
  await addCarrier(database, "alpha");
  const number = takeNumber();
  await assignNumbers(database, "alpha", [number], "cedar-bank");
  const calls = Array.from({ length: 9_000 }, (_, index) => ({
    start: "2026-03-10T10:00:00Z",
    number,
    status: 1,
    other: `+45${33_000_000 + index}`,
  }));
  await insertCalls(database, "alpha", calls);
  const client = createClient(UsageService, app.connect(await app.platformToken()));
  const frames = client.exportUsage(request({ groupBy: [OTHER_PARTY, DAY, DIRECTION] }))[Symbol.asyncIterator]();
  expect((await frames.next()).value?.frame.case).toBe("header");
  return frames;
}

test("an export that a drain cuts off ends with an error and without its trailer", async () => {
  await using app = await startExchange({ drainMs: 10_000 });
  const frames = await beginExport(app);
  const drained = app.drain();
  const cases: (string | undefined)[] = [];
  const rest = (async () => {
    for (let step = await frames.next(); !step.done; step = await frames.next()) cases.push(step.value.frame.case);
  })();
  expect(await reasonOf(rest)).toBe("DRAINING");
  expect(cases).not.toContain("trailer");
  await drained;
  expect(app.services.slots.count).toBe(0);
});

test("a client that does not read its export does not keep it for ever", async () => {
  await using app = await startExchange({ maxStallMs: 100 });
  await beginExport(app);
  // Told in band after 100 ms, by force 5 s later.
  await expect.poll(() => app.services.slots.count).toBe(0);
  await expect.poll(() => app.callCount).toBe(0);
});
