import type { Kysely } from "kysely";
import { describe, expect, test } from "vitest";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { restateUsage } from "../../src/jobs/restate-usage.ts";
import { encodeRestatement } from "../../src/rpc/usage/message.ts";
import type { Database } from "../../src/store/database/database.ts";
import * as zoneDays from "../../src/store/migrations/0017-zone-days.ts";
import { insertCallResults } from "../support/call-results.ts";
import { startExchange } from "../support/exchange.ts";
import { newRequestId, takeNumbers } from "../support/numbers.ts";
import { insertCalls } from "../support/usage.ts";

describe("an installation that had its days of Node and PostgreSQL", () => {
  /** What was of before 0017: no days, and closed periods without instants. */
  const before = (db: Database) =>
    db.pool.query(
      "DROP TABLE zone_day, zone_year; ALTER TABLE usage_period DROP COLUMN start_time, DROP COLUMN end_time",
    );

  test("keeps the days of closed periods, with which the next ones begin, and those of judged calls (case 1)", async () => {
    await using exchange = await startExchange();
    const { db } = exchange.services;
    const usage = await exchange.platformClient(UsageService);
    const [number = ""] = takeNumbers(1);
    for (const [carrierId, timeZone] of [
      ["alpha", "CET"],
      ["beta", "EET"],
    ] as const)
      await exchange.addCarrier(carrierId, { timeZone });
    await exchange.assignNumbers("alpha", [number], "customer-1");
    // PostgreSQL takes CET for an hour from UTC, in summer too: the call is of the 14th for it, and
    // its closed days begin at 23:00.
    await insertCalls(db, "alpha", [{ start: "2026-08-14T22:30:00Z", number, status: 1 }]);
    await insertCallResults(db, "beta", [{ start_time: "2026-08-14T21:30:00Z", call_date: "2026-08-15", status: 1 }]);
    const close = async (startDate: string, endDate: string) => {
      const asked = { requestId: newRequestId(), customerId: "customer-1", startDate, endDate, timeZone: "CET" };
      return (await usage.closePeriod({ ...asked, maxPendingRatio: 1 })).period;
    };
    await db.pool.query(
      `INSERT INTO zone_day SELECT 'CET', d::date, d - interval '1 hour' FROM generate_series('2026-08-10'::timestamptz, '2026-08-22'::timestamptz, '1 day') AS d`,
    );
    expect((await close("2026-08-14", "2026-08-15"))?.closedTotals?.attemptCount).toBe(1n);
    await before(db);
    await db.kysely.transaction().execute((tx) => zoneDays.up(tx as unknown as Kysely<unknown>));

    const { rows: instants } = await db.pool.query("SELECT start_time, end_time FROM usage_period");
    const at = (iso: string) => microsFromMs(Date.parse(iso));
    expect(instants).toEqual([{ start_time: at("2026-08-13T23:00:00Z"), end_time: at("2026-08-14T23:00:00Z") }]);
    // What was told stays told, and the next period takes what is after it: nothing twice, and
    // nothing left out.
    const options = {
      db,
      encode: encodeRestatement,
      recheckAgeS: 0,
      onError: (error: unknown) => Promise.reject(error),
    };
    const restated = () => restateUsage(options, "test", undefined, new AbortController().signal);
    await expect.poll(restated).toBeDefined();
    expect((await usage.listRestatements({ customerId: "customer-1" })).restatements).toEqual([]);
    expect((await close("2026-08-15", "2026-08-16"))?.closedTotals?.attemptCount).toBe(0n);
    expect((await close("2026-08-13", "2026-08-14"))?.closedTotals?.attemptCount).toBe(0n);
    // A judged call's day is the IANA database's, by Node, and stays.
    const { rows: days } = await db.pool.query(
      "SELECT day, start_time FROM zone_day WHERE time_zone = 'EET' ORDER BY day",
    );
    expect(days).toEqual([
      { day: "2026-08-15", start_time: at("2026-08-14T21:00:00Z") },
      { day: "2026-08-16", start_time: at("2026-08-15T21:00:00Z") },
    ]);
  });

  test("goes on with a zone whose name is taken no more, and it can be set right", async () => {
    await using exchange = await startExchange();
    await exchange.addCarrier("alpha", { timeZone: "PST" });
    const reconciliation = await exchange.platformClient(ReconciliationService);
    expect((await reconciliation.getReconciliationStatus({ carrierIds: ["alpha"] })).statuses).toHaveLength(1);
    const carriers = await exchange.platformClient(CarrierService);
    const update = (carrier: object, paths: string[], expectedRevision: bigint) =>
      carriers.updateCarrier({
        requestId: newRequestId(),
        carrier: { carrierId: "alpha", ...carrier },
        updateMask: { paths },
        expectedRevision,
      });
    const named = await update({ displayName: "Alpha Tele" }, ["display_name"], 1n);
    expect(named.carrier).toMatchObject({ displayName: "Alpha Tele", timeZone: "PST" });
    const right = await update({ timeZone: "America/Los_Angeles" }, ["time_zone"], 2n);
    expect(right.carrier?.timeZone).toBe("America/Los_Angeles");
  });
});
