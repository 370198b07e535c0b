import { afterAll, beforeAll, expect, test } from "vitest";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { LIST_PAGE, systemTransaction } from "../../src/store/database/database.ts";
import type { Scanned } from "../../src/store/database/list-scan.ts";
import type { Tx } from "../../src/store/database/run.ts";
import { listNumbersOfAll, readNumberSnapshotPage } from "../../src/store/numbers/number-feed.ts";
import { listDiscrepancies } from "../../src/store/reconciliation/discrepancies.ts";
import { scanCdrs } from "../../src/store/records/cdr-lists.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, NUMBER } from "../support/feed.ts";
import { reconcileFully } from "../support/reconcile.ts";
import { addNumbers, worldCarrier } from "../support/statistics-world.ts";

let exchange: Exchange;
const CARRIER = "listed";
const HOUR_MS = 3_600_000;
const world = worldCarrier(CARRIER, 1);

beforeAll(async () => {
  exchange = await startExchange();
  await addNumbers(exchange, world);
  await exchange.assignNumbers(CARRIER, [NUMBER], "customer-1");
  const records = Array.from({ length: 60 }, (_, at) =>
    call(`r-${at}`, { route: { trunkId: at % 30 === 7 ? "rare" : "usual" } }, Date.now() - HOUR_MS - at * 1_000),
  );
  await ingest(exchange, CARRIER, records);
  await reconcileFully(exchange.services.db, CARRIER, { nowMs: Date.now() + 48 * HOUR_MS });
});
afterAll(() => exchange[Symbol.asyncDispose]());

/** All pages of a list, each of which looks at ten rows, and how many of them were empty. */
async function readAll<Found, Place>(read: (tx: Tx, after: Place | undefined) => Promise<Scanned<Found, Place>>) {
  const found: Found[] = [];
  let empty = 0;
  let after: Place | undefined;
  do {
    const page = await systemTransaction(exchange.services.db, (tx) => read(tx, after), LIST_PAGE);
    found.push(...page.found);
    if (page.found.length === 0) empty++;
    after = page.scannedTo;
  } while (after !== undefined);
  return { found, empty };
}

test("a list of records finds the few that are asked for page by page, and no page looks at more rows than it may", async () => {
  const period = { start: microsFromMs(Date.now() - 24 * HOUR_MS), end: microsFromMs(Date.now()) };
  const search = { period, conditions: { trunkId: "rare" } };
  const { found, empty } = await readAll(
    (tx, after: { inviteTime: bigint | undefined; sequence: bigint } | undefined) =>
      scanCdrs(tx, CARRIER, search, { after, limit: 50, scan: 10 }, false),
  );
  expect(found.map(({ sequence }) => sequence)).toEqual([38n, 8n]);
  expect(empty).toBe(5);
});

test("a list of discrepancies does so", async () => {
  const days = { startDate: "2000-01-01", endDate: "2100-01-01" };
  const nothing = {
    statuses: [],
    causes: [],
    customerIds: [],
    direction: undefined,
    unresolved: undefined,
    minAbsoluteDeltaMs: undefined,
  };
  const conditions = { ...nothing, trunkIds: ["rare"] };
  const { found, empty } = await readAll((tx, after: bigint | undefined) =>
    listDiscrepancies(tx, CARRIER, { ...days, conditions }, { after: after ?? 0n, limit: 50, scan: 10 }),
  );
  expect(found).toHaveLength(2);
  expect(empty).toBeGreaterThanOrEqual(4);
});

test("a list of numbers does so, of one carrier and of all", async () => {
  const filter = { states: [1] };
  const ofOne = await readAll((tx, after: { phoneNumber: string } | undefined) =>
    readNumberSnapshotPage(tx, {
      carrierId: CARRIER,
      afterNumber: after?.phoneNumber ?? "",
      limit: 50,
      filter,
      scan: 7,
    }),
  );
  expect(ofOne.found).toEqual([]);
  expect(ofOne.empty).toBeGreaterThan(1);
  const ofAll = await readAll((tx, after: { phoneNumber: string; carrierId: string } | undefined) =>
    listNumbersOfAll(tx, {
      after: after ?? { phoneNumber: "", carrierId: "" },
      limit: 50,
      filter: { states: [2] },
      region: undefined,
      scan: 7,
    }),
  );
  expect(ofAll.found.map(({ phoneNumber }) => phoneNumber)).toEqual(world.numbers.slice(-20));
});
