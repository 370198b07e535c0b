import type { Client, ConnectError } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { AuditOutcome } from "../../src/gen/tandem/platform/v1/audit_event_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { ProcessingPurpose } from "../../src/gen/tandem/platform/v1/retention_policy_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { RecordPart } from "../../src/gen/tandem/type/v1/agreement_pb.js";
import { QualityVerdict } from "../../src/gen/tandem/type/v1/stream_quality_pb.js";
import { RecordIssue, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { ownerTransaction } from "../../src/store/database/database.ts";
import { ensurePartitions } from "../../src/store/database/partitions.ts";
import { verifyAll } from "../../src/store/verify/verify.ts";
import { setReconciled } from "../support/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EARLIEST, HEAD, readAll } from "../support/feed.ts";
import { newRequestId } from "../support/numbers.ts";
import { appendCdrs, appendDurations, reconcileFully } from "../support/reconcile.ts";
import { reasonOf, refusalOf } from "../support/refusal.ts";
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
let swift: Client<typeof CdrService>;
let slow: Client<typeof CdrService>;
let cursorOfFirst: string;

const db = () => exchange.services.db;
const NO_STOP = new AbortController().signal;

beforeAll(async () => {
  exchange = await startExchange({ partitions: "weekly", retentionIntervalMs: 0 });
  privacy = await exchange.platformClient(PrivacyService);
  swift = await exchange.carrierClient(CdrService, "swift");
  slow = await exchange.carrierClient(CdrService, "slow");
  await ensurePartitions(db(), 12);
  for (const carrierId of ["swift", "slow"]) {
    await exchange.addCarrier(carrierId, { networkIdentifiersAllowed: true });
    await exchange.assignNumbers(carrierId, [SUBSCRIBER]);
    for (const days of [60, 40, 10, 1]) {
      await appendCdrs(db(), carrierId, [oldCdr(`P-${days}`, days), oldCdr(`Q-${days}`, days)], daysAgo(days));
      await appendDurations(db(), carrierId, [oldDuration(`D-${days}`, days)], daysAgo(days));
    }
    await reconcileFully(db(), carrierId);
  }
  const { messages } = await readAll(swift, { start: EARLIEST, end: HEAD });
  cursorOfFirst = messages[0]?.cursor ?? "";
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const feedOf = async (client: typeof swift) => (await readAll(client, { start: EARLIEST, end: HEAD })).ids;

test("Storage limitation: what a carrier's shorter policy has passed is gone for every reader, and another carrier's stays", async () => {
  const everything = await feedOf(slow);
  await privacy.setRetentionPolicy(policyOf("DK", "swift", RecordPart.CALL, 32));
  await privacy.setRetentionPolicy(policyOf("DK", "swift", RecordPart.DURATION, 32));
  expect(await feedOf(swift)).toHaveLength(8);
  expect(await retain(db())).toMatchObject({ carriers: 2 });

  expect(await feedOf(swift)).toEqual(["P-10", "Q-10", "P-1", "Q-1"]);
  expect(await feedOf(slow)).toEqual(everything);
  const expired = await refusalOf(
    readAll(swift, { start: { position: { case: "cursor", value: cursorOfFirst } }, end: HEAD }),
  );
  expect(expired?.message).toContain("earliest is 5");
  expect(await reasonOf(swift.getCdr({ name: { case: "recordId", value: "P-40" } }))).toBe("RECORD_NOT_FOUND");
  const durations = await exchange.carrierClient(DurationService, "swift");
  const period = (days: number) => ({
    startTime: { seconds: BigInt(Math.floor(daysAgo(days) / 1_000)) },
    endTime: { seconds: BigInt(Math.floor(Date.now() / 1_000)) },
  });
  expect((await durations.listDurations(period(80))).durations.map(({ recordId }) => recordId)).toEqual([
    "D-10",
    "D-1",
  ]);
  expect((await swift.listCdrs(period(80))).records).toHaveLength(4);

  // The rows too, of the records, of their parts, and of what was found of them.
  for (const [table, left] of [
    ["cdr_record", 4],
    ["cdr_quality", 4],
    ["cdr_network", 4],
    ["duration_record", 2],
    ["call_result", 4],
  ] as const)
    expect([table, await countRows(db(), table, "swift")]).toEqual([table, left]);
  expect(await countRows(db(), "cdr_record", "slow")).toBe(8);
  expect(await verifyAll(db(), NO_STOP)).toEqual([]);
});

test("Storage limitation: a cursor and an ingest time below the floor are answered as the contract says", async () => {
  const { earliestSequence, retentionDays } = await swift.getCdrFeed({});
  expect([earliestSequence, retentionDays]).toEqual([5n, 32]);
  const resolved = await swift.resolveCdrCursor({ ingestTime: seconds(daysAgo(50)) });
  expect(resolved.afterSequence).toBe(4n);
  expect(await reasonOf(swift.commitCdrCursor({ consumer: "billing", cursor: cursorOfFirst }))).toBe("CURSOR_EXPIRED");
});

test("Storage limitation: records that arrive later than their retention are refused, at the carrier with the short one", async () => {
  const issueAt = async (carrierId: string) => {
    const durations = await exchange.carrierClient(DurationService, carrierId);
    const { outcomes } = await durations.appendDurations({
      uploadId: newRequestId(),
      firstOffset: 0n,
      records: [oldDuration("late", 35), oldDuration("in-time", 20)],
    });
    return outcomes.map(({ verdict, issue }) => [verdict, issue]);
  };
  // ListRejects says the same.
  expect(await issueAt("swift")).toEqual([[Verdict.REJECTED, RecordIssue.TOO_OLD]]);
  expect(await issueAt("slow")).toEqual([]);
  expect(await retain(db())).toMatchObject({ carriers: 2 });
});

test("Storage limitation: no record may be agreed to arrive later than records are kept", async () => {
  const carriers = await exchange.platformClient(CarrierService);
  const update = (laterRevisionDays: number) =>
    carriers.updateCarrier({
      requestId: newRequestId(),
      carrier: { carrierId: "swift", horizons: { firstRevisionDays: 20, laterRevisionDays } },
      updateMask: { paths: ["horizons"] },
    });
  const refused = await refusalOf(update(60));
  expect(refused?.findDetails(BadRequestSchema)[0]?.fieldViolations.map(({ field }) => field)).toEqual([
    "carrier.horizons",
  ]);
  expect((await update(31)).carrier?.horizons).toMatchObject({ laterRevisionDays: 31 });
});

test("Storage limitation: a call's quality and network identifiers end before the call, which streams on without them", async () => {
  await privacy.setRetentionPolicy(policyOf("DK", "swift", RecordPart.QUALITY, 5));
  await privacy.setRetentionPolicy(policyOf("DK", "swift", RecordPart.NETWORK, 5));
  await retain(db());
  const { records } = await readAll(swift, { start: EARLIEST, end: HEAD });
  const told = records.map((record) => [
    record.recordId,
    record.streamQualities.length,
    record.qualityVerdict,
    record.networkIdentifiers !== undefined,
  ]);
  expect(told).toEqual([
    ["P-10", 0, QualityVerdict.UNSPECIFIED, false],
    ["Q-10", 0, QualityVerdict.UNSPECIFIED, false],
    ["P-1", 1, QualityVerdict.POOR, true],
    ["Q-1", 1, QualityVerdict.POOR, true],
  ]);
  const poor = { qualityVerdicts: [QualityVerdict.POOR] };
  expect((await readAll(swift, { start: EARLIEST, end: HEAD, filter: poor })).ids).toEqual(["P-1", "Q-1"]);
});

test("Storage limitation: a longer policy brings nothing back", async () => {
  await privacy.setRetentionPolicy(policyOf("DK", "swift", RecordPart.CALL, 700));
  await privacy.setRetentionPolicy(policyOf("DK", "swift", RecordPart.DURATION, 700));
  await retain(db());
  expect((await swift.getCdrFeed({})).earliestSequence).toBe(5n);
  expect(await countRows(db(), "cdr_record", "swift")).toBe(4);
});

test("Storage limitation: partitions that every policy has passed are dropped, also one that a stopped process left half detached", async () => {
  for (const part of [RecordPart.CALL, RecordPart.DURATION])
    await privacy.setRetentionPolicy(policyOf("DK", "slow", part, 50));
  const before = await partitionsOf("cdr_record");
  const [oldest = "", second = ""] = before;
  await leavePending("cdr_record", oldest);
  await ownerTransaction(db(), (tx) =>
    sql.raw(`ALTER TABLE duration_record DETACH PARTITION ${second.replace("cdr", "duration")}`).execute(tx),
  );
  const { dropped } = await retain(db());
  const names = dropped.map(({ name }) => name);
  expect(names).toContain(oldest);
  expect(names).toContain(second.replace("cdr", "duration"));
  expect(await partitionsOf("cdr_record")).toEqual(before.filter((name) => !names.includes(name)));
  expect(before.length - (await partitionsOf("cdr_record")).length).toBeGreaterThanOrEqual(4);
  expect((await readAll(slow, { start: EARLIEST, end: HEAD })).ids).toEqual([
    "P-40",
    "Q-40",
    "P-10",
    "Q-10",
    "P-1",
    "Q-1",
  ]);
  expect(await verifyAll(db(), NO_STOP)).toEqual([]);
});

test("Storage limitation: what two processes do at once is done once", async () => {
  const both = await Promise.all([retain(db(), { holder: "one" }), retain(db(), { holder: "two" })]);
  expect(both.reduce((sum, { carriers }) => sum + carriers, 0)).toBeGreaterThanOrEqual(2);
});

test("Storage limitation: results that a closed period rests on stay for 402 days after its end, and its figures with them", async () => {
  const usage = await exchange.platformClient(UsageService);
  await setReconciled(db(), "swift");
  const days = { startDate: dayAgo(70), endDate: dayAgo(20), timeZone: "UTC" };
  await usage.closePeriod({ requestId: newRequestId(), customerId: "customer-1", ...days, maxPendingRatio: 1 });
  const periods = async () => (await usage.listRestatements({ customerId: "customer-1" })).periods.length;
  // Long after every policy, and a day before the period can change no more.
  await retain(db(), { now: Date.now() + (402 - 21) * DAY_MS });
  const kept = await countRows(db(), "call_result", "slow");
  expect([kept > 0, await periods()]).toEqual([true, 1]);
  expect(await countRows(db(), "cdr_key", "slow")).toBeLessThan(8);
  expect(await verifyAll(db(), NO_STOP)).toEqual([]);
  await retain(db(), { now: Date.now() + 800 * DAY_MS });
  await retain(db(), { now: Date.now() + 800 * DAY_MS });
  expect([await countRows(db(), "call_result", "slow"), await periods()]).toEqual([0, 0]);
});

test("Storage limitation: in the end no table keeps anything of a call", async () => {
  const tables = [
    "cdr_record",
    "cdr_quality",
    "cdr_network",
    "duration_record",
    "cdr_key",
    "duration_key",
    "call_result",
  ];
  const more = [
    "discrepancy_entry",
    "quarantine",
    "clock_offset",
    "clock_minute",
    "clock_lacking",
    "rounding_vote",
    "held_record",
  ];
  for (const carrierId of ["swift", "slow"])
    for (const table of [...tables, ...more])
      expect([table, await countRows(db(), table, carrierId)]).toEqual([table, 0]);
});

test("Keep at least: a policy outside the country's minimum and maximum is refused with both and their source", async () => {
  await exchange.addCarrier("yankee", { legalCountry: "US" });
  const short = await refusalOf(privacy.setRetentionPolicy(policyOf("US", "yankee", RecordPart.CALL, 365)));
  expect(metadataOf(short)).toMatchObject({
    minimum_days: "550",
    maximum_days: "3653",
    source: "47 CFR 42.6 (toll records, 18 months)",
  });
  const long = await refusalOf(privacy.setRetentionPolicy(policyOf("DK", "swift", RecordPart.CALL, 1_500)));
  expect(metadataOf(long)).toMatchObject({ minimum_days: "32", maximum_days: "1096" });
  const logs = policyOf("DK", "swift", RecordPart.LOGS, 300);
  expect(await reasonOf(privacy.setRetentionPolicy(logs))).toBe("RETENTION_OUT_OF_BOUNDS");
  await privacy.setRetentionPolicy(policyOf("US", "yankee", RecordPart.CALL, 550));
});

test("Keep at least: a part is kept for the longest of its purposes, by the carrier's own policy, else its country's, else the initial one", async () => {
  await exchange.addCarrier("irish", { legalCountry: "IE" });
  await exchange.addCarrier("celtic", { legalCountry: "IE" });
  const { carrierId: _, ...country } = policyOf("IE", "", RecordPart.QUALITY, 60).policy;
  await privacy.setRetentionPolicy({ requestId: newRequestId(), policy: country });
  await privacy.setRetentionPolicy(policyOf("IE", "irish", RecordPart.QUALITY, 20));
  const forReconciling = policyOf("IE", "irish", RecordPart.QUALITY, 25);
  forReconciling.policy.purpose = ProcessingPurpose.RECONCILIATION;
  await privacy.setRetentionPolicy(forReconciling);
  const agreed = async (carrierId: string) => {
    const client = await exchange.carrierClient(AgreementService, carrierId);
    const { agreement } = await client.getAgreement({});
    return agreement?.retentions
      .filter(({ recordPart }) => recordPart === RecordPart.QUALITY)
      .map(({ purpose, retentionDays }) => [purpose, retentionDays]);
  };
  expect(await agreed("irish")).toEqual([
    ["troubleshooting", 20],
    ["reconciliation", 25],
  ]);
  expect(await agreed("celtic")).toEqual([["troubleshooting", 60]]);
  expect(await agreed("yankee")).toEqual([["troubleshooting", 90]]);
  const { policies } = await privacy.listRetentionPolicies({ countryCode: "IE", recordPart: RecordPart.QUALITY });
  expect(
    policies.map((policy) => [policy.carrierId, policy.purpose, policy.retentionDays, policy.initialInForce]),
  ).toEqual([
    [undefined, ProcessingPurpose.TROUBLESHOOTING, 60, false],
    ["irish", ProcessingPurpose.TROUBLESHOOTING, 20, false],
    ["irish", ProcessingPurpose.RECONCILIATION, 25, false],
  ]);
});

test("Keep at least: setting a policy is repeatable, holds against a revision, and is an audit event", async () => {
  const first = policyOf("IE", "celtic", RecordPart.CALL, 600);
  const set = await privacy.setRetentionPolicy({ ...first, expectedRevision: 0n });
  expect(set.policy).toMatchObject({ revision: 1n, retentionDays: 600, initialInForce: false });
  expect(await privacy.setRetentionPolicy({ ...first, expectedRevision: 0n })).toEqual(set);
  const changed = { ...policyOf("IE", "celtic", RecordPart.CALL, 700), expectedRevision: 0n };
  expect(await reasonOf(privacy.setRetentionPolicy(changed))).toBe("REVISION_MISMATCH");
  const { events } = await privacy.listAuditEvents({ carrierId: "celtic" });
  const acts = events.filter(
    ({ method, outcome }) => method.endsWith("SetRetentionPolicy") && outcome === AuditOutcome.DONE,
  );
  expect(acts.map(({ resource }) => resource)).toEqual(["retention-policy/IE/celtic/1/2"]);
});

test("Keep at least: a policy that is malformed is refused by every field at fault, and pages of policies follow each other", async () => {
  const refused = await refusalOf(
    privacy.setRetentionPolicy({ requestId: newRequestId(), policy: { countryCode: "xx", retentionDays: 0 } }),
  );
  const [bad] = refused?.findDetails(BadRequestSchema) ?? [];
  expect(bad?.fieldViolations.map(({ field }) => field)).toEqual(
    [
      "country_code",
      "record_part",
      "purpose",
      "legal_basis",
      "retention_days",
      "source",
      "privacy_statement_version",
    ].map((name) => `policy.${name}`),
  );
  const all = (await privacy.listRetentionPolicies({ pageSize: 1_000 })).policies;
  const paged: typeof all = [];
  let pageToken = "";
  do {
    const page = await privacy.listRetentionPolicies({ pageSize: 7, pageToken });
    paged.push(...page.policies);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(paged).toEqual(all);
});

function seconds(ms: number) {
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: 0 };
}

function metadataOf(error: ConnectError | undefined) {
  return error?.findDetails(ErrorInfoSchema)[0]?.metadata;
}

async function partitionsOf(table: string): Promise<string[]> {
  const { rows } = await ownerTransaction(db(), (tx) =>
    sql<{
      name: string;
    }>`SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = ${table}::regclass ORDER BY 1`.execute(
      tx,
    ),
  );
  return rows.map(({ name }) => name);
}

// As a process leaves it that is stopped while it waits for a reader.
async function leavePending(table: string, partition: string): Promise<void> {
  const reader = await db().pool.connect();
  const detacher = await db().pool.connect();
  try {
    await reader.query("BEGIN");
    await reader.query(`SELECT count(*) FROM ${table}`);
    await detacher.query("SET lock_timeout = 50");
    await expect(detacher.query(`ALTER TABLE ${table} DETACH PARTITION ${partition} CONCURRENTLY`)).rejects.toThrow(
      "lock timeout",
    );
    await detacher.query("RESET lock_timeout");
  } finally {
    await reader.query("ROLLBACK");
    reader.release();
    detacher.release();
  }
}
