import { rm } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import {
  ErasureExceptionReason,
  ErasureState,
  PrivacyService,
  SubjectRole,
} from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { verifyAll } from "../../src/store/verify/verify.ts";
import { backUpCarrier, restoreCarrier } from "../support/backup.ts";
import { askErasure, erase, searchDatabase, untilReconciled } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, runSql, timestamp } from "../support/feed.ts";
import { reasonOf } from "../support/refusal.ts";

const OWN = "+4532123400";
const HOUR_MS = 3_600_000;
const START_MS = Date.now() - 4 * HOUR_MS;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ reconcileIntervalMs: 100, heartbeatIntervalMs: 100 });
  await exchange.addCarrier("alpha", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.addCarrier("bell", { graceMs: 0n, timeZone: "UTC", legalCountry: "US" });
  await exchange.addCarrier("slow", { timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("alpha", [OWN], "cedar");
  await exchange.assignNumbers("bell", ["+12025550100"]);
  await exchange.assignNumbers("slow", ["+4532123401"]);
});
afterAll(() => exchange[Symbol.asyncDispose]());

const e164 = (value: string) => ({ kind: PartyKind.E164, value });

function platformCall(id: string, calling: string, called: string, minute: number) {
  return call(id, { parties: { calling: e164(calling), called: e164(called) } }, START_MS + minute * 60_000);
}

function carrierCall(id: string, calling: string, called: string, minute: number, connectedMs = 60_000): CallDuration {
  const inviteMs = START_MS + minute * 60_000;
  return create(CallDurationSchema, {
    recordId: id,
    recordDate: new Date(inviteMs).toISOString().slice(0, 10),
    direction: 1,
    answered: true,
    calling: e164(calling),
    called: e164(called),
    inviteTime: timestamp(inviteMs),
    answerTime: timestamp(inviteMs + 5_000),
    connectedDurationMs: BigInt(connectedMs),
  });
}

async function upload(uploadId: string, records: CallDuration[]) {
  const client = await exchange.carrierClient(DurationService, "alpha");
  return client.appendDurations({ uploadId, records });
}

interface ResultText {
  text: string;
}

function readResults() {
  return runSql<ResultText>(
    exchange,
    sql`SELECT concat_ws(' ', side, record_id, status, matched_by, carrier_record_ids::text, platform_ms, carrier_ms, discrepancy_revision) AS text
        FROM call_result WHERE carrier_id = 'alpha' ORDER BY start_time, record_id`,
  );
}

async function readUsage() {
  const client = await exchange.platformClient(UsageService);
  const day = (offset: number) => new Date(START_MS + offset * 24 * HOUR_MS).toISOString().slice(0, 10);
  const period = { startDate: day(-1), endDate: day(3), timeZone: "UTC" };
  const { rows } = await client.queryUsage({ customerId: "cedar", ...period, groupBy: [1] });
  return rows.map(({ totals }) => [totals?.attemptCount, totals?.answeredCount, totals?.connectedDurationMs]);
}

test("Erasure: pairs, statuses and usage of a subscriber's calls stay, whatever is judged anew or comes beside them", async () => {
  const others = ["+4540000001", "+4540000002", "+4540000003"] as const;
  await ingest(
    exchange,
    "alpha",
    others.map((other, index) => platformCall(`p-${index}`, OWN, other, index)),
  );
  await upload(
    "u-1",
    others.map((other, index) => carrierCall(`d-${index}`, OWN, other, index, 60_000 + index * 10_000)),
  );
  await untilReconciled(exchange, "alpha", 3);
  const [results, usage] = [await readResults(), await readUsage()];

  await erase(exchange, OWN, { role: SubjectRole.SUBSCRIBER });
  // The other parties too: nothing of the calls' numbers is left to compare.
  for (const other of others) await erase(exchange, other, { role: SubjectRole.OTHER_PARTY });
  expect(await readResults()).toEqual(results);
  expect(await readUsage()).toEqual(usage);

  await runSql(exchange, sql`UPDATE reconcile_position SET rule_version = 0 WHERE carrier_id = 'alpha'`);
  await ingest(exchange, "alpha", [platformCall("p-9", OWN, "+4540000009", 1)]);
  await untilReconciled(exchange, "alpha", 4);
  expect((await readResults()).filter(({ text }) => !text.includes("p-9"))).toEqual(results);
  expect(await verifyAll(exchange.services.db, new AbortController().signal)).toEqual([]);
});

test("Erasure: what a law or a hold keeps, what is in service and what is pending stays, each with its date; the rest goes", async () => {
  const person = "+4541000001";
  await ingest(exchange, "bell", [platformCall("b-1", "+12025550100", person, 0)]);
  await ingest(exchange, "slow", [platformCall("s-1", "+4532123401", person, 0)]);
  await ingest(exchange, "alpha", [platformCall("h-1", OWN, person, 40), platformCall("h-2", OWN, person, 50)]);
  await untilReconciled(exchange, "alpha", 6);
  await untilReconciled(exchange, "bell", 1);
  const privacy = await exchange.platformClient(PrivacyService);
  const endTime = timestampFromMs(Date.now() + 72 * HOUR_MS);
  const recordDate = new Date(START_MS + 40 * 60_000).toISOString().slice(0, 10);
  const { hold } = await privacy.createHold({
    requestId: "hold-1",
    hold: {
      carrierId: "alpha",
      target: {
        case: "records",
        value: { records: [{ side: PLATFORM_SIDE, record: { recordId: "h-1", recordDate } }] },
      },
      reason: 1,
      caseReference: "dispute-1",
      owner: "billing desk",
      endTime,
    },
  });
  const forecast = await askErasure(exchange, person, { role: SubjectRole.OTHER_PARTY, validateOnly: true });
  const erasure = await erase(exchange, person, { role: SubjectRole.OTHER_PARTY });
  expect(erasure.state).toBe(ErasureState.COMPLETED_WITH_EXCEPTIONS);
  const told = erasure.receipt?.exceptions.map(({ reason, carrierId, recordCount }) => [
    reason,
    carrierId,
    recordCount,
  ]);
  expect(told).toEqual([
    [ErasureExceptionReason.HELD, "alpha", 1n],
    [ErasureExceptionReason.LEGAL_MINIMUM, "bell", 1n],
    [ErasureExceptionReason.PENDING, "slow", 1n],
  ]);
  const [held, legal, pending] = erasure.receipt?.exceptions ?? [];
  expect([held?.source, held?.dueTime]).toEqual([hold?.holdId, endTime]);
  expect(legal?.source).toContain("47 CFR 42.6");
  expect(legal?.dueTime && timestampDate(legal.dueTime).getTime()).toBe(START_MS + 550 * 24 * HOUR_MS);
  expect(pending?.dueTime && timestampDate(pending.dueTime).getTime()).toBeGreaterThan(Date.now());
  expect(forecast.erasureId).toBe("");
  expect(forecast.receipt?.exceptions).toHaveLength(3);
  expect(forecast.receipt?.counts.map(({ carrierId, recordCount }) => [carrierId, recordCount])).toEqual([
    ["alpha", 1n],
  ]);
});

test("Erasure: another holder's calls outside the period stay, and a request is answered alike when it is repeated", async () => {
  const person = "+4542000001";
  await ingest(exchange, "alpha", [platformCall("x-1", OWN, person, 60), platformCall("x-2", OWN, person, 90)]);
  await untilReconciled(exchange, "alpha", 8);
  const period = { startMs: START_MS, endMs: START_MS + 75 * 60_000 };
  const first = await erase(exchange, person, { ...period, requestId: "twice" });
  const again = await askErasure(exchange, person, { ...period, requestId: "twice" });
  expect(again.erasureId).toBe(first.erasureId);
  expect(await reasonOf(askErasure(exchange, "+4542000002", { ...period, requestId: "twice" }))).toBe(
    "REQUEST_ID_REUSED",
  );
  const left = await runSql<{ record_id: string }>(
    exchange,
    sql`SELECT record_id FROM cdr_record WHERE called_number = ${person}`,
  );
  expect(left).toEqual([{ record_id: "x-2" }]);
  expect(await reasonOf(askErasure(exchange, "no number", { endMs: Date.now() + HOUR_MS }))).toBe("INVALID_ARGUMENT");
});

test("Erasure: a restore of an older backup does not bring the number back, and without the key nothing is served", async () => {
  const person = "+4543000001";
  await ingest(exchange, "alpha", [platformCall("r-1", OWN, person, 100)]);
  await untilReconciled(exchange, "alpha", 9);
  await backUpCarrier(exchange.databaseUrl, "alpha");
  const { erasureId } = await erase(exchange, person);
  await restoreCarrier(exchange.databaseUrl, "alpha");
  await runSql(exchange, sql`DELETE FROM erasure_carrier WHERE erasure_id = ${erasureId}`);
  await runSql(exchange, sql`DELETE FROM erasure WHERE erasure_id = ${erasureId}`);
  expect(await searchDatabase(exchange.databaseUrl, person, "43000001")).not.toEqual([]);

  await exchange.openSecondApp();
  const found = await searchDatabase(exchange.databaseUrl, person, "43000001");
  expect(found.filter((place) => !place.startsWith("backup_"))).toEqual([]);

  await rm(join(exchange.dataDir, "erasures.key"));
  await expect(exchange.openSecondApp()).rejects.toThrow(/key of the erasure journal/);
});
