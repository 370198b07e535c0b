import { create, type DescMethod, fromJson, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PLATFORM_SCOPES, type PlatformScope } from "../../src/domain/carriers/scopes.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { NumberService as CarrierNumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { CLASSES } from "../../src/rpc/shared/masking/string-fields.ts";
import { accessRuleOf } from "../../src/rpc/shared/method-rules.ts";
import { type AnyRequest, callAny } from "../support/any-call.ts";
import { listMethods, methodName } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, EARLIEST, HEAD, ingest, timestamp } from "../support/feed.ts";
import { fromNow, newRequestId, provisionItem } from "../support/numbers.ts";
import { type FoundText, plant, SPELLING_COUNT, shows, spell, textOf, textsOf } from "../support/planted-texts.ts";
import { appendDurations, reconcileFully } from "../support/reconcile.ts";
import { fullCdr, fullDuration } from "../support/record-samples.ts";
import { policyOf } from "../support/retention.ts";

/** The other party's, the customer's own, and one of the customer's that no record is about. */
const OTHER = "33177213";
const OWN = "33123601";
const SIBLING = "33123999";
const CARRIER = "planted";
const CUSTOMER = "cedar-bank";
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = Date.now();
const START = NOW - 5 * HOUR_MS;

/** Every scope but the one that lets see parties. */
const MASKED_SCOPES = PLATFORM_SCOPES.filter((scope) => scope !== "parties.read");
const METHODS = await listMethods("platform");

let exchange: Exchange;
/** Ids that requests need. */
const made = { holdId: "", erasureId: "" };

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier(CARRIER, { networkIdentifiersAllowed: true, displayName: textOf(spelled(0), 60) });
  await exchange.assignNumbers(CARRIER, [`+45${OWN}`], CUSTOMER);
  await ingest(
    exchange,
    CARRIER,
    Array.from({ length: SPELLING_COUNT }, (_, at) => plantedCdr(at)),
  );
  await appendDurations(
    exchange.services.db,
    CARRIER,
    Array.from({ length: SPELLING_COUNT }, (_, at) => plantedDuration(at)),
  );
  await reconcileFully(exchange.services.db, CARRIER, { nowMs: NOW + 48 * HOUR_MS });
  await makeTheRest();
});
afterAll(() => exchange[Symbol.asyncDispose]());

test.each([
  ["every scope but parties.read", () => MASKED_SCOPES],
  ["its own scope", (method: DescMethod) => [scopeOf(method)]],
] as const)(
  "Masking: with %s no answer of any method shows a planted number, in protobuf or JSON",
  async (_, scopesOf) => {
    for (const method of METHODS) {
      const transport = await exchange.platformTransport({ token: await exchange.platformToken(scopesOf(method)) });
      for (const request of requestsOf(method)) {
        const outcome = await answersOf(method, transport, request, scopesOf(method));
        for (const found of outcome) expectHidden(found, methodName(method));
      }
    }
  },
);

test("Masking: what is planted is there to be found: a credential that may see parties is shown it, and so is the carrier", async () => {
  const transport = await exchange.platformTransport();
  for (const name of ["CdrService/ListCdrs", "CdrService/GetCdr", "ReconciliationService/ExplainCall"]) {
    const method = METHODS.find((each) => methodName(each) === name);
    if (!method) throw new Error(name);
    const [request = {}] = requestsOf(method);
    const { answers } = await callAny(transport, method, request);
    const texts = answers.flatMap((answer) =>
      textsOf(method.output, fromJson(method.output, JSON.parse(answer) as JsonValue)),
    );
    for (const number of [OTHER, OWN, SIBLING]) {
      const fields = new Set(texts.filter(({ text }) => shows(text, number)).map(({ field }) => field));
      expect(fields, name).toContain("tandem.type.v1.CallOutcome.reason_phrase");
      expect(fields, name).toContain("tandem.type.v1.InterconnectDialog.call_id");
      expect(fields, name).toContain("tandem.type.v1.CallRoute.trunk_id");
    }
  }
  const carrier = await exchange.carrierClient(CdrService, CARRIER);
  for await (const { frame } of carrier.streamCdrs({ start: EARLIEST, end: HEAD })) {
    if (frame.case !== "batch") continue;
    const [first] = frame.value.entries;
    if (first?.entry.case === "record") expect(first.entry.value.parties?.called?.value).toBe(`+45${OTHER}`);
  }
});

test("Masking: the log of disclosures says whether parties were masked", async () => {
  const method = METHODS.find((each) => methodName(each) === "CdrService/ListCdrs");
  if (!method) throw new Error("no such method");
  const token = await exchange.platformToken(["cdrs.read"]);
  const [request = {}] = requestsOf(method);
  await callAny(await exchange.platformTransport({ token }), method, request);
  await callAny(await exchange.platformTransport(), method, request);
  const privacy = await exchange.platformClient(PrivacyService);
  const period = { startDate: dayOf(NOW - 2 * DAY_MS), endDate: dayOf(NOW + DAY_MS) };
  const { disclosures } = await privacy.listDisclosures({
    carrierId: CARRIER,
    subject: { case: "period", value: period },
  });
  const listed = disclosures.filter(({ method: name }) => name.endsWith("platform.v1.CdrService/ListCdrs"));
  expect(new Set(listed.map(({ masked }) => masked))).toEqual(new Set([true, false]));
});

/** All of the numbers in one spelling, the record's own first. */
function spelled(at: number): string[] {
  return [spell(OTHER, at), spell(OWN, at + 1), spell(SIBLING, 0)];
}

// Of a call each text in another order, so that short ones have each of the numbers.
function plantedCdr(at: number) {
  const { correlation, route, streamQualities, networkIdentifiers, outcome } = fullCdr();
  const ended = { ...outcome, finalSipCode: 200, failureStage: 0 };
  const changes = { correlation, route, streamQualities, networkIdentifiers, outcome: ended, callId: `call-${at}` };
  const parties = {
    calling: { kind: 1, value: `+45${OWN}` },
    called: { kind: 1, value: `+45${OTHER}` },
    dialed: { kind: 4, value: spell(OTHER, 3) },
  };
  const record = call(`r-${at}`, { ...changes, parties } as Parameters<typeof call>[1], START + at * 60_000);
  plant(CallDetailRecordSchema, record, turned(spelled(at), at));
  return record;
}

function plantedDuration(at: number) {
  const startMs = START + at * 60_000;
  const { $typeName: _, ...full } = fullDuration();
  const message = create(CallDurationSchema, {
    ...full,
    recordId: `d-${at}`,
    recordDate: dayOf(startMs),
    revision: 1,
    calling: { kind: 1, value: `+45${OWN}` },
    asserted: undefined,
    called: { kind: 1, value: `+45${OTHER}` },
    dialed: { kind: 4, value: spell(OTHER, 2) },
    redirecting: undefined,
    inviteTime: timestamp(startMs),
    answerTime: timestamp(startMs + 5_000),
    endTime: timestamp(startMs + 95_000),
    connectedDurationMs: 90_000n,
    billedDurationS: 120n,
    utcOffsetMinutes: 0,
    part: undefined,
  } as MessageInitShape<typeof CallDurationSchema>);
  plant(CallDurationSchema, message, turned(spelled(at), at));
  return message;
}

function turned<T>(items: readonly T[], at: number): T[] {
  return items.map((_, index) => items[(index + at) % items.length] as T);
}

// Numbers in what people write of numbers, holds, erasures, and as ids of requests.
async function makeTheRest(): Promise<void> {
  const numbers = await exchange.carrierClient(CarrierNumberService, CARRIER);
  const customerReference = textOf(spelled(3), 60);
  await numbers.provisionNumbers({
    requestId: spell(SIBLING, 0),
    items: [provisionItem("+4533123700", { customerReference })],
  });
  await expect(numbers.releaseNumbers({ requestId: spell(SIBLING, 3), phoneNumbers: [] })).rejects.toThrow();
  // What was asked for is in the log of disclosures, which no erasure reaches.
  const cdrs = await exchange.carrierClient(CdrService, CARRIER);
  const { records } = await cdrs.listCdrs({ ...window(), pageSize: 100 });
  for (const trunkId of records.map(({ route }) => route?.trunkId ?? ""))
    expect((await cdrs.listCdrs({ ...window(), filter: { trunkId } })).records).not.toEqual([]);
  const privacy = createClient(PrivacyService, await exchange.platformTransport());
  const target = {
    case: "period" as const,
    value: { startDate: dayOf(START), endDate: dayOf(NOW + DAY_MS), trunkId: spell(OTHER, 0) },
  };
  const texts = { caseReference: textOf(spelled(4), 100), owner: textOf(spelled(6), 100) };
  const { hold } = await privacy.createHold({
    requestId: spell(OTHER, 8),
    hold: { carrierId: CARRIER, target, reason: 1, endTime: fromNow(DAY_MS), ...texts },
  });
  made.holdId = hold?.holdId ?? "";
  const subject = { phoneNumber: "+4599999999", startTime: fromNow(-DAY_MS), endTime: fromNow(-HOUR_MS), role: 1 };
  const why = { caseReference: textOf(spelled(1), 100), verifiedBy: textOf(spelled(7), 100) };
  const { erasure } = await privacy.erasePhoneNumber({ requestId: spell(OTHER, 5), ...subject, ...why });
  made.erasureId = erasure?.erasureId ?? "";
  await privacy.setRetentionPolicy(plantedPolicy(400));
}

// Of somebody's own country code, 256 and 64 characters long at most.
function plantedPolicy(days: number) {
  const request = policyOf("DK", CARRIER, 1, days);
  const texts = { source: textOf(spelled(3), 250), privacyStatementVersion: textOf(turned(spelled(2), 1), 60) };
  return { ...request, policy: { ...request.policy, ...texts } };
}

const scopeOf = (method: DescMethod): PlatformScope => {
  const rule = accessRuleOf(method);
  if (rule?.principal !== "platform") throw new Error(`${method.name} is not the platform's`);
  return rule.scope;
};

function requestsOf(method: DescMethod): AnyRequest[] {
  const requests = REQUESTS[methodName(method)];
  // A new method has to be thought about here.
  if (!requests) throw new Error(`no request of ${methodName(method)}`);
  return requests().map((request) => request as AnyRequest);
}

const window = () => ({ startTime: timestampFromMs(NOW - 2 * DAY_MS), endTime: timestampFromMs(NOW) });
const days = () => ({ startDate: dayOf(NOW - 3 * DAY_MS), endDate: dayOf(NOW + DAY_MS) });
const usage = () => ({ customerId: CUSTOMER, ...days(), timeZone: "Etc/UTC" });
const one = (request: object) => () => [request];

/** For each method of the platform what asks for all that it can show. */
const REQUESTS: Readonly<Record<string, () => object[]>> = {
  "CarrierService/CreateCarrier": () => [
    { requestId: newRequestId(), carrierId: CARRIER, carrier: { displayName: "x" } },
  ],
  "CarrierService/GetCarrier": one({ carrierId: CARRIER }),
  "CarrierService/ListCarriers": one({}),
  "CarrierService/UpdateCarrier": () => [
    {
      requestId: spell(OTHER, 2),
      carrier: { carrierId: CARRIER, sipDomain: "sip.example" },
      updateMask: { paths: ["sip_domain"] },
    },
  ],
  "CarrierService/SetNumberRanges": () => [
    { requestId: spell(OTHER, 2), carrierId: CARRIER, prefixes: ["+4533"], approvedNumbers: ["+4532999001"] },
  ],
  "CarrierService/GetNumberRanges": one({ carrierId: CARRIER }),
  "NumberService/GetNumber": one({ phoneNumber: "+4533123700" }),
  "NumberService/ListNumbers": one({ carrierId: CARRIER }),
  "NumberService/ListNumberHistory": one({ phoneNumber: "+4533123700" }),
  "NumberService/AssignNumbers": () => [
    {
      requestId: newRequestId(),
      carrierId: CARRIER,
      items: [
        {
          phoneNumber: "+4533123700",
          customerId: CUSTOMER,
          assigneeKind: 1,
          activationState: 3,
          activationFailure: { reason: 3, actingParty: 1, message: textOf(spelled(2), 200) },
        },
      ],
    },
  ],
  "NumberService/UnassignNumbers": () => [
    { requestId: newRequestId(), carrierId: CARRIER, phoneNumbers: ["+4533123700"] },
  ],
  "NumberService/PortNumbers": () => [
    {
      requestId: newRequestId(),
      carrierId: CARRIER,
      toCarrierId: "nobody",
      phoneNumbers: ["+4533123700"],
      effectiveTime: fromNow(0),
    },
  ],
  "CdrService/IngestCdrs": () => [
    [
      {
        frame: {
          case: "open",
          value: { carrierId: CARRIER, open: { uploadId: newRequestId(), acknowledgedOffset: 0n } },
        },
      },
      {
        frame: {
          case: "batch",
          value: { firstOffset: 0n, records: [{ ...plantedCdr(0), recordId: newRequestId(), callType: 99 }] },
        },
      },
    ],
  ],
  "CdrService/GetCdr": () => each((at) => ({ name: { case: "recordId", value: `r-${at}` } })),
  "CdrService/ListCdrs": () => [{ carrierId: CARRIER, ...window(), pageSize: 100 }],
  "ReconciliationService/GetReconciliationSummary": () => [{ carrierId: CARRIER, ...days(), groupBy: [1, 2, 3, 4] }],
  "ReconciliationService/ListDiscrepancies": () => [{ carrierId: CARRIER }, {}],
  "ReconciliationService/GetReconciliationStatus": one({}),
  "ReconciliationService/ExplainCall": () => each((at) => ({ target: { case: "callId", value: `call-${at}` } })),
  "UsageService/QueryUsage": () => [{ ...usage(), groupBy: [1, 2, 6] }],
  "UsageService/ExportUsage": () => [{ ...usage(), groupBy: [1, 2, 6] }],
  "UsageService/ClosePeriod": () => [
    {
      ...usage(),
      requestId: newRequestId(),
      startDate: dayOf(NOW - 40 * DAY_MS),
      endDate: dayOf(NOW - 39 * DAY_MS),
      maxPendingRatio: 1,
    },
  ],
  "UsageService/ListRestatements": one({ customerId: CUSTOMER }),
  "PrivacyService/ListRetentionPolicies": one({}),
  "PrivacyService/SetRetentionPolicy": () => [plantedPolicy(401)],
  "PrivacyService/CreateHold": () => [
    {
      requestId: newRequestId(),
      hold: {
        carrierId: CARRIER,
        target: { case: "period", value: { startDate: dayOf(START), endDate: dayOf(NOW + DAY_MS) } },
        reason: 1,
        endTime: fromNow(DAY_MS),
        caseReference: textOf(spelled(9), 100),
        owner: textOf(spelled(10), 100),
      },
    },
  ],
  "PrivacyService/ReleaseHold": () => [
    { requestId: newRequestId(), holdId: made.holdId, releaseNote: textOf(spelled(11), 200) },
  ],
  "PrivacyService/ListHolds": one({}),
  "PrivacyService/ErasePhoneNumber": () => [
    {
      requestId: newRequestId(),
      phoneNumber: "+4599999998",
      startTime: fromNow(-DAY_MS),
      endTime: fromNow(-HOUR_MS),
      role: 1,
      caseReference: textOf(spelled(0), 100),
      verifiedBy: textOf(spelled(3), 100),
    },
  ],
  "PrivacyService/GetErasure": () => [{ erasureId: made.erasureId }],
  "PrivacyService/ExportPhoneNumber": () => [
    {
      phoneNumber: `+45${OWN}`,
      startTime: fromNow(-2 * DAY_MS),
      endTime: fromNow(-1_000),
      role: 1,
      // Its own number is refused in them.
      caseReference: spell(OTHER, 2),
      verifiedBy: spell(OTHER, 9),
    },
  ],
  "PrivacyService/ListDisclosures": () => [
    { carrierId: CARRIER, subject: { case: "period", value: days() }, pageSize: 1_000 },
  ],
  "PrivacyService/ListAuditEvents": () => [{ carrierId: CARRIER }, {}],
  "PrivacyService/VerifyAuditLog": () => [{ carrierId: CARRIER }, {}],
};

const each = (request: (at: number) => object): object[] =>
  Array.from({ length: SPELLING_COUNT }, (_, at) => request(at));

/** All that a method answers with, over gRPC and, where it has one answer, as Connect's JSON. */
async function answersOf(
  method: DescMethod,
  transport: Transport,
  request: AnyRequest,
  scopes: readonly PlatformScope[],
): Promise<FoundText[]> {
  const { answers, reason } = await callAny(transport, method, request);
  const fails = ["CarrierService/CreateCarrier", "NumberService/PortNumbers"].includes(methodName(method));
  // The planted upload has no Finish, so that it can be sent again.
  const expected = method.name === "IngestCdrs" ? "UPLOAD_NOT_FINISHED" : "OK";
  if (!fails && scopes.length > 1 && method.name !== "ClosePeriod") expect(reason, methodName(method)).toBe(expected);
  const bodies = [...answers];
  if (method.methodKind === "unary") bodies.push(await postJson(method, request, scopes));
  return bodies.flatMap((body) => {
    const json = JSON.parse(body) as JsonValue;
    const isError = typeof json === "object" && json !== null && "code" in json;
    return isError ? [{ field: "error", text: body }] : textsOf(method.output, fromJson(method.output, json));
  });
}

async function postJson(method: DescMethod, request: AnyRequest, scopes: readonly PlatformScope[]): Promise<string> {
  const response = await fetch(`${exchange.url}/${method.parent.typeName}/${method.name}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${await exchange.platformToken(scopes)}` },
    body: JSON.stringify(toJson(method.input, create(method.input, request as MessageInitShape<typeof method.input>))),
  });
  return response.text();
}

/**
 * Own numbers may stand where an answer says whose it is, and nowhere else; the other party's
 * nowhere.
 */
function expectHidden({ field, text }: FoundText, method: string): void {
  const where = `${method}: ${field}: ${text}`;
  expect(shows(text, OTHER), where).toBe(false);
  expect(shows(text, SIBLING), where).toBe(false);
  const textClass = CLASSES.get(field);
  const isOwn = textClass === "OWN_NUMBER" || (textClass === "PARTY" && text === `+45${OWN}`);
  if (!isOwn) expect(shows(text, OWN), where).toBe(false);
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
