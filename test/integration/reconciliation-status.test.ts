import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RULE_VERSION } from "../../src/domain/matching/result.ts";
import { ReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { listCarriersToReconcile, settleIdleCarriers } from "../../src/store/reconciliation/reconcile-progress.ts";
import { keepSums } from "../../src/store/usage/sum-upkeep.ts";
import { appendDiscrepancies, insertCallResults, setReconciled } from "../support/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, ingest, NUMBER, refusal, runSql } from "../support/feed.ts";
import { durationUpload, someRecords } from "../support/upload-kinds.ts";
import { UploadStream } from "../support/upload-stream.ts";

const DAY_MS = 86_400_000;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
  for (const carrierId of ["alpha", "bravo", "charlie"])
    await exchange.addCarrier(carrierId, { createTime: 1_700_000_000_000_000n });
});
afterAll(() => exchange[Symbol.asyncDispose]());

const platform = () => exchange.platformClient(ReconciliationService);

test("a carrier that has sent nothing yet has all at zero, and no times that never were", async () => {
  const { statuses } = await (await platform()).getReconciliationStatus({ carrierIds: ["charlie"] });
  expect(statuses).toMatchObject([
    { carrierId: "charlie", cdrSequence: 0n, cdrHeadSequence: 0n, durationHeadSequence: 0n, ruleVersion: RULE_VERSION },
  ]);
  const [status] = statuses;
  expect([status?.lastCdrTime, status?.lastDurationTime, status?.rejudgedFromDate]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect([status?.reportingState, status?.pendingTotals]).toEqual([0, []]);
});

test("tells positions and heads, what is pending and since when, what is unresolved, in quarantine and judged again", async () => {
  const { db } = exchange.services;
  await exchange.assignNumbers("alpha", [NUMBER]);
  await ingest(exchange, "alpha", calls("r", 5));
  await using upload = await UploadStream.open(exchange, durationUpload, "alpha", { uploadId: "u" });
  await upload.next("opened");
  upload.batch(0, [...someRecords(0, 3, { calling: NUMBER }), { id: "nobody's", calling: "+441632960999" }]);
  await upload.committed(4);
  await setReconciled(db, "alpha", {
    cdr_sequence: 4n,
    duration_sequence: 2n,
    reconciled_through: "2026-06-05T00:00:00Z",
  });
  const dayBefore = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString();
  await insertCallResults(db, "alpha", [
    { start_time: dayBefore(3), status: 1 },
    { start_time: dayBefore(4), status: 6 },
    { status: 11, pending_reason: 1, start_time: "2026-06-01T10:00:00Z" },
    { status: 11, pending_reason: 1, start_time: "2026-06-01T09:00:00Z" },
    { status: 11, pending_reason: 2, start_time: "2026-06-01T11:00:00Z" },
  ]);
  await appendDiscrepancies(db, "alpha", [
    { discrepancy_id: "a" },
    { discrepancy_id: "b" },
    { discrepancy_id: "c", status: 6 },
    { discrepancy_id: "b", status: 1 },
  ]);
  await runSql(
    exchange,
    sql`INSERT INTO reconcile_minute VALUES ('alpha', '2026-05-31T22:30:00Z'), ('alpha', '2026-06-02T10:00:00Z')`,
  );
  const { statuses } = await (await platform()).getReconciliationStatus({ carrierIds: ["alpha"] });
  expect(statuses).toMatchObject([
    {
      carrierId: "alpha",
      reportingState: 2,
      cdrSequence: 4n,
      cdrHeadSequence: 5n,
      durationSequence: 2n,
      durationHeadSequence: 3n,
      discrepancyHeadSequence: 4n,
      reconciledThroughTime: { seconds: BigInt(Date.parse("2026-06-05T00:00:00Z") / 1_000) },
      lastCdrTime: {},
      lastDurationTime: {},
      pendingTotals: [
        {
          pendingReason: 1,
          callCount: 2n,
          oldestCallTime: { seconds: BigInt(Date.parse("2026-06-01T09:00:00Z") / 1_000) },
        },
        { pendingReason: 2, callCount: 1n },
      ],
      unresolvedDiscrepancyCount: 2n,
      quarantinedDurationCount: 1n,
      // In the carrier's time zone it was past midnight.
      rejudgedFromDate: "2026-06-01",
    },
  ]);
});

test("a carrier to which nothing comes is reconciled through now; one with something left to do is not", async () => {
  const { db } = exchange.services;
  const throughOf = async (carrierId: string) => {
    const { statuses } = await (await platform()).getReconciliationStatus({ carrierIds: [carrierId] });
    return Number(statuses[0]?.reconciledThroughTime?.seconds ?? 0n) * 1_000;
  };
  const before = Date.parse("2026-06-05T00:00:00Z");
  // Sums that are to be filled are work, too.
  while (await systemTransaction(db, (tx) => keepSums(tx, "charlie")));
  for (const carrierId of ["bravo", "charlie"])
    await setReconciled(db, carrierId, { reconciled_through: new Date(before).toISOString() });
  await runSql(exchange, sql`INSERT INTO reconcile_minute VALUES ('bravo', '2026-06-05T00:00:00Z')`);
  const listed = await systemTransaction(db, (tx) => listCarriersToReconcile(tx, RULE_VERSION, 10));
  expect(listed).toEqual(["alpha", "bravo"]);
  await systemTransaction(db, (tx) => settleIdleCarriers(tx, RULE_VERSION, 1_000_000_000));
  expect(await throughOf("charlie")).toBe(before);
  await systemTransaction(db, (tx) => settleIdleCarriers(tx, RULE_VERSION, 15));
  expect(await throughOf("bravo")).toBe(before);
  expect(await throughOf("charlie")).toBeGreaterThan(before);

  await setReconciled(db, "charlie", { rule_version: 0 });
  expect(await systemTransaction(db, (tx) => listCarriersToReconcile(tx, RULE_VERSION, 10))).toContain("charlie");
  await setReconciled(db, "charlie", { marked_cdr_sequence: 7n, cdr_sequence: 7n });
  expect(await systemTransaction(db, (tx) => listCarriersToReconcile(tx, RULE_VERSION, 10))).toContain("charlie");
});

test("carriers that wait longest are reconciled first, those that never were before all", async () => {
  const { db } = exchange.services;
  const list = (limit: number) => systemTransaction(db, (tx) => listCarriersToReconcile(tx, RULE_VERSION, limit));
  await runSql(exchange, sql`DELETE FROM reconcile_position WHERE carrier_id = 'charlie'`);
  for (const [carrierId, day] of [
    ["alpha", "06"],
    ["bravo", "05"],
  ] as const) {
    await setReconciled(db, carrierId, { reconciled_through: `2026-06-${day}T00:00:00Z` });
    await runSql(
      exchange,
      sql`INSERT INTO reconcile_minute VALUES (${carrierId}, '2026-06-05T00:00:00Z') ON CONFLICT DO NOTHING`,
    );
  }
  expect(await list(10)).toEqual(["charlie", "bravo", "alpha"]);
  expect(await list(1)).toEqual(["charlie"]);
});

test("has every carrier by id in pages, or those that are named", async () => {
  const client = await platform();
  const read = async (request: { carrierIds?: string[]; pageSize?: number; pageToken?: string }) => {
    const { statuses, nextPageToken } = await client.getReconciliationStatus(request);
    return { found: statuses.map(({ carrierId }) => carrierId), nextPageToken };
  };
  const first = await read({ pageSize: 2 });
  expect(first.found).toEqual(["alpha", "bravo"]);
  expect(await read({ pageSize: 2, pageToken: first.nextPageToken })).toEqual({
    found: ["charlie"],
    nextPageToken: "",
  });
  expect((await read({ carrierIds: ["charlie", "alpha", "charlie"] })).found).toEqual(["alpha", "charlie"]);
  const named = await read({ carrierIds: ["charlie", "alpha"], pageSize: 1 });
  const rest = { carrierIds: ["alpha", "charlie"], pageSize: 1, pageToken: named.nextPageToken };
  expect(await read(rest)).toEqual({ found: ["charlie"], nextPageToken: "" });
});

test("refuses a carrier that is not there, too many names, and a token of another request", async () => {
  const client = await platform();
  expect(await refusal(client.getReconciliationStatus({ carrierIds: ["alpha", "nobody"] }))).toMatchObject({
    reason: "CARRIER_NOT_FOUND",
    carrier_id: "nobody",
  });
  const many = Array.from({ length: 101 }, () => "alpha");
  expect(await refusal(client.getReconciliationStatus({ carrierIds: many }))).toMatchObject({ field: "carrier_ids" });
  const { nextPageToken: pageToken } = await client.getReconciliationStatus({ pageSize: 1 });
  expect(await refusal(client.getReconciliationStatus({ carrierIds: ["alpha"], pageToken }))).toMatchObject({
    reason: "PAGE_TOKEN_INVALID",
  });
});
