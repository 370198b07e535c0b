import type { DescMethod } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { App } from "../../src/app.ts";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { ownerTransaction } from "../../src/store/database/database.ts";
import type { Tx } from "../../src/store/database/run.ts";
import { readSchedule } from "../../src/store/numbers/number-schedule.ts";
import { listWaitingCarriers } from "../../src/store/records/quarantine.ts";
import { findChangedNumbers, findUncheckedPeriods, readOldestCheck } from "../../src/store/usage/usage-restatements.ts";
import { type AnyRequest, callAny } from "../support/any-call.ts";
import { appendDiscrepancies, setReconciled } from "../support/call-results.ts";
import { listMethods, methodName } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest } from "../support/feed.ts";
import { readAllResults } from "../support/reconcile.ts";
import { durationUpload } from "../support/upload-kinds.ts";
import { UploadStream } from "../support/upload-stream.ts";

// Two carriers of one database: one is of the process's region, one is not. What names the other
// must be refused, and what names none must leave it out.

const DAY_MS = 86_400_000;
const HERE = { carrierId: "here", number: "+4533123401", customerId: "here-customer" };
const AWAY = { carrierId: "away", number: "+12025550101", customerId: "away-customer" };
const DAY = new Date(Date.now() - DAY_MS).toISOString().slice(0, 10);
const DATES = { startDate: new Date(Date.now() - 3 * DAY_MS).toISOString().slice(0, 10), endDate: DAY };
const TIMES = { startTime: timestampFromMs(Date.now() - 3 * DAY_MS), endTime: timestampFromMs(Date.now() - 60_000) };
const USAGE = { ...DATES, endDate: new Date().toISOString().slice(0, 10), timeZone: "UTC" };

let exchange: Exchange;
let regional: App;
let platform: Transport;
let holdId = "";

beforeAll(async () => {
  exchange = await startExchange();
  for (const [names, region] of [
    [HERE, "eu"],
    [AWAY, "us"],
  ] as const) {
    const { carrierId, number, customerId } = names;
    await exchange.addCarrier(carrierId, { region });
    await exchange.assignNumbers(carrierId, [number], customerId);
    const parties = { calling: { kind: 1, value: number }, called: { kind: 1, value: "+442079460018" } };
    await ingest(exchange, carrierId, [
      call(`${carrierId}-record`, { parties, callId: `${carrierId}-call` }, Date.now() - DAY_MS),
    ]);
    const start_time = new Date(Date.now() - DAY_MS).toISOString();
    const row = {
      discrepancy_id: `${carrierId}-discrepancy`,
      phone_number: number,
      customer_id: customerId,
      start_time,
    };
    await appendDiscrepancies(exchange.services.db, carrierId, [row]);
    await setReconciled(exchange.services.db, carrierId);
  }
  await provideAway();
  regional = await exchange.openSecondApp({ region: "eu" });
  platform = await exchange.platformTransport({ baseUrl: regional.url });
});
afterAll(() => exchange[Symbol.asyncDispose]());

/** By a process that serves every region. */
async function provideAway(): Promise<void> {
  const usage = await exchange.platformClient(UsageService);
  const { customerId, carrierId } = AWAY;
  const period = { ...USAGE, customerId, startDate: DAY, maxPendingRatio: 1 };
  await usage.closePeriod({
    requestId: "close",
    ...period,
    endDate: new Date(Date.now() - 0).toISOString().slice(0, 10),
  });
  const privacy = await exchange.platformClient(PrivacyService);
  const { hold } = await privacy.createHold({ requestId: "hold", hold: holdOf(carrierId) });
  holdId = hold?.holdId ?? "";
}

function holdOf(carrierId: string) {
  return {
    carrierId,
    target: { case: "period" as const, value: { startDate: DATES.startDate, endDate: DATES.endDate } },
    reason: 1,
    caseReference: "case 7",
    owner: "billing",
    endTime: timestampFromMs(Date.now() + 30 * DAY_MS),
  };
}

/** Requests that name what is kept in another region. */
type Naming = (names: typeof AWAY) => AnyRequest;

/** How a method of the platform keeps to the region. */
type Rule =
  | { readonly refuses: readonly Naming[]; readonly leavesOut?: AnyRequest }
  /** Why it is served in every region. */
  | { readonly everywhere: string };

const DIRECTORY = { everywhere: "the exchange's own directory: what was agreed, and no record, number or person" };
const request = (fields: object): AnyRequest => fields as AnyRequest;
const ofCarrier =
  (fields: object = {}): Naming =>
  (names) =>
    request({ carrierId: names.carrierId, ...fields });

const RULES: Readonly<Record<string, Rule>> = {
  "CarrierService/CreateCarrier": DIRECTORY,
  "CarrierService/GetCarrier": DIRECTORY,
  "CarrierService/ListCarriers": DIRECTORY,
  "CarrierService/UpdateCarrier": DIRECTORY,
  "CarrierService/SetNumberRanges": {
    refuses: [({ carrierId, number }) => request({ requestId: "r", carrierId, approvedNumbers: [number] })],
  },
  "CarrierService/GetNumberRanges": { refuses: [ofCarrier()] },
  "NumberService/GetNumber": { refuses: [({ number }) => request({ phoneNumber: number, atTime: TIMES.endTime })] },
  "NumberService/ListNumbers": { refuses: [ofCarrier()], leavesOut: {} },
  "NumberService/ListNumberHistory": { refuses: [({ number }) => request({ phoneNumber: number })] },
  "NumberService/AssignNumbers": {
    refuses: [
      ({ carrierId, number, customerId }) =>
        request({ requestId: "a", carrierId, items: [{ phoneNumber: number, customerId, assigneeKind: 1 }] }),
    ],
  },
  "NumberService/UnassignNumbers": {
    refuses: [({ carrierId, number }) => request({ requestId: "u", carrierId, phoneNumbers: [number] })],
  },
  "NumberService/PortNumbers": {
    refuses: [
      ({ carrierId, number }) => portRequest(carrierId, HERE.carrierId, number),
      ({ carrierId }) => portRequest(HERE.carrierId, carrierId, HERE.number),
    ],
  },
  "CdrService/IngestCdrs": {
    refuses: [
      ({ carrierId }) =>
        [request({ frame: { case: "open", value: { carrierId, open: { uploadId: "x" } } } })] as AnyRequest,
    ],
  },
  "CdrService/GetCdr": {
    refuses: [
      ofCarrier({ name: { case: "recordId", value: "away-record" } }),
      ({ carrierId }) => request({ name: { case: "recordId", value: `${carrierId}-record` } }),
      ({ carrierId }) => request({ name: { case: "callId", value: `${carrierId}-call` } }),
    ],
  },
  "CdrService/ListCdrs": { refuses: [ofCarrier(TIMES)] },
  "ReconciliationService/GetReconciliationSummary": { refuses: [ofCarrier(USAGE)], leavesOut: request(USAGE) },
  "ReconciliationService/ListDiscrepancies": { refuses: [ofCarrier()], leavesOut: {} },
  "ReconciliationService/GetReconciliationStatus": {
    refuses: [({ carrierId }) => request({ carrierIds: [carrierId] })],
    leavesOut: {},
  },
  "ReconciliationService/ExplainCall": {
    refuses: [
      ofCarrier({ target: { case: "platformRecordId", value: "away-record" } }),
      ({ carrierId }) => request({ target: { case: "callId", value: `${carrierId}-call` } }),
    ],
  },
  "UsageService/QueryUsage": { refuses: [({ customerId }) => request({ ...USAGE, customerId })] },
  "UsageService/ExportUsage": { refuses: [({ customerId }) => request({ ...USAGE, customerId })] },
  "UsageService/ClosePeriod": {
    refuses: [
      ({ customerId }) => request({ ...USAGE, requestId: "c", customerId, endDate: DAY, maxPendingRatio: 1 }),
      // A repeat of a call that another process has answered.
      ({ customerId }) => request({ ...USAGE, requestId: "close", customerId, startDate: DAY, maxPendingRatio: 1 }),
    ],
  },
  "UsageService/ListRestatements": { refuses: [({ customerId }) => request({ customerId })] },
  "PrivacyService/ListRetentionPolicies": { everywhere: "policies say how long data is kept, and hold none" },
  "PrivacyService/SetRetentionPolicy": {
    refuses: [
      ({ carrierId }) =>
        request({
          requestId: "s",
          policy: {
            countryCode: "DK",
            carrierId,
            recordPart: 2,
            purpose: 1,
            legalBasis: 3,
            retentionDays: 60,
            source: "test",
            privacyStatementVersion: "1",
          },
        }),
    ],
  },
  "PrivacyService/CreateHold": { refuses: [({ carrierId }) => request({ requestId: "h", hold: holdOf(carrierId) })] },
  "PrivacyService/ReleaseHold": { refuses: [() => request({ requestId: "r", holdId, releaseNote: "done" })] },
  "PrivacyService/ListHolds": { refuses: [ofCarrier()], leavesOut: {} },
  "PrivacyService/ErasePhoneNumber": {
    everywhere: "an erasure is journalled once, for every carrier: what must go may not wait for a region",
  },
  "PrivacyService/GetErasure": { everywhere: "an erasure names no number, and counts records only" },
  "PrivacyService/ExportPhoneNumber": {
    refuses: [
      ({ number }) => request({ ...TIMES, phoneNumber: number, role: 3, caseReference: "c", verifiedBy: "desk" }),
    ],
  },
  "PrivacyService/ListDisclosures": {
    refuses: [ofCarrier({ subject: { case: "period", value: DATES } })],
    leavesOut: request({ subject: { case: "number", value: { ...TIMES, phoneNumber: AWAY.number, role: 3 } } }),
  },
  "PrivacyService/ListAuditEvents": { refuses: [ofCarrier()] },
  "PrivacyService/VerifyAuditLog": { refuses: [ofCarrier()] },
};

function portRequest(carrierId: string, toCarrierId: string, number: string): AnyRequest {
  return request({
    requestId: "p",
    carrierId,
    toCarrierId,
    phoneNumbers: [number],
    effectiveTime: timestampFromMs(Date.now()),
  });
}

const PLATFORM_METHODS = await listMethods("platform");
const CARRIER_METHODS = await listMethods("carrier");

test("Residency: every method of the platform has a rule", () => {
  expect(Object.keys(RULES).sort()).toEqual(PLATFORM_METHODS.map(methodName).sort());
});

describe("Residency: a process of another region refuses a carrier's credential", () => {
  test.each(CARRIER_METHODS.map((method) => [methodName(method), method] as const))("at %s", async (_, method) => {
    const away = await exchange.carrierTransport(AWAY.carrierId, { baseUrl: regional.url });
    expect(await reasonsOf(away, method, [emptyOf(method)])).toEqual(["REGION_MISMATCH us"]);
    const here = await exchange.carrierTransport(HERE.carrierId, { baseUrl: regional.url });
    const [own] = await reasonsOf(here, method, [emptyOf(method)]);
    expect(own).not.toContain("REGION_MISMATCH");
  });
});

describe("Residency: a process of another region refuses to serve a carrier to the platform", () => {
  test.each(PLATFORM_METHODS.map((method) => [methodName(method), method] as const))("at %s", async (name, method) => {
    const rule = RULES[name];
    if (!rule || "everywhere" in rule) return;
    const requests = rule.refuses.map((naming) => naming(AWAY));
    expect(await reasonsOf(platform, method, requests)).toEqual(requests.map(() => "REGION_MISMATCH us"));
    for (const naming of rule.refuses) {
      if (name.endsWith("ReleaseHold") || name.endsWith("PortNumbers")) continue;
      const outcome = await callAny(platform, method, naming(HERE));
      expect(outcome.reason).not.toBe("REGION_MISMATCH");
      expect(outcome.reason).not.toBe("INTERNAL");
    }
  });

  test.each(PLATFORM_METHODS.map((method) => [methodName(method), method] as const))(
    "and leaves it out where no carrier is named, at %s",
    async (name, method) => {
      const rule = RULES[name];
      if (!rule || "everywhere" in rule || rule.leavesOut === undefined) return;
      const { reason, answers } = await callAny(platform, method, rule.leavesOut);
      expect(reason).toBe("OK");
      expect(answers.join()).not.toMatch(/away|\+12025550101/);
      const everywhere = await callAny(await exchange.platformTransport(), method, rule.leavesOut);
      expect(everywhere.reason).toBe("OK");
    },
  );
});

describe("Residency: the jobs of a process of another region leave a carrier alone", () => {
  test("it is not reconciled there", async () => {
    const { db } = exchange.services;
    await using _ = await exchange.openSecondApp({ region: "eu", reconcileIntervalMs: 100 });
    const judged = async (carrierId: string) =>
      (await readAllResults(db, carrierId)).filter(({ recordId }) => recordId === `${carrierId}-record`).length;
    await expect.poll(() => judged(HERE.carrierId)).toBe(1);
    expect(await judged(AWAY.carrierId)).toBe(0);
  });

  test("nor are its quarantine, its schedule or its customers' closed periods taken up", async () => {
    const { db } = exchange.services;
    for (const { carrierId } of [HERE, AWAY]) {
      await using upload = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "waiting" });
      await upload.next("opened");
      upload.batch(0, [{ id: "waiting", calling: "+442079460077", called: "+442079460078" }]);
      await upload.committed(1);
    }
    // Seen by this transaction only: the servers that run would take them up at once.
    const looking = ownerTransaction(db, async (tx) => {
      for (const { carrierId, number } of [HERE, AWAY]) {
        await sql`UPDATE quarantine SET judged_numbers_sequence = -1 WHERE carrier_id = ${carrierId}`.execute(tx);
        await sql`UPDATE number_holding SET revision = 0 WHERE carrier_id = ${carrierId} AND phone_number = ${number}`.execute(
          tx,
        );
      }
      await lookAtWork(tx);
      throw new Error("taken back");
    });
    await expect(looking).rejects.toThrow("taken back");
  });

  async function lookAtWork(tx: Tx): Promise<void> {
    const waiting = await listWaitingCarriers(tx, "eu");
    expect(waiting.map(({ carrierId }) => carrierId)).toEqual([HERE.carrierId]);
    expect((await readSchedule(tx, "eu")).dueCarrierIds).toEqual([HERE.carrierId]);
    expect((await listWaitingCarriers(tx)).length).toBe(2);
    expect(await readOldestCheck(tx, "us")).toBeDefined();
    expect(await readOldestCheck(tx, "moon")).toBeUndefined();
    const all = await findUncheckedPeriods(tx, -60, 10);
    const ofRegion = await findUncheckedPeriods(tx, -60, 10, "eu");
    expect(all.filter((periodId) => !ofRegion.includes(periodId))).toHaveLength(1);
    const changed = await findChangedNumbers(tx, 0n, { after: undefined, limit: 10, region: "eu" });
    expect(changed.map(({ phoneNumber }) => phoneNumber)).not.toContain(AWAY.number);
  }
});

/** How calls end, and which region the refusal names. */
async function reasonsOf(transport: Transport, method: DescMethod, requests: readonly AnyRequest[]): Promise<string[]> {
  const reasons: string[] = [];
  for (const each of requests) {
    const { reason, error, answers } = await callAny(transport, method, each);
    const region = /"region\\*":\\*"([a-z]+)/.exec(JSON.stringify(error ?? ""))?.[1] ?? "";
    reasons.push(`${reason} ${region}`.trim());
    // What was said before the refusal names the other carrier in nothing.
    expect(answers.join()).not.toMatch(/away/);
  }
  return reasons;
}

function emptyOf({ methodKind }: DescMethod): AnyRequest {
  return methodKind === "bidi_streaming" || methodKind === "client_streaming" ? [] : {};
}
