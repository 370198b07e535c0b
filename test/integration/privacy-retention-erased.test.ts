import { sql } from "kysely";
import { expect, test } from "vitest";
import { PrivacyService, SubjectRole } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { RecordPart } from "../../src/gen/tandem/type/v1/agreement_pb.js";
import { applyRetention } from "../../src/jobs/retention.ts";
import { ensurePartitions } from "../../src/store/database/partitions.ts";
import { setReconciled } from "../support/call-results.ts";
import { erase } from "../support/erasure.ts";
import { startExchange } from "../support/exchange.ts";
import { runSql } from "../support/feed.ts";
import { newRequestId } from "../support/numbers.ts";
import { appendCdrs, appendDurations, reconcileFully } from "../support/reconcile.ts";
import { countRows, dayAgo, daysAgo, oldCdr, oldDuration, policyOf, retain, SUBSCRIBER } from "../support/retention.ts";

test("Storage limitation: results that a closed period rests on stay, also of a number that was erased or has moved to another carrier", async () => {
  await using exchange = await startExchange({ partitions: "weekly", retentionIntervalMs: 0 });
  const { db } = exchange.services;
  await ensurePartitions(db, 12);
  const privacy = await exchange.platformClient(PrivacyService);
  for (const carrierId of ["swift", "moved"]) {
    await exchange.addCarrier(carrierId);
    await exchange.assignNumbers(carrierId, [SUBSCRIBER]);
    await appendCdrs(db, carrierId, [oldCdr("P-1", 60)], daysAgo(60));
    await appendDurations(db, carrierId, [oldDuration("D-1", 60)], daysAgo(60));
    await reconcileFully(db, carrierId);
    await setReconciled(db, carrierId);
    for (const part of [RecordPart.CALL, RecordPart.DURATION])
      await privacy.setRetentionPolicy(policyOf("DK", carrierId, part, 32));
  }
  const usage = await exchange.platformClient(UsageService);
  const days = { startDate: dayAgo(70), endDate: dayAgo(40), timeZone: "UTC" };
  await usage.closePeriod({ requestId: newRequestId(), customerId: "customer-1", ...days, maxPendingRatio: 1 });
  const scope = { startMs: daysAgo(70), role: SubjectRole.SUBSCRIBER };
  // The calls of the other carrier are those of a number whose history has moved, as a port that is
  // corrected for the past has it.
  await runSql(exchange, sql`DELETE FROM number_holding WHERE carrier_id = 'moved'`);
  await retain(db);
  expect(await countRows(db, "cdr_record", "moved")).toBe(0);
  expect(await countRows(db, "call_result", "moved")).toBe(1);

  await erase(exchange, SUBSCRIBER, scope);
  expect(
    await runSql(exchange, sql`SELECT count(*)::int AS left FROM call_result WHERE phone_number IS NOT NULL`),
  ).toEqual([{ left: 0 }]);
  await retain(db);
  expect([await countRows(db, "call_result", "swift"), await countRows(db, "call_result", "moved")]).toEqual([1, 1]);
});

test("Storage limitation: what fails with the platform's part keeps no carrier's rows", async () => {
  await using exchange = await startExchange({ partitions: "weekly", retentionIntervalMs: 0 });
  const { db } = exchange.services;
  await ensurePartitions(db, 12);
  await exchange.addCarrier("swift");
  await exchange.assignNumbers("swift", [SUBSCRIBER]);
  const privacy = await exchange.platformClient(PrivacyService);
  for (const part of [RecordPart.CALL, RecordPart.DURATION])
    await privacy.setRetentionPolicy(policyOf("DK", "swift", part, 32));
  await appendCdrs(db, "swift", [oldCdr("P-1", 60)], daysAgo(60));
  await runSql(exchange, sql`ALTER TABLE usage_period RENAME TO usage_period_away`);
  const errors: unknown[] = [];
  const options = { db, intervalMs: 0, rest: 0, onError: (error: unknown) => void errors.push(error) };
  await applyRetention(options, "test", new AbortController().signal);
  expect(errors.length).toBeGreaterThan(0);
  expect(await countRows(db, "cdr_record", "swift")).toBe(0);
});
