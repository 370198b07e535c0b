import type { Client } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FeedId } from "../../src/domain/feed-id.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { AuditOutcome } from "../../src/gen/tandem/platform/v1/audit_event_pb.js";
import { HoldReason, HoldState } from "../../src/gen/tandem/platform/v1/hold_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { RecordPart } from "../../src/gen/tandem/type/v1/agreement_pb.js";
import { QualityVerdict } from "../../src/gen/tandem/type/v1/stream_quality_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { ensurePartitions } from "../../src/store/database/partitions.ts";
import { HoldsChanged, raiseFloors, readRetentionState } from "../../src/store/privacy/retention-state.ts";
import { verifyAll } from "../../src/store/verify/verify.ts";
import { runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EARLIEST, HEAD, readAll } from "../support/feed.ts";
import { newRequestId } from "../support/numbers.ts";
import { appendCdrs, appendDurations } from "../support/reconcile.ts";
import { reasonOf } from "../support/refusal.ts";
import {
  countRows,
  DAY_MS,
  dayAgo,
  daysAgo,
  oldCdr,
  oldDuration,
  policyOf,
  retain,
  SUBSCRIBER,
} from "../support/retention.ts";

let exchange: Exchange;
let privacy: Client<typeof PrivacyService>;
let cdrs: Client<typeof CdrService>;
let durations: Client<typeof DurationService>;
const db = () => exchange.services.db;

beforeAll(async () => {
  exchange = await startExchange({ partitions: "weekly", retentionIntervalMs: 0 });
  privacy = await exchange.platformClient(PrivacyService);
  cdrs = await exchange.carrierClient(CdrService, "alpha");
  durations = await exchange.carrierClient(DurationService, "alpha");
  await ensurePartitions(db(), 12);
  await exchange.addCarrier("alpha", { networkIdentifiersAllowed: true });
  await exchange.assignNumbers("alpha", [SUBSCRIBER]);
  await exchange.addCarrier("other");
  for (const days of [60, 50, 40, 10]) {
    await appendCdrs(db(), "alpha", [oldCdr(`P-${days}`, days), oldCdr(`Q-${days}`, days, "trunk-2")], daysAgo(days));
    await appendDurations(
      db(),
      "alpha",
      [oldDuration(`D-${days}`, days), oldDuration(`E-${days}`, days, "trunk-2")],
      daysAgo(days),
    );
  }
  for (const part of [RecordPart.CALL, RecordPart.DURATION])
    await privacy.setRetentionPolicy(policyOf("DK", "alpha", part, 32));
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const BASE = {
  carrierId: "alpha",
  reason: HoldReason.BILLING_DISPUTE,
  caseReference: "case 17",
  owner: "disputes",
  endTime: seconds(Date.now() + 300 * DAY_MS),
};

function seconds(ms: number) {
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: 0 };
}

async function hold(target: object, more: object = {}) {
  const response = await privacy.createHold({ requestId: newRequestId(), hold: { ...BASE, target, ...more } as never });
  if (!response.hold) throw new Error("no hold");
  return response.hold;
}

const period = (days: number, more: object = {}) => ({
  case: "period" as const,
  value: { startDate: dayAgo(days + 1), endDate: dayAgo(days - 2), ...more },
});

const single = (side: number, recordId: string, days: number) => ({
  side,
  record: { recordId, recordDate: dayAgo(days) },
});

const listed = async () => {
  const lists = { startTime: seconds(daysAgo(80)), endTime: seconds(Date.now()) };
  return {
    cdrs: (await cdrs.listCdrs(lists)).records.map(({ recordId }) => recordId),
    durations: (await durations.listDurations(lists)).durations.map(({ recordId }) => recordId),
  };
};

test("Keep while disputed: held records outlive their retention for get and list, with all their parts, and not in the feed; nothing else does", async () => {
  const records = { case: "records", value: { records: [single(1, "P-60", 60), single(2, "D-60", 60)] } };
  const ofRecords = await hold(records);
  const ofPeriod = await hold(period(50, { trunkId: "trunk-2" }), { reason: HoldReason.LEGAL_CLAIM });
  expect([ofRecords.heldRevisionCount, ofPeriod.heldRevisionCount]).toEqual([2n, 2n]);
  await retain(db());

  expect((await readAll(cdrs, { start: EARLIEST, end: HEAD })).ids).toEqual(["P-10", "Q-10"]);
  expect(await listed()).toEqual({
    cdrs: ["P-60", "Q-50", "P-10", "Q-10"],
    durations: ["D-60", "E-50", "D-10", "E-10"],
  });
  const [held] = (await cdrs.getCdr({ name: { case: "recordId", value: "P-60" } })).records;
  expect(held).toMatchObject({ qualityVerdict: QualityVerdict.POOR, sequence: 1n });
  expect([held?.streamQualities.length, held?.networkIdentifiers?.platformMediaAddress]).toEqual([1, "192.0.2.7"]);
  const platform = await exchange.platformClient(PlatformCdrService);
  expect((await platform.getCdr({ name: { case: "recordId", value: "Q-50" } })).records).toHaveLength(1);
  expect(await reasonOf(cdrs.getCdr({ name: { case: "recordId", value: "P-50" } }))).toBe("RECORD_NOT_FOUND");
  expect(await countRows(db(), "cdr_record", "alpha")).toBe(2);
  expect(await verifyAll(db(), new AbortController().signal)).toEqual([]);
  const { holds } = await privacy.listHolds({ carrierId: "alpha", state: HoldState.ACTIVE });
  expect(holds.map(({ holdId, heldRevisionCount }) => [holdId, heldRevisionCount])).toEqual([
    [ofPeriod.holdId, 2n],
    [ofRecords.holdId, 2n],
  ]);
});

test("Keep while disputed: a page of a list goes on through held records and stored ones", async () => {
  const lists = { startTime: seconds(daysAgo(80)), endTime: seconds(Date.now()), pageSize: 1 };
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await cdrs.listCdrs({ ...lists, pageToken });
    seen.push(...page.records.map(({ recordId }) => recordId));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(seen).toEqual(["P-60", "Q-50", "P-10", "Q-10"]);
});

test("Keep while disputed: a held call keeps its quality beyond that part's own retention", async () => {
  const kept = await hold({ case: "records", value: { records: [single(1, "P-10", 10)] } });
  await privacy.setRetentionPolicy(policyOf("DK", "alpha", RecordPart.QUALITY, 5));
  await retain(db());
  const streamsOf = async (recordId: string) =>
    (await cdrs.getCdr({ name: { case: "recordId", value: recordId } })).records[0]?.streamQualities.length;
  expect([await streamsOf("P-10"), await streamsOf("Q-10")]).toEqual([1, 0]);
  await privacy.releaseHold({ requestId: newRequestId(), holdId: kept.holdId, releaseNote: "settled" });
  await retain(db());
  expect(await streamsOf("P-10")).toBe(0);
});

test("Keep while disputed: a period covers records that arrive while the hold lasts", async () => {
  await hold(period(8));
  await appendCdrs(db(), "alpha", [oldCdr("P-late", 8)]);
  await retain(db(), { now: Date.now() + 60 * DAY_MS });
  expect((await listed()).cdrs).toEqual(["P-60", "Q-50", "P-late"]);
});

test("Keep while disputed: after a hold's end, by release or by time, the next run takes what is past its retention", async () => {
  const { holds } = await privacy.listHolds({});
  const ofRecords = holds.find(
    ({ heldRevisionCount, target }) => target.case === "records" && heldRevisionCount === 2n,
  );
  const requestId = newRequestId();
  const release = { requestId, holdId: ofRecords?.holdId ?? "", releaseNote: "settled" };
  const released = await privacy.releaseHold(release);
  expect(released.hold).toMatchObject({ state: HoldState.RELEASED, heldRevisionCount: 0n, releaseNote: "settled" });
  expect(await privacy.releaseHold(release)).toEqual(released);
  const again = await privacy.releaseHold({ ...release, requestId: newRequestId(), releaseNote: "twice" });
  expect(again).toEqual(released);
  expect((await listed()).cdrs).toContain("P-60");
  await retain(db());
  expect((await listed()).cdrs).toEqual(["Q-50", "P-late"]);

  await retain(db(), { now: Date.now() + 301 * DAY_MS });
  expect(await listed()).toEqual({ cdrs: [], durations: [] });
  expect(await countRows(db(), "held_record", "alpha")).toBe(0);
  await systemTransaction(db(), (tx) =>
    sql`UPDATE hold SET end_time = clock_timestamp() WHERE release_time IS NULL`.execute(tx),
  );
  const states = (await privacy.listHolds({})).holds.map(({ state, heldRevisionCount }) => [state, heldRevisionCount]);
  expect(states).toContainEqual([HoldState.EXPIRED, 0n]);
  expect(states.some(([state]) => state === HoldState.ACTIVE)).toBe(false);
});

test("Keep while disputed: a hold on a record that is not there holds nothing; one that is malformed names its fields", async () => {
  await appendCdrs(db(), "alpha", [oldCdr("P-new", 1)]);
  const records = [single(1, "P-new", 1), single(1, "P-60", 60)];
  expect(await reasonOf(hold({ case: "records", value: { records } }))).toBe("RECORD_NOT_FOUND");
  expect((await privacy.listHolds({ state: HoldState.ACTIVE })).holds).toEqual([]);
  expect(await reasonOf(hold(period(5), { carrierId: "nobody" }))).toBe("CARRIER_NOT_FOUND");
  expect(await reasonOf(hold(period(5), { endTime: seconds(Date.now() - 1_000) }))).toBe("INVALID_ARGUMENT");
  expect(await reasonOf(hold({ case: "records", value: { records: [] } }))).toBe("INVALID_ARGUMENT");
  const unknown = { requestId: newRequestId(), holdId: "none", releaseNote: "x" };
  expect(await reasonOf(privacy.releaseHold(unknown))).toBe("HOLD_NOT_FOUND");
  const request = { requestId: newRequestId(), hold: { ...BASE, target: period(5) } };
  expect(await privacy.createHold(request as never)).toEqual(await privacy.createHold(request as never));
  const { events } = await privacy.listAuditEvents({ carrierId: "alpha", pageSize: 1_000 });
  const done = events.filter(({ method, outcome }) => method.endsWith("CreateHold") && outcome === AuditOutcome.DONE);
  expect(done).toHaveLength(5);
});

test("Keep while disputed: no floor is raised past a hold that was made since held records were copied", async () => {
  const { holdGeneration, ...state } = await systemTransaction(db(), (tx) => readRetentionState(tx, "alpha"));
  await hold({ case: "records", value: { records: [single(1, "P-new", 1)] } });
  const floors = { [FeedId.NUMBERS]: 1n, [FeedId.CDRS]: 1_000n, [FeedId.DISCREPANCIES]: 1n, [FeedId.DURATIONS]: 1n };
  const cutoffs = { ...state, numberHistory: 0n, logs: 0n };
  const raise = (generation: bigint) =>
    systemTransaction(db(), (tx) => raiseFloors(tx, "alpha", floors, cutoffs, generation));
  await expect(raise(holdGeneration)).rejects.toThrow(HoldsChanged);
  expect((await cdrs.getCdr({ name: { case: "recordId", value: "P-new" } })).records).toHaveLength(1);
});

test("Keep while disputed: holds and policies are made and shown by commands", async () => {
  const tandem = async (...args: string[]) => {
    const settings = { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir };
    const { code, stdout, stderr } = await runCli(["privacy", ...args], settings);
    if (code !== 0) throw new Error(stderr);
    return stdout;
  };
  const until = new Date(Date.now() + 30 * DAY_MS).toISOString().slice(0, 10);
  const why = ["--reason", "billing-dispute", "--case", "2026-17", "--owner", "disputes", "--until", until];
  const made = await tandem("hold", "create", "--carrier", "alpha", "--platform-record", `${dayAgo(1)}/P-new`, ...why);
  expect(made).toMatch(/state +active\n.*keeps +1 record\n.*revisions held +1\n/);
  const holdId = /hold +(\S+)/.exec(made)?.[1] ?? "";
  expect(await tandem("hold", "release", holdId, "--note", "settled")).toMatch(/state +released/);
  expect(await tandem("hold", "list", "--carrier", "alpha", "--csv")).toContain(`${holdId},alpha,released,1,`);
  const policy = ["--country", "DK", "--carrier", "alpha", "--part", "quality", "--purpose", "troubleshooting"];
  const set = ["--basis", "legitimate-interests", "--days", "60", "--source", "decision 12"];
  expect(await tandem("retention", "set", ...policy, ...set)).toMatch(/DK +alpha +quality +troubleshooting +60 +400/);
  const { policies } = JSON.parse(await tandem("retention", "list", "--carrier", "alpha", "--json"));
  expect(policies).toContainEqual(expect.objectContaining({ recordPart: "RECORD_PART_QUALITY", retentionDays: 60 }));
});
