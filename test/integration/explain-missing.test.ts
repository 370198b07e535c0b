import { create } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { CARRIER_SIDE } from "../../src/domain/record-kind.ts";
import {
  EvidenceStage,
  ReconciliationService,
} from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, NUMBER, runSql, timestamp } from "../support/feed.ts";
import { appendCdrs, appendDurations, readAllResults, reconcileFully } from "../support/reconcile.ts";

const HOUR_MS = 3_600_000;
/** 10:00 UTC of the day five days ago. Records that arrived on the next are past their grace. */
const TEN = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 5 * 86_400_000 + 10 * HOUR_MS;
const ARRIVAL = TEN + 24 * HOUR_MS;
const OTHER = "+12025550123";

let exchange: Exchange;
let carrierId: string;
let carrierCount = 0;

beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());
beforeEach(async () => {
  carrierId = `missing-${++carrierCount}`;
  await exchange.addCarrier(carrierId, { timeZone: "UTC" });
  await exchange.assignNumbers(carrierId, [NUMBER]);
});

const db = () => exchange.services.db;

/** A call of the platform's that was answered at an instant, and lasted so long. */
function platformCall(recordId: string, answerMs: number, connectedMs: number) {
  const times = { inviteTime: timestamp(answerMs - 5_000), answerTime: timestamp(answerMs) };
  const ended = { times: { ...times, endTime: timestamp(answerMs + connectedMs) } };
  return call(recordId, ended, answerMs - 5_000);
}

function duration(recordId: string, answerMs: number, connectedMs: number, more: object = {}): CallDuration {
  return create(CallDurationSchema, {
    recordId,
    recordDate: new Date(answerMs).toISOString().slice(0, 10),
    direction: 1,
    calling: { kind: 1, value: NUMBER },
    called: { kind: 1, value: OTHER },
    answered: true,
    inviteTime: timestamp(answerMs - 5_000),
    answerTime: timestamp(answerMs),
    endTime: timestamp(answerMs + connectedMs),
    connectedDurationMs: BigInt(connectedMs),
    ...more,
  });
}

async function explain(side: "platformRecordId" | "carrierRecordId", value: string) {
  const client = await exchange.platformClient(ReconciliationService);
  const { explanations } = await client.explainCall({ carrierId, target: { case: side, value } });
  if (explanations[0] === undefined) throw new Error("the call is there");
  return explanations[0];
}

const near = ({ nearRecords }: Awaited<ReturnType<typeof explain>>) =>
  nearRecords.map(({ record, startDeltaMs, connectedDurationMs }) => [
    record?.recordId,
    startDeltaMs,
    connectedDurationMs,
  ]);

test("a missing call names the unpaired records that nearly fit, with their lengths, the best first", async () => {
  await appendCdrs(db(), carrierId, [platformCall("p", TEN, 300_000)], ARRIVAL);
  await appendDurations(
    db(),
    carrierId,
    [
      duration("unlike", TEN + 2 * HOUR_MS, 700_000),
      duration("four-hours", TEN + 4 * HOUR_MS, 300_000),
      duration("an-hour", TEN + HOUR_MS, 300_400),
      duration("no-zone", TEN + HOUR_MS + 400_000, 300_000),
      duration("part", TEN + 120_000, 100_000),
    ],
    ARRIVAL,
  );
  await reconcileFully(db(), carrierId);
  const explained = await explain("platformRecordId", "p");
  expect(explained.result?.status).toBe(DiscrepancyStatus.MISSING_AT_CARRIER);
  expect(near(explained)).toEqual([
    ["an-hour", BigInt(HOUR_MS), 300_400n],
    ["four-hours", BigInt(4 * HOUR_MS), 300_000n],
    ["part", 120_000n, 100_000n],
    ["no-zone", BigInt(HOUR_MS + 400_000), 300_000n],
  ]);
  expect(explained.nearRecords.map(({ explanation }) => explanation)).toEqual([
    "The same two parties, 1 h later, and almost as long (5 min 0.4 s, 400 ms apart). A clock that is off by 1 h would explain this, but too few calls of that hour show that error.",
    "The same two parties, 4 h later, and exactly as long (5 min). A clock that is off by 4 h would explain this, but too few calls of that hour show that error.",
    "The same two parties. part took place while p lasted, and is shorter (1 min 40 s of 5 min). It may be one part of that call. The other parts are missing.",
    "The same two parties, 1 h 6 min 40 s later, and exactly as long (5 min).",
  ]);
  // What was shown of other records is in the log of disclosures.
  const told = await runSql(
    exchange,
    sql<{ record_ids: string[] }>`
      SELECT record_ids FROM disclosure WHERE carrier_id = ${carrierId} AND side = ${CARRIER_SIDE}`,
  );
  const named = told.flatMap(({ record_ids: ids }) => ids);
  expect(named).toEqual(expect.arrayContaining(["an-hour", "four-hours", "part", "no-zone"]));
  // The other side is told the same of its record.
  expect(near(await explain("carrierRecordId", "four-hours"))).toEqual([["p", BigInt(4 * HOUR_MS), 300_000n]]);
});

test("of many that fit, five are named", async () => {
  await appendCdrs(db(), carrierId, [platformCall("p", TEN, 300_000)], ARRIVAL);
  const hours = [1, 2, 3, 4, 5, 6, 7];
  await appendDurations(
    db(),
    carrierId,
    hours.map((hour) => duration(`h${hour}`, TEN + hour * HOUR_MS, 300_000)),
    ARRIVAL,
  );
  await reconcileFully(db(), carrierId);
  const found = near(await explain("platformRecordId", "p"));
  expect(found.map(([recordId]) => recordId)).toEqual(["h1", "h2", "h3", "h4", "h5"]);
});

test("a part that is left over names the call that lacks it", async () => {
  await appendCdrs(db(), carrierId, [platformCall("p", TEN, 2_400_000)], ARRIVAL);
  await appendDurations(
    db(),
    carrierId,
    [
      duration("first", TEN, 1_200_000, { correlation: { interconnectDialog: { callId: "one@x" } } }),
      duration("second", TEN + 1_230_000, 1_200_000, { correlation: { interconnectDialog: { callId: "two@x" } } }),
    ],
    ARRIVAL,
  );
  await reconcileFully(db(), carrierId);
  const explained = await explain("carrierRecordId", "second");
  expect(explained.result?.status).toBe(DiscrepancyStatus.MISSING_AT_PLATFORM);
  expect(explained.nearRecords[0]).toMatchObject({
    record: { recordId: "p" },
    connectedDurationMs: 2_400_000n,
    explanation:
      "The carrier's records of p are 20 min too short. That call began 20 min 30 s earlier. This record is as long as what is missing, so it may be a further part of that call.",
  });
});

test("what was not measured is not told of: neither a clock nor a rule", async () => {
  await appendCdrs(db(), carrierId, [platformCall("p", TEN, 61_000)]);
  const bill = { connectedDurationMs: undefined, endTime: undefined, billedDurationS: 90n };
  await appendDurations(db(), carrierId, [duration("d", TEN, 61_000, bill)]);
  await reconcileFully(db(), carrierId);
  const { steps } = await explain("platformRecordId", "p");
  const told = (stage: EvidenceStage) => steps.find((step) => step.stage === stage)?.explanation;
  expect(told(EvidenceStage.CLOCK_OFFSET)).toBe(
    "There were too few calls without a trunk around this hour to check the carrier's clock. Tandem used the carrier's times as they are.",
  );
  expect(told(EvidenceStage.DURATION)).toMatch(
    /^The carrier reports billed seconds only\. The carrier has declared no billing rule, and too few bills show one\. By whole seconds/,
  );
});

test("the result shown is the one in force, also where time alone has changed it since", async () => {
  const now = Date.now();
  const answerMs = now - 2 * HOUR_MS;
  await appendCdrs(db(), carrierId, [platformCall("p", answerMs, 60_000)]);
  await reconcileFully(db(), carrierId);
  expect((await explain("platformRecordId", "p")).result?.status).toBe(DiscrepancyStatus.PENDING);
  // It comes, and is not reconciled yet.
  await appendDurations(db(), carrierId, [duration("d", answerMs, 60_000)]);
  const before = await explain("platformRecordId", "p");
  expect(before.result?.status).toBe(DiscrepancyStatus.PENDING);
  expect(before.result?.carrierRecords).toEqual([]);
  expect(before.steps[0]?.explanation).toMatch(
    /^The result in force rests on .*\. It is waiting to be judged again\. If Tandem judged the call now, the result would be matched-exact/,
  );
  await reconcileFully(db(), carrierId);
  const after = await explain("platformRecordId", "p");
  expect(after.result?.status).toBe(DiscrepancyStatus.MATCHED_EXACT);
  expect(after.steps[0]?.explanation).toMatch(/^Tandem compared/);
});

test("every part of a split call, whichever is asked for, is explained as it is stored", async () => {
  const dialog = { correlation: { interconnectDialog: { callId: "split@x", fromTag: "a", toTag: "b" } } };
  const whole = platformCall("p", TEN, 4 * HOUR_MS);
  Object.assign(whole, { correlation: create(CallDurationSchema, dialog).correlation });
  await appendCdrs(db(), carrierId, [whole]);
  const parts = [0, 1, 2, 3].map((part) => duration(`part-${part}`, TEN + part * HOUR_MS, HOUR_MS, dialog));
  await appendDurations(db(), carrierId, parts);
  await reconcileFully(db(), carrierId);
  const stored = (await readAllResults(db(), carrierId)).filter(({ isMerged }) => !isMerged);
  for (const { recordId } of parts) {
    const holder = stored.find((row) => row.carrierRecords.some((record) => record.recordId === recordId));
    const { result } = await explain("carrierRecordId", recordId);
    expect([recordId, result?.status]).toEqual([recordId, holder?.status]);
    expect(result?.carrierRecords.map((record) => record.recordId)).toEqual(
      holder?.carrierRecords.map((record) => record.recordId),
    );
  }
});
