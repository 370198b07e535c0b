import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import {
  type Erasure,
  ErasureExceptionReason,
  ErasureState,
  PrivacyService,
  SubjectRole,
} from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { RecordPart } from "../../src/gen/tandem/type/v1/agreement_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { ensurePartitions } from "../../src/store/database/partitions.ts";
import { erase, searchDatabase, untilReconciled } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, runSql, timestamp } from "../support/feed.ts";
import { newRequestId } from "../support/numbers.ts";
import { appendCdrs } from "../support/reconcile.ts";
import { countRows, DAY_MS, dayAgo, daysAgo, oldCdr, policyOf, retain, SUBSCRIBER } from "../support/retention.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ reconcileIntervalMs: 100, retentionIntervalMs: 0 });
  await ensurePartitions(exchange.services.db, 12);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const e164 = (value: string) => ({ kind: PartyKind.E164, value });
const reasonsOf = ({ receipt }: Erasure) => receipt?.exceptions.map(({ reason, recordCount }) => [reason, recordCount]);

async function getErasure(erasureId: string): Promise<Erasure> {
  const privacy = await exchange.platformClient(PrivacyService);
  const { erasure } = await privacy.getErasure({ erasureId });
  if (!erasure) throw new Error("no erasure was returned");
  return erasure;
}

/** When the job looks at what was held back at a carrier, milliseconds since 1970. */
async function lookMs(erasureId: string): Promise<number> {
  const [row] = await runSql<{ look_ms: number }>(
    exchange,
    sql`SELECT extract(epoch FROM look_time)::float8 * 1000 AS look_ms FROM erasure_carrier WHERE erasure_id = ${erasureId} AND look_time IS NOT NULL`,
  );
  return Math.round(row?.look_ms ?? Number.NaN);
}

/** Lets the time come at which the job looks again, and waits for what it then says. */
async function untilLookedAt({ erasureId, receipt }: Erasure): Promise<Erasure> {
  await runSql(
    exchange,
    sql`UPDATE erasure_carrier SET look_time = clock_timestamp() WHERE erasure_id = ${erasureId} AND look_time IS NOT NULL`,
  );
  return untilRenewed({ erasureId, receipt });
}

async function untilRenewed({ erasureId, receipt }: Pick<Erasure, "erasureId" | "receipt">): Promise<Erasure> {
  const givenMs = receipt?.receiptTime ? timestampDate(receipt.receiptTime).getTime() : 0;
  // A record that came late renews the receipt, too: what is waited for is the look.
  const isDue = () =>
    runSql(
      exchange,
      sql`SELECT 1 FROM erasure_carrier WHERE erasure_id = ${erasureId} AND (NOT done OR look_time <= clock_timestamp())`,
    );
  const renewed = async () => {
    if ((await isDue()).length > 0) return false;
    const time = (await getErasure(erasureId)).receipt?.receiptTime;
    return time !== undefined && timestampDate(time).getTime() > givenMs;
  };
  await expect.poll(renewed, { interval: 50 }).toBe(true);
  return getErasure(erasureId);
}

async function holdRecord(carrierId: string, recordId: string, recordDate: string) {
  const privacy = await exchange.platformClient(PrivacyService);
  const { hold } = await privacy.createHold({
    requestId: newRequestId(),
    hold: {
      carrierId,
      target: { case: "records", value: { records: [{ side: PLATFORM_SIDE, record: { recordId, recordDate } }] } },
      reason: 1,
      caseReference: "dispute-1",
      owner: "billing desk",
      endTime: timestampFromMs(Date.now() + 3 * DAY_MS),
    },
  });
  return hold?.holdId ?? "";
}

test("Erasure: what holds kept goes once they are released or expired, copies that outlived their retention too, and the receipt is renewed", async () => {
  const { db } = exchange.services;
  const person = "+12025550123";
  await exchange.addCarrier("held", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("held", [SUBSCRIBER]);
  await appendCdrs(db, "held", [oldCdr("P-60", 60), oldCdr("Q-60", 60)], daysAgo(60));
  await appendCdrs(db, "held", [oldCdr("P-10", 10)], daysAgo(10));
  const privacy = await exchange.platformClient(PrivacyService);
  await privacy.setRetentionPolicy(policyOf("DK", "held", RecordPart.CALL, 32));
  const releasedId = await holdRecord("held", "P-60", dayAgo(60));
  await holdRecord("held", "Q-60", dayAgo(60));
  const stored = await holdRecord("held", "P-10", dayAgo(10));
  await retain(db);
  expect([await countRows(db, "held_record", "held"), await countRows(db, "cdr_record", "held")]).toEqual([2, 1]);

  const first = await erase(exchange, person, { startMs: daysAgo(70), role: SubjectRole.OTHER_PARTY });
  expect(reasonsOf(first)).toEqual([
    [ErasureExceptionReason.HELD, 1n],
    [ErasureExceptionReason.HELD, 1n],
    [ErasureExceptionReason.HELD, 1n],
  ]);
  // A hold may be ended at any time.
  expect(await lookMs(first.erasureId)).toBeLessThan(Date.now() + 301_000);

  for (const holdId of [releasedId, stored])
    await privacy.releaseHold({ requestId: newRequestId(), holdId, releaseNote: "settled" });
  const second = await untilLookedAt(first);
  expect([second.state, reasonsOf(second)]).toEqual([
    ErasureState.COMPLETED_WITH_EXCEPTIONS,
    [[ErasureExceptionReason.HELD, 1n]],
  ]);
  await runSql(exchange, sql`UPDATE hold SET end_time = clock_timestamp() WHERE release_time IS NULL`);
  const third = await untilLookedAt(second);
  expect([third.state, reasonsOf(third), third.completeTime]).toEqual([ErasureState.COMPLETED, [], first.completeTime]);
  expect(await searchDatabase(exchange.databaseUrl, person, "2025550123")).toEqual([]);
  expect(await countRows(db, "held_record", "held")).toBe(2);
  expect(await lookMs(third.erasureId)).toBeNaN();
  const { events } = await privacy.listAuditEvents({ pageSize: 1_000 });
  const ends = events.filter(
    ({ resource, changedFields }) => resource === `erasure/${first.erasureId}` && changedFields.length > 0,
  );
  expect(ends.map(({ detailsJson }) => detailsJson)).toEqual([
    '{"exceptions":3,"state":"COMPLETED_WITH_EXCEPTIONS"}',
    '{"exceptions":0,"state":"COMPLETED"}',
  ]);
});

test("Erasure: a call that was pending is paired with a record that comes later, and goes once it is judged", async () => {
  const [own, person] = ["+4532123401", "+4541000011"];
  await exchange.addCarrier("slow", { timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("slow", [own]);
  const startMs = Date.now() - 4 * 3_600_000;
  await ingest(exchange, "slow", [call("s-1", { parties: { calling: e164(own), called: e164(person) } }, startMs)]);
  const statusOf = async () =>
    (await runSql<{ status: number }>(exchange, sql`SELECT status FROM call_result WHERE carrier_id = 'slow'`))[0]
      ?.status;
  await expect.poll(statusOf).toBe(DiscrepancyStatus.PENDING);
  const pending = await erase(exchange, person);
  expect(reasonsOf(pending)).toEqual([[ErasureExceptionReason.PENDING, 1n]]);

  // The carrier's record comes late, and is erased as it arrives.
  const record = {
    recordId: "d-1",
    recordDate: new Date(startMs).toISOString().slice(0, 10),
    direction: 1,
    answered: true,
    calling: e164(own),
    called: e164(person),
    inviteTime: timestamp(startMs),
    answerTime: timestamp(startMs + 5_000),
    connectedDurationMs: 60_000n,
  };
  const durations = await exchange.carrierClient(DurationService, "slow");
  await durations.appendDurations({ uploadId: "u-1", records: [create(CallDurationSchema, record as never)] });
  await untilReconciled(exchange, "slow", 1);
  expect(await statusOf()).toBe(DiscrepancyStatus.MATCHED_EXACT);
  const judged = await untilLookedAt(pending);
  expect([judged.state, reasonsOf(judged)]).toEqual([ErasureState.COMPLETED, []]);
  expect(await searchDatabase(exchange.databaseUrl, person, "41000011")).toEqual([]);
});

test("Erasure: what a law kept goes when its minimum is over", async () => {
  const [own, person] = ["+12025550100", "+4541000012"];
  await exchange.addCarrier("bell", { graceMs: 0n, timeZone: "UTC", legalCountry: "US" });
  await exchange.assignNumbers("bell", [own]);
  const startMs = Math.floor(Date.now() / 1_000) * 1_000 - 4 * 3_600_000;
  await ingest(exchange, "bell", [call("b-1", { parties: { calling: e164(own), called: e164(person) } }, startMs)]);
  const statusOf = () => runSql(exchange, sql`SELECT status FROM call_result WHERE carrier_id = 'bell'`);
  await expect.poll(async () => (await statusOf()).length).toBe(1);
  const kept = await erase(exchange, person, { startMs: daysAgo(600) });
  expect(reasonsOf(kept)).toEqual([[ErasureExceptionReason.LEGAL_MINIMUM, 1n]]);
  const due = kept.receipt?.exceptions[0]?.dueTime;
  expect(due && timestampDate(due).getTime()).toBe(startMs + 550 * DAY_MS);
  expect(await lookMs(kept.erasureId)).toBe(startMs + 550 * DAY_MS);

  // Eighteen months go by.
  const past = sql`interval '550 days'`;
  await runSql(exchange, sql`UPDATE cdr_record SET invite_time = invite_time - ${past} WHERE carrier_id = 'bell'`);
  await runSql(exchange, sql`UPDATE call_result SET start_time = start_time - ${past} WHERE carrier_id = 'bell'`);
  await runSql(
    exchange,
    sql`UPDATE erasure_carrier SET look_time = look_time - ${past} WHERE erasure_id = ${kept.erasureId} AND look_time IS NOT NULL`,
  );
  const over = await untilRenewed(kept);
  expect([over.state, reasonsOf(over)]).toEqual([ErasureState.COMPLETED, []]);
  expect(await searchDatabase(exchange.databaseUrl, person, "41000012")).toEqual([]);
});
