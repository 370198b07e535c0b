import type { JsonValue } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ExportPhoneNumberResponseSchema,
  PrivacyService,
} from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { appendDiscrepancies, insertCallResults } from "../support/call-results.ts";
import { listMethods } from "../support/contract.ts";
import { curlStream, curlUnary, readEnvelopes } from "../support/curl.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, ingest, NUMBER } from "../support/feed.ts";

const METHODS = [...(await listMethods("carrier")), ...(await listMethods("platform"))];

/** A case: the request as one would type it, and what the answer says. */
type Case = readonly [request: JsonValue | (() => Promise<JsonValue>), answer: object];

const HOUR_MS = 3_600_000;
const at = (ms: number) => new Date(Date.now() + ms).toISOString();
const ok = (json: object) => ({ status: 200, json });
const PERIOD = { startTime: at(-48 * HOUR_MS), endTime: at(HOUR_MS) };
const PAST = at(-HOUR_MS);
const callDate = PAST.slice(0, 10);
const DATES = { startDate: PERIOD.startTime.slice(0, 10), endDate: at(48 * HOUR_MS).slice(0, 10) };
const OTHER_NUMBER = "+4532123456";
/** A person who asks, for times that are over. */
const SUBJECT = {
  phoneNumber: NUMBER,
  startTime: PERIOD.startTime,
  endTime: at(0),
  role: "SUBJECT_ROLE_SUBSCRIBER",
  caseReference: "DSR-17",
  verifiedBy: "privacy desk",
};
const item = { numberType: "NUMBER_TYPE_GEOGRAPHIC", usages: ["ASSIGNEE_KIND_USER"], countryCode: "DK" };
const capabilities = ["NUMBER_CAPABILITY_INBOUND_CALLS", "NUMBER_CAPABILITY_OUTBOUND_CALLS"];
const duration = {
  recordId: "d-1",
  recordDate: PAST.slice(0, 10),
  direction: "DIRECTION_OUTBOUND",
  answered: true,
  calling: { kind: "PARTY_KIND_E164", value: NUMBER },
  called: { kind: "PARTY_KIND_E164", value: "+12025550123" },
  inviteTime: PAST,
  connectedDurationMs: "60000",
};

/** In the order in which they are called: each may stand on those before. */
const CASES: Readonly<Record<string, Case>> = {
  "tandem.platform.v1.CarrierService/CreateCarrier": [
    {
      requestId: "c-1",
      carrierId: "made",
      carrier: { displayName: "Made", legalCountry: "DK", timeZone: "Europe/Copenhagen", region: "eu" },
    },
    ok({ carrier: { carrierId: "made", state: "CARRIER_STATE_ACTIVE", graceMs: "86400000", revision: "1" } }),
  ],
  "tandem.platform.v1.CarrierService/GetCarrier": [{ carrierId: "made" }, ok({ carrier: { displayName: "Made" } })],
  "tandem.platform.v1.CarrierService/ListCarriers": [
    {},
    ok({ carriers: [{ carrierId: "alpha" }, { carrierId: "made" }] }),
  ],
  "tandem.platform.v1.CarrierService/UpdateCarrier": [
    { requestId: "c-2", carrier: { carrierId: "made", displayName: "Renamed" }, updateMask: "displayName" },
    ok({ carrier: { displayName: "Renamed", revision: "2" } }),
  ],
  "tandem.platform.v1.CarrierService/SetNumberRanges": [
    { requestId: "c-3", carrierId: "made", prefixes: ["+4533"], approvedNumbers: ["+4570101112"] },
    ok({ ranges: { carrierId: "made", prefixes: ["+4533"], approvedNumberCount: 1 } }),
  ],
  "tandem.platform.v1.CarrierService/GetNumberRanges": [
    { carrierId: "made" },
    ok({ ranges: { prefixes: ["+4533"], approvedNumbers: ["+4570101112"] } }),
  ],

  "tandem.carrier.v1.AgreementService/GetAgreement": [{}, ok({ agreement: { carrierId: "alpha" } })],

  "tandem.carrier.v1.NumberService/ProvisionNumbers": [
    { requestId: "n-1", items: [{ phoneNumber: OTHER_NUMBER, ...item, capabilities }] },
    ok({ outcomes: [{ phoneNumber: OTHER_NUMBER, number: { state: "NUMBER_STATE_PROVISIONED" } }] }),
  ],
  "tandem.platform.v1.NumberService/AssignNumbers": [
    {
      requestId: "n-2",
      carrierId: "alpha",
      items: [{ phoneNumber: OTHER_NUMBER, customerId: "cedar-bank", assigneeKind: "ASSIGNEE_KIND_USER" }],
    },
    ok({ outcomes: [{ number: { state: "NUMBER_STATE_ASSIGNED", customerId: "cedar-bank" } }] }),
  ],
  "tandem.carrier.v1.NumberService/GetNumber": [
    { phoneNumber: OTHER_NUMBER },
    ok({ number: { telUri: `tel:${OTHER_NUMBER}`, sipUri: expect.stringContaining(OTHER_NUMBER) } }),
  ],
  "tandem.carrier.v1.NumberService/ListNumbers": [
    { filter: { numberPrefix: "+45" } },
    ok({ numbers: [{ phoneNumber: OTHER_NUMBER }], watchCursor: expect.any(String) }),
  ],
  "tandem.platform.v1.NumberService/UnassignNumbers": [
    { requestId: "n-3", carrierId: "alpha", phoneNumbers: [OTHER_NUMBER] },
    ok({ outcomes: [{ number: { state: "NUMBER_STATE_PROVISIONED" } }] }),
  ],
  "tandem.platform.v1.NumberService/PortNumbers": [
    async () => ({
      requestId: "n-4",
      carrierId: "alpha",
      toCarrierId: "made",
      phoneNumbers: [OTHER_NUMBER],
      effectiveTime: at(24 * HOUR_MS),
    }),
    ok({ outcomes: [{ number: { phoneNumber: OTHER_NUMBER, effectiveEndTime: expect.any(String) } }] }),
  ],
  "tandem.platform.v1.NumberService/GetNumber": [
    { phoneNumber: OTHER_NUMBER },
    ok({ number: { carrierId: "alpha", phoneNumber: OTHER_NUMBER } }),
  ],
  "tandem.platform.v1.NumberService/ListNumbers": [
    { carrierId: "alpha", filter: { numberPrefix: "+45" } },
    ok({ numbers: [{ phoneNumber: OTHER_NUMBER }] }),
  ],
  "tandem.platform.v1.NumberService/ListNumberHistory": [
    { phoneNumber: OTHER_NUMBER },
    ok({ periods: expect.arrayContaining([expect.objectContaining({ scheduled: true })]) }),
  ],
  "tandem.carrier.v1.NumberService/ReleaseNumbers": [
    { requestId: "n-5", phoneNumbers: [OTHER_NUMBER] },
    ok({ outcomes: [{ number: { state: "NUMBER_STATE_RELEASED" } }] }),
  ],

  "tandem.carrier.v1.CdrService/GetCdrFeed": [{}, ok({ feedEpoch: "1", earliestSequence: "1", headSequence: "3" })],
  "tandem.carrier.v1.CdrService/GetCdr": [{ recordId: "r-1" }, ok({ records: [{ recordId: "r-1", sequence: "2" }] })],
  "tandem.carrier.v1.CdrService/ListCdrs": [
    { ...PERIOD, pageSize: 2 },
    ok({ records: [{}, {}], nextPageToken: expect.any(String) }),
  ],
  "tandem.carrier.v1.CdrService/ResolveCdrCursor": [
    { ingestTime: PERIOD.startTime },
    ok({ cursor: expect.any(String) }),
  ],
  "tandem.carrier.v1.CdrService/CommitCdrCursor": [
    async () => {
      const { json } = await curl("tandem.carrier.v1.CdrService/ResolveCdrCursor", { ingestTime: PERIOD.startTime });
      return { consumer: "warehouse", cursor: (json as { cursor: string }).cursor };
    },
    ok({ consumer: { consumer: "warehouse", lagEntries: "3" } }),
  ],
  "tandem.carrier.v1.CdrService/ListCdrConsumers": [{}, ok({ consumers: [{ consumer: "warehouse" }] })],
  "tandem.carrier.v1.CdrService/SummarizeQuality": [
    { ...PERIOD, period: "SUMMARY_PERIOD_DAY", dimensions: ["QUALITY_DIMENSION_DIRECTION"] },
    ok({ summaries: expect.arrayContaining([expect.objectContaining({ direction: "DIRECTION_OUTBOUND" })]) }),
  ],
  "tandem.platform.v1.CdrService/GetCdr": [{ recordId: "r-1" }, ok({ records: [{ carrierId: "alpha" }] })],
  "tandem.platform.v1.CdrService/ListCdrs": [{ carrierId: "alpha", ...PERIOD }, ok({ records: [{}, {}, {}] })],

  "tandem.carrier.v1.DurationService/AppendDurations": [
    { uploadId: "u", records: [duration, { ...duration, recordId: "d-2", direction: "DIRECTION_UNSPECIFIED" }] },
    ok({ committedOffset: "2", counts: { accepted: "1", rejected: "1" }, durability: "DURABILITY_DISK" }),
  ],
  "tandem.carrier.v1.DurationService/GetUpload": [
    { uploadId: "u" },
    ok({ upload: { state: "UPLOAD_STATE_OPEN", committedOffset: "2" } }),
  ],
  "tandem.carrier.v1.DurationService/ListUploads": [{}, ok({ uploads: [{ uploadId: "u" }] })],
  "tandem.carrier.v1.DurationService/ListRejects": [
    { uploadId: "u" },
    ok({ totalCount: "1", rejects: [{ outcome: { recordId: "d-2", fieldPath: "direction" } }] }),
  ],
  "tandem.carrier.v1.DurationService/ListDurations": [
    PERIOD,
    ok({ durations: [{ recordId: "d-1", sequence: "1", state: "DURATION_STATE_APPLIED" }] }),
  ],

  "tandem.carrier.v1.ReconciliationService/GetReconciliationSummary": [
    { ...DATES, groupBy: ["SUMMARY_DIMENSION_DIRECTION"] },
    ok({
      rows: [{ carrierId: "alpha", direction: "DIRECTION_OUTBOUND", comparedCallCount: "2", net: { ratio: 0.05 } }],
    }),
  ],
  "tandem.carrier.v1.ReconciliationService/ListDiscrepancies": [
    { filter: { unresolved: true, statuses: ["DISCREPANCY_STATUS_DURATION_MISMATCH"] } },
    ok({ discrepancies: [{ discrepancyId: "x-1", sequence: "1", status: "DISCREPANCY_STATUS_DURATION_MISMATCH" }] }),
  ],
  "tandem.carrier.v1.ReconciliationService/ExplainCall": [
    { platformRecordId: "r-1" },
    ok({ explanations: [{ platformRecord: { recordId: "r-1" } }] }),
  ],
  "tandem.platform.v1.ReconciliationService/GetReconciliationSummary": [
    { ...DATES, groupBy: ["SUMMARY_DIMENSION_CUSTOMER"] },
    ok({ rows: [{ carrierId: "alpha" }], reconciledThroughTime: expect.any(String) }),
  ],
  "tandem.platform.v1.ReconciliationService/ListDiscrepancies": [
    {},
    ok({ discrepancies: [{ carrierId: "alpha", discrepancyId: "x-1" }] }),
  ],
  "tandem.platform.v1.ReconciliationService/GetReconciliationStatus": [
    { carrierIds: ["alpha"] },
    ok({ statuses: [{ carrierId: "alpha", cdrHeadSequence: "3", unresolvedDiscrepancyCount: "1", ruleVersion: 2 }] }),
  ],
  "tandem.platform.v1.ReconciliationService/ExplainCall": [
    { carrierId: "alpha", platformRecordId: "r-1" },
    ok({ explanations: [{ carrierId: "alpha", platformRecord: { recordId: "r-1" } }] }),
  ],

  "tandem.platform.v1.UsageService/QueryUsage": [
    { customerId: "customer-1", ...DATES, timeZone: "Europe/Copenhagen", groupBy: ["USAGE_DIMENSION_NUMBER"] },
    ok({
      rows: [{ key: { phoneNumber: NUMBER }, totals: { attemptCount: expect.any(String) } }],
      completeness: { carriers: [{ carrierId: "alpha" }] },
    }),
  ],
  "tandem.platform.v1.UsageService/ClosePeriod": [
    { requestId: "u-1", customerId: "customer-1", startDate: "2026-01-01", endDate: "2026-02-01", timeZone: "UTC" },
    ok({ period: { customerId: "customer-1", endDate: "2026-02-01", closedTotals: {}, closedBy: expect.any(String) } }),
  ],
  "tandem.platform.v1.UsageService/ListRestatements": [
    { customerId: "customer-1" },
    ok({ periods: [{ startDate: "2026-01-01" }] }),
  ],

  "tandem.platform.v1.PrivacyService/ListRetentionPolicies": [
    { carrierId: "alpha", recordPart: "RECORD_PART_QUALITY" },
    ok({ policies: [{ retentionDays: 90, initialInForce: true, maximum: { dayCount: 400 } }] }),
  ],
  "tandem.platform.v1.PrivacyService/SetRetentionPolicy": [
    {
      requestId: "p-1",
      policy: {
        countryCode: "DK",
        recordPart: "RECORD_PART_QUALITY",
        purpose: "PROCESSING_PURPOSE_TROUBLESHOOTING",
        legalBasis: "LEGAL_BASIS_LEGITIMATE_INTERESTS",
        retentionDays: 60,
        source: "decision 12",
        privacyStatementVersion: "1",
      },
    },
    ok({ policy: { retentionDays: 60, revision: "1", updatedBy: expect.any(String) } }),
  ],
  "tandem.platform.v1.PrivacyService/CreateHold": [
    {
      requestId: "p-2",
      hold: {
        carrierId: "alpha",
        records: { records: [{ side: "RECORD_SIDE_PLATFORM", record: { recordId: "r-2", recordDate: callDate } }] },
        reason: "HOLD_REASON_BILLING_DISPUTE",
        caseReference: "2026-17",
        owner: "disputes",
        endTime: at(48 * HOUR_MS),
      },
    },
    ok({ hold: { state: "HOLD_STATE_ACTIVE", heldRevisionCount: "1", owner: "disputes" } }),
  ],
  "tandem.platform.v1.PrivacyService/ListHolds": [
    { carrierId: "alpha", state: "HOLD_STATE_ACTIVE" },
    ok({ holds: [{ caseReference: "2026-17" }] }),
  ],
  "tandem.platform.v1.PrivacyService/ReleaseHold": [
    async () => {
      const { json } = await curl("tandem.platform.v1.PrivacyService/ListHolds", {});
      const [hold] = (json as { holds: { holdId: string }[] }).holds;
      return { requestId: "p-3", holdId: hold?.holdId ?? "", releaseNote: "settled" };
    },
    ok({ hold: { state: "HOLD_STATE_RELEASED", releaseNote: "settled" } }),
  ],
  "tandem.platform.v1.PrivacyService/ListDisclosures": [
    { carrierId: "alpha", record: { side: "RECORD_SIDE_PLATFORM", record: { recordId: "r-1", recordDate: callDate } } },
    ok({ disclosures: expect.arrayContaining([expect.objectContaining({ recipientKind: "RECIPIENT_KIND_CARRIER" })]) }),
  ],
  "tandem.platform.v1.PrivacyService/ErasePhoneNumber": [
    { requestId: "p-4", ...SUBJECT },
    ok({ erasure: { state: "ERASURE_STATE_ACCEPTED", caseReference: "DSR-17", verifiedBy: "privacy desk" } }),
  ],
  "tandem.platform.v1.PrivacyService/GetErasure": [
    async () => {
      const { json } = await curl("tandem.platform.v1.PrivacyService/ErasePhoneNumber", {
        requestId: "p-4",
        ...SUBJECT,
      });
      return { erasureId: (json as { erasure: { erasureId: string } }).erasure.erasureId };
    },
    ok({ erasure: { caseReference: "DSR-17" } }),
  ],
  "tandem.platform.v1.PrivacyService/ListAuditEvents": [
    { method: "tandem.platform.v1.PrivacyService/ErasePhoneNumber" },
    ok({ events: [{ outcome: "AUDIT_OUTCOME_DONE", actor: expect.any(String), entryHash: expect.any(String) }] }),
  ],
  "tandem.platform.v1.PrivacyService/VerifyAuditLog": [
    { carrierId: "alpha" },
    ok({ intact: true, firstSequence: "1", lastHash: expect.any(String) }),
  ],
};

let exchange: Exchange;
const tokens = { carrier: "", platform: "" };

beforeAll(async () => {
  exchange = await startExchange({ synchronousCommit: "on" });
  await exchange.addCarrier("alpha");
  await exchange.assignNumbers("alpha", [NUMBER]);
  await ingest(exchange, "alpha", calls("r", 3));
  const { db } = exchange.services;
  await appendDiscrepancies(db, "alpha", [{ discrepancy_id: "x-1", carrier_ms: 66_000n }]);
  await insertCallResults(db, "alpha", [{ phone_number: NUMBER }]);
  tokens.carrier = await exchange.carrierToken("alpha");
  tokens.platform = await exchange.platformToken();
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

async function curl(method: string, request: JsonValue) {
  const token = method.startsWith("tandem.carrier") ? tokens.carrier : tokens.platform;
  const { exitCode, status, body } = await curlUnary(exchange.url, token, method, request);
  expect(exitCode).toBe(0);
  return { status, json: JSON.parse(body.toString()) as unknown };
}

const unary = METHODS.filter(({ methodKind }) => methodKind === "unary").map(
  (method) => `${method.parent.typeName}/${method.name}`,
);

test("every unary method of the contract is called here", () => {
  expect(Object.keys(CASES).toSorted()).toEqual(unary.toSorted());
});

test.each(Object.entries(CASES))("plain curl over HTTP/1.1: %s answers in JSON", async (method, [request, answer]) => {
  expect(await curl(method, typeof request === "function" ? await request() : request)).toMatchObject(answer);
});

test("plain curl over HTTP/1.1: the stream tandem.platform.v1.PrivacyService/ExportPhoneNumber gives a header, items and a trailer, and no error", async () => {
  const method = `${PrivacyService.typeName}/${PrivacyService.method.exportPhoneNumber.name}`;
  const { exitCode, body } = await curlStream(exchange.url, tokens.platform, method, SUBJECT);
  expect(exitCode).toBe(0);
  const { messages, end } = readEnvelopes(ExportPhoneNumberResponseSchema, body);
  expect(messages.map(({ frame }) => frame.case)).toEqual(expect.arrayContaining(["header", "batch", "trailer"]));
  expect(end?.error).toBeUndefined();
});
