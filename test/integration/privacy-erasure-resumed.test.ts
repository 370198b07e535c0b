import { create } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { ErasureState, SubjectRole } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { restateUsage } from "../../src/jobs/restate-usage.ts";
import { encodeRestatement } from "../../src/rpc/usage/message.ts";
import { ownerTransaction, systemTransaction } from "../../src/store/database/database.ts";
import { readErasure } from "../../src/store/privacy/erasures.ts";
import { verifyAll } from "../../src/store/verify/verify.ts";
import { askErasure, erase, searchDatabase, untilReconciled } from "../support/erasure.ts";
import { startExchange } from "../support/exchange.ts";
import { call, ingest, runSql, timestamp } from "../support/feed.ts";

const OWN = "+4532123400";
const DAY_MS = 86_400_000;
const e164 = (value: string) => ({ kind: PartyKind.E164, value });

test("Erasure: one that was stopped in the middle is gone on with by another process, and counts nothing twice", async () => {
  await using exchange = await startExchange({ reconcileIntervalMs: 100 });
  await exchange.addCarrier("alpha", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("alpha", [OWN]);
  const person = "+4587652222";
  const startMs = Date.now() - 5 * 3_600_000;
  const parties = { calling: e164(OWN), called: e164(person) };
  const records = Array.from({ length: 900 }, (_, index) => call(`c-${index}`, { parties }, startMs + index * 10_000));
  await ingest(exchange, "alpha", records);
  await untilReconciled(exchange, "alpha", 900);

  const { erasureId } = await askErasure(exchange, person);
  const countLeft = () =>
    runSql<{ left: bigint }>(exchange, sql`SELECT count(*) AS left FROM cdr_record WHERE called_number = ${person}`);
  await expect.poll(async () => Number((await countLeft())[0]?.left), { interval: 5 }).toBeLessThan(900);
  await exchange.app[Symbol.asyncDispose]();

  const second = await exchange.openSecondApp();
  const { db } = second.services;
  const state = async () => (await systemTransaction(db, (tx) => readErasure(tx, { erasureId })))?.state;
  await expect.poll(state, { interval: 50 }).toBe(ErasureState.COMPLETED);
  expect(await searchDatabase(exchange.databaseUrl, person, "87652222")).toEqual([]);
  const counted = await ownerTransaction(db, async (tx) => {
    const { rows } = await sql<{ records: number }>`
      SELECT (counts->'1'->>'records')::int AS records FROM erasure_carrier WHERE carrier_id = 'alpha'`.execute(tx);
    return rows[0]?.records;
  });
  expect(counted).toBe(900);
  expect(await verifyAll(db, new AbortController().signal)).toEqual([]);
});

test("Erasure: a closed period's figures stay, for no number, and nothing is restated for it", async () => {
  await using exchange = await startExchange({ reconcileIntervalMs: 100 });
  await exchange.addCarrier("alpha", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("alpha", [OWN, "+4532123401"], "cedar");
  const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const noonMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - 3 * DAY_MS + DAY_MS / 2;
  const calls = [OWN, OWN, "+4532123401"].map((own, index) => ({ own, inviteMs: noonMs + index * 600_000 }));
  await ingest(
    exchange,
    "alpha",
    calls.map(({ own, inviteMs }, index) =>
      call(`c-${index}`, { parties: { calling: e164(own), called: e164("+4540000001") } }, inviteMs),
    ),
  );
  const client = await exchange.carrierClient(DurationService, "alpha");
  await client.appendDurations({
    uploadId: "u-1",
    records: calls.map(({ own, inviteMs }, index) =>
      create(CallDurationSchema, {
        recordId: `d-${index}`,
        recordDate: dayOf(inviteMs),
        direction: 1,
        answered: true,
        calling: e164(own),
        called: e164("+4540000001"),
        inviteTime: timestamp(inviteMs),
        answerTime: timestamp(inviteMs + 5_000),
        connectedDurationMs: 60_000n,
      }),
    ),
  });
  await untilReconciled(exchange, "alpha", 3);
  const usage = await exchange.platformClient(UsageService);
  const period = { startDate: dayOf(noonMs - DAY_MS), endDate: dayOf(noonMs + DAY_MS), timeZone: "UTC" };
  await usage.closePeriod({ requestId: "close-1", customerId: "cedar", ...period });
  const byNumber = async () => {
    const { rows } = await usage.queryUsage({ customerId: "cedar", ...period, groupBy: [2] });
    return rows.map(({ key, totals }) => [key?.phoneNumber ?? "", totals?.attemptCount, totals?.connectedDurationMs]);
  };
  expect(await byNumber()).toEqual([
    [OWN, 2n, 120_000n],
    ["+4532123401", 1n, 60_000n],
  ]);

  await erase(exchange, OWN, { startMs: noonMs - DAY_MS, role: SubjectRole.SUBSCRIBER });
  expect(await searchDatabase(exchange.databaseUrl, OWN, "32123400")).toEqual(["number_holding.phone_number"]);
  const errors: unknown[] = [];
  const options = {
    db: exchange.services.db,
    encode: encodeRestatement,
    recheckAgeS: 0,
    onError: (error: unknown) => void errors.push(error),
  };
  await restateUsage(options, "test", undefined, new AbortController().signal);
  expect(errors).toEqual([]);
  expect(await byNumber()).toEqual([
    ["", 2n, 120_000n],
    ["+4532123401", 1n, 60_000n],
  ]);
  expect(await runSql(exchange, sql`SELECT restatement_number FROM usage_restatement`)).toEqual([]);
});
