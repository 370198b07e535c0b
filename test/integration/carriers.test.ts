import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTandemTransport } from "../../src/client/transport.ts";
import { BadRequestSchema, ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { CarrierState } from "../../src/gen/tandem/type/v1/agreement_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { fromNow, newRequestId } from "../support/numbers.ts";

let exchange: Exchange;
let carriers: Client<typeof CarrierService>;
let issuer: string;
let made = 0;

beforeAll(async () => {
  exchange = await startExchange();
  carriers = await exchange.platformClient(CarrierService);
  issuer = exchange.services.config.tokens.issuer;
});

afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
});

const basics = { displayName: "Nordic Tel", legalCountry: "DK", timeZone: "Europe/Copenhagen", region: "eu" };

function newCarrierId(): string {
  return `carrier-${++made}`;
}

async function create(carrierId: string, more: object = {}) {
  const { carrier } = await carriers.createCarrier({
    requestId: newRequestId(),
    carrierId,
    carrier: { ...basics, ...more },
  });
  if (!carrier) throw new Error("no carrier in the answer");
  return carrier;
}

async function update(carrierId: string, paths: string[], more: object = {}, request: object = {}) {
  const { carrier } = await carriers.updateCarrier({
    requestId: newRequestId(),
    carrier: { carrierId, ...more },
    updateMask: { paths },
    ...request,
  });
  if (!carrier) throw new Error("no carrier in the answer");
  return carrier;
}

async function errorOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error(`expected an error of the call, got ${String(error)}`);
  const [info] = error.findDetails(ErrorInfoSchema);
  const fields = error
    .findDetails(BadRequestSchema)
    .flatMap((detail) => detail.fieldViolations.map((violation) => violation.field));
  return { code: Code[error.code], reason: info?.reason, metadata: info?.metadata, fields };
}

test("a carrier is created with its defaults filled in, and its agreement shows the same", async () => {
  const carrierId = newCarrierId();
  const carrier = await create(carrierId);
  expect(carrier).toMatchObject({
    carrierId,
    ...basics,
    sipDomain: "sip.tandem.invalid",
    state: CarrierState.ACTIVE,
    reportingScopes: [{ directions: [1], unanswered: false, emergency: false }],
    tolerances: { durationMs: 2_000n },
    graceMs: 86_400_000n,
    horizons: { firstRevisionDays: 120, laterRevisionDays: 400 },
    networkIdentifiersAllowed: false,
    credentialIdentities: [],
    revision: 1n,
  });
  expect(carrier.roundingRule).toBeUndefined();
  expect(carrier.thresholds?.netRatio).toBeUndefined();
  expect((await carriers.getCarrier({ carrierId })).carrier).toEqual(carrier);
  const client = await exchange.carrierClient(AgreementService, carrierId);
  const { agreement } = await client.getAgreement({});
  expect(agreement).toMatchObject({
    carrierId,
    sipDomain: "sip.tandem.invalid",
    state: CarrierState.ACTIVE,
    reportingScopes: carrier.reportingScopes,
    horizons: carrier.horizons,
    limits: { maxBatchRecords: 2_000, maxPageSize: 1_000, maxMessageBytes: 4_194_304n },
    revision: 1n,
  });
  expect(agreement?.retentions.length).toBeGreaterThanOrEqual(6);
  expect(agreement?.credentialExpireTime?.seconds).toBeGreaterThan(BigInt(Math.floor(Date.now() / 1000)));
});

test("a carrier is created with everything that can be agreed, and scopes come back sorted", async () => {
  const day = (ms: number) => ({ seconds: BigInt(ms / 1000), nanos: 0 });
  const [first, second] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 6, 1)];
  const carrierId = newCarrierId();
  const carrier = await create(carrierId, {
    sipDomain: "Voice.Example.com",
    reportingScopes: [
      { directions: [2, 1, 2], unanswered: true, startTime: day(second) },
      { startTime: day(first), endTime: day(second), emergency: true },
    ],
    tolerances: { durationMs: 0n },
    graceMs: 0n,
    thresholds: { netRatio: 0.01, unmatchedRatio: 0 },
    horizons: { firstRevisionDays: 30 },
    roundingRule: { incrementS: 60, minimumS: 0 },
    networkIdentifiersAllowed: true,
    credentialIdentities: [
      { identity: { case: "jwt", value: { issuer, subject: `s:${carrierId}/ø` } }, expireTime: fromNow(3_600_000) },
      { identity: { case: "spiffeUri", value: `spiffe://carrier.example/${carrierId}` } },
      { identity: { case: "dnsName", value: `${carrierId}.carrier.example` } },
    ],
  });
  expect(carrier).toMatchObject({
    sipDomain: "voice.example.com",
    reportingScopes: [
      { directions: [1], emergency: true, startTime: day(first), endTime: day(second) },
      { directions: [1, 2], unanswered: true, startTime: day(second) },
    ],
    tolerances: { durationMs: 0n },
    graceMs: 0n,
    thresholds: { netRatio: 0.01, unmatchedRatio: 0 },
    horizons: { firstRevisionDays: 30, laterRevisionDays: 400 },
    roundingRule: { incrementS: 60, minimumS: 0 },
  });
  expect(carrier.thresholds?.grossRatio).toBeUndefined();
  expect(carrier.credentialIdentities.map(({ identity }) => identity.case)).toEqual(["jwt", "spiffeUri", "dnsName"]);
  expect((await carriers.getCarrier({ carrierId })).carrier).toEqual(carrier);
});

test("a repeat gets the first answer, other content under the same id is refused, and a taken id is taken", async () => {
  const carrierId = newCarrierId();
  const request = { requestId: newRequestId(), carrierId, carrier: basics };
  const answers = await Promise.all([1, 2, 3].map(() => carriers.createCarrier(request)));
  await update(carrierId, ["display_name"], { displayName: "Renamed" });
  for (const answer of [...answers, await carriers.createCarrier(request)]) expect(answer).toEqual(answers[0]);
  expect(await errorOf(carriers.createCarrier({ ...request, carrier: { ...basics, region: "us" } }))).toMatchObject({
    code: "FailedPrecondition",
    reason: "REQUEST_ID_REUSED",
  });
  expect(await errorOf(create(carrierId))).toMatchObject({
    code: "AlreadyExists",
    reason: "CARRIER_ALREADY_EXISTS",
    metadata: { carrier_id: carrierId },
  });
});

test("every field at fault is named", async () => {
  const wrong = {
    displayName: "",
    legalCountry: "dk",
    timeZone: "+01:00",
    region: "EU",
    sipDomain: "not a domain",
    tolerances: { durationMs: 60_001n },
    graceMs: -1n,
    thresholds: { netRatio: Number.NaN, grossRatio: 1.5 },
    horizons: { firstRevisionDays: 0, laterRevisionDays: 401 },
    roundingRule: { incrementS: 0, minimumS: 3_601 },
    reportingScopes: [{ endTime: fromNow(0) }, { directions: [7], startTime: fromNow(-1_000) }],
    credentialIdentities: [
      { identity: { case: "jwt" as const, value: { issuer: "https://elsewhere.example", subject: "x" } } },
      { identity: { case: "spiffeUri" as const, value: "https://carrier.example" } },
      { identity: { case: "dnsName" as const, value: "UPPER.example" } },
    ],
  };
  const error = await errorOf(create(newCarrierId(), wrong));
  expect(error).toMatchObject({ code: "InvalidArgument", reason: "INVALID_ARGUMENT" });
  expect(error.fields.sort()).toEqual(
    [
      "carrier.credential_identities[0].jwt.issuer",
      "carrier.credential_identities[1].spiffe_uri",
      "carrier.credential_identities[2].dns_name",
      "carrier.display_name",
      "carrier.grace_ms",
      "carrier.horizons.first_revision_days",
      "carrier.horizons.later_revision_days",
      "carrier.legal_country",
      "carrier.region",
      "carrier.reporting_scopes[1]",
      "carrier.reporting_scopes[1].directions",
      "carrier.rounding_rule.increment_s",
      "carrier.rounding_rule.minimum_s",
      "carrier.sip_domain",
      "carrier.thresholds.gross_ratio",
      "carrier.thresholds.net_ratio",
      "carrier.time_zone",
      "carrier.tolerances.duration_ms",
    ].sort(),
  );
});

test("ids, missing parts and hostile texts are refused with a reason", async () => {
  for (const carrierId of ["", "ab", "1ab", "Carrier", "a".repeat(33), "a b", "\u0000abc", "'; --"]) {
    expect(await errorOf(carriers.getCarrier({ carrierId }))).toMatchObject({
      reason: "INVALID_ARGUMENT",
      fields: ["carrier_id"],
    });
    expect(await errorOf(create(carrierId))).toMatchObject({ reason: "INVALID_ARGUMENT" });
  }
  const carrierId = newCarrierId();
  expect(await errorOf(carriers.createCarrier({ requestId: newRequestId(), carrierId }))).toMatchObject({
    fields: ["carrier"],
  });
  expect(await errorOf(carriers.createCarrier({ requestId: "", carrierId, carrier: basics }))).toMatchObject({
    fields: ["request_id"],
  });
  expect(await errorOf(create(carrierId, { carrierId: "another" }))).toMatchObject({ fields: ["carrier.carrier_id"] });
  expect(await errorOf(create(carrierId, { state: 9 }))).toMatchObject({ fields: ["carrier.state"] });
  expect(await errorOf(create(carrierId, { displayName: "a\u0000b" }))).toMatchObject({
    fields: ["carrier.display_name"],
  });
  expect(await errorOf(create(carrierId, { credentialIdentities: [{}] }))).toMatchObject({
    fields: ["carrier.credential_identities[0].identity"],
  });
  expect(await errorOf(carriers.getCarrier({ carrierId }))).toMatchObject({
    code: "NotFound",
    reason: "CARRIER_NOT_FOUND",
  });
});

test("an update changes what its mask names and nothing else; what is absent goes back to its default", async () => {
  const carrierId = newCarrierId();
  const created = await create(carrierId, {
    thresholds: { netRatio: 0.01, grossRatio: 0.02 },
    tolerances: { durationMs: 5n },
    sipDomain: "a.example",
  });
  const changed = await update(carrierId, ["display_name", "thresholds.net_ratio", "horizons.first_revision_days"], {
    displayName: "New",
    timeZone: "Asia/Tokyo",
    thresholds: { netRatio: 0.03, grossRatio: 0.9 },
    horizons: { firstRevisionDays: 10 },
  });
  expect(changed).toMatchObject({
    displayName: "New",
    timeZone: basics.timeZone,
    thresholds: { netRatio: 0.03, grossRatio: 0.02 },
    horizons: { firstRevisionDays: 10, laterRevisionDays: 400 },
    tolerances: { durationMs: 5n },
    revision: 2n,
    createTime: created.createTime,
  });
  const reset = await update(carrierId, ["tolerances", "thresholds.gross_ratio", "sip_domain", "reporting_scopes"]);
  expect(reset).toMatchObject({
    tolerances: { durationMs: 2_000n },
    thresholds: { netRatio: 0.03 },
    sipDomain: "sip.tandem.invalid",
    reportingScopes: [],
    revision: 3n,
  });
  expect(reset.thresholds?.grossRatio).toBeUndefined();
});

test("paths that are unknown, immutable, output only or everything are refused, all of them named", async () => {
  const carrierId = newCarrierId();
  await create(carrierId);
  const wrong = [
    "*",
    "nonsense",
    "carrier_id",
    "legal_country",
    "create_time",
    "revision",
    "thresholds.nonsense",
    "reporting_scopes.directions",
    "tolerances.duration_ms.x",
    "",
  ];
  const error = await errorOf(update(carrierId, [...wrong, "display_name"], { displayName: "x" }));
  expect(error).toMatchObject({ code: "InvalidArgument", reason: "INVALID_ARGUMENT" });
  expect(error.fields).toHaveLength(wrong.length);
  expect(await errorOf(update(carrierId, []))).toMatchObject({ fields: ["update_mask"] });
  expect(await errorOf(update(carrierId, ["state"]))).toMatchObject({ fields: ["carrier.state"] });
  expect(await errorOf(update("nobody-here", ["display_name"], { displayName: "x" }))).toMatchObject({
    reason: "CARRIER_NOT_FOUND",
  });
  expect((await carriers.getCarrier({ carrierId })).carrier?.revision).toBe(1n);
});

test("an update on an old revision is refused, and of those that run at once each counts once", async () => {
  const carrierId = newCarrierId();
  await create(carrierId);
  const requestId = newRequestId();
  const first = await update(carrierId, ["display_name"], { displayName: "A" }, { expectedRevision: 1n, requestId });
  expect(await update(carrierId, ["display_name"], { displayName: "A" }, { expectedRevision: 1n, requestId })).toEqual(
    first,
  );
  expect(
    await errorOf(update(carrierId, ["display_name"], { displayName: "B" }, { expectedRevision: 1n })),
  ).toMatchObject({
    code: "Aborted",
    reason: "REVISION_MISMATCH",
    metadata: { expected: "1", actual: "2" },
  });
  const names = ["C", "D", "E"];
  const revisions = await Promise.all(
    names.map(async (displayName) => (await update(carrierId, ["display_name"], { displayName })).revision),
  );
  expect(revisions.sort()).toEqual([3n, 4n, 5n]);
});

test("an identity belongs to one carrier, and can move once the other has given it up", async () => {
  const [one, two] = [newCarrierId(), newCarrierId()];
  const identity = { identity: { case: "spiffeUri" as const, value: `spiffe://shared.example/${one}` } };
  await create(one, { credentialIdentities: [identity] });
  expect(await errorOf(create(two, { credentialIdentities: [identity] }))).toMatchObject({
    code: "AlreadyExists",
    reason: "CREDENTIAL_IN_USE",
    metadata: { carrier_id: one },
  });
  expect(await errorOf(carriers.getCarrier({ carrierId: two }))).toMatchObject({ reason: "CARRIER_NOT_FOUND" });
  await create(two);
  expect(await errorOf(update(two, ["credential_identities"], { credentialIdentities: [identity] }))).toMatchObject({
    reason: "CREDENTIAL_IN_USE",
  });
  await update(one, ["credential_identities"]);
  expect(
    (await update(two, ["credential_identities"], { credentialIdentities: [identity] })).credentialIdentities,
  ).toHaveLength(1);
});

test("a suspended carrier may read its agreement and nothing else, until it is active again", async () => {
  const carrierId = newCarrierId();
  await create(carrierId);
  const numbers = await exchange.carrierClient(NumberService, carrierId);
  const agreement = await exchange.carrierClient(AgreementService, carrierId);
  await numbers.listNumbers({});
  await update(carrierId, ["state"], { state: CarrierState.SUSPENDED });
  expect(await errorOf(numbers.listNumbers({}))).toMatchObject({
    code: "PermissionDenied",
    reason: "CARRIER_SUSPENDED",
  });
  expect((await agreement.getAgreement({})).agreement?.state).toBe(CarrierState.SUSPENDED);
  await update(carrierId, ["state"], { state: CarrierState.ACTIVE });
  await numbers.listNumbers({});
});

test("carriers are listed by id, by page and by condition", async () => {
  const ids = ["zz-3", "zz-1", "zz-2"];
  for (const id of ids) await create(id, { region: "zz-region", legalCountry: id === "zz-3" ? "SE" : "DK" });
  await update("zz-2", ["state"], { state: CarrierState.SUSPENDED });
  const list = async (request: object) =>
    (await carriers.listCarriers({ region: "zz-region", ...request })).carriers.map((carrier) => carrier.carrierId);
  expect(await list({})).toEqual(["zz-1", "zz-2", "zz-3"]);
  expect(await list({ state: CarrierState.SUSPENDED })).toEqual(["zz-2"]);
  expect(await list({ legalCountry: "SE" })).toEqual(["zz-3"]);
  const first = await carriers.listCarriers({ region: "zz-region", pageSize: 2 });
  expect(await list({ pageSize: 2, pageToken: first.nextPageToken })).toEqual(["zz-3"]);
  expect(await errorOf(carriers.listCarriers({ pageSize: 2, pageToken: first.nextPageToken }))).toMatchObject({
    reason: "PAGE_TOKEN_INVALID",
  });
  for (const request of [{ pageSize: -1 }, { state: 9 }, { legalCountry: "d" }, { region: "\u0000" }]) {
    expect(await errorOf(carriers.listCarriers(request))).toMatchObject({ reason: "INVALID_ARGUMENT" });
  }
});

test("reading takes carriers.read, changing carriers.write, and a carrier's credential has neither; permission is judged before existence", async () => {
  using reader = createTandemTransport({
    baseUrl: exchange.url,
    token: await exchange.platformToken(["carriers.read"]),
  });
  const limited = createClient(CarrierService, reader);
  await limited.listCarriers({});
  const denied = { code: "PermissionDenied", reason: "PERMISSION_DENIED" };
  expect(
    await errorOf(limited.createCarrier({ requestId: newRequestId(), carrierId: newCarrierId(), carrier: basics })),
  ).toMatchObject(denied);
  const carrierId = newCarrierId();
  await create(carrierId);
  const asCarrier = createClient(CarrierService, await exchange.carrierTransport(carrierId));
  expect(await errorOf(asCarrier.getCarrier({ carrierId: "nobody-here" }))).toMatchObject(denied);
});
