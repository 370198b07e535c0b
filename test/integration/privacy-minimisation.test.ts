import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { create, type DescField, type DescMessage, type DescMethod, ScalarType } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/config.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { NumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { PhoneNumberSchema } from "../../src/gen/tandem/type/v1/phone_number_pb.js";
import { openLog } from "../../src/log.ts";
import { type AnyRequest, callAny } from "../support/any-call.ts";
import { runCli } from "../support/cli.ts";
import { listMethods } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, EARLIEST, HEAD, ingest } from "../support/feed.ts";
import { type OtlpCollector, openOtlpCollector } from "../support/otlp-collector.ts";
import { appendDurations, reconcileFully } from "../support/reconcile.ts";
import { samplesOf } from "../support/scrape.ts";

/** Nobody's, and nowhere but in what these tests send. */
const MARKER = "+4533177213";
const MARKER_DIGITS = "33177213";
const OWN = "+4533123601";
const OTHER = "+12025550123";
const HIDDEN = "+12025550177";
const HOUR_MS = 3_600_000;
const WINDOW = { startTime: timestampFromMs(Date.now() - 24 * HOUR_MS), endTime: timestampFromMs(Date.now()) };

let exchange: Exchange;
/** What a process that logs everything wrote, and where its metrics are. */
const logged: string[] = [];
let metricsUrl = "";
let tracedUrl = "";
let collector: OtlpCollector;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("acme");
  await exchange.addCarrier("open", { networkIdentifiersAllowed: true });
  await exchange.assignNumbers("acme", [OWN], "cedar-bank");
  await exchange.assignNumbers("open", ["+4533123602"], "delta-shop");
});
const resources = new AsyncDisposableStack();
beforeAll(async () => {
  const metricsPort = await findFreePort();
  collector = resources.use(await openOtlpCollector());
  const config = loadConfig(
    {
      ...collector.tracesEnv,
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${collector.url}/v1/metrics`,
      OTEL_METRIC_EXPORT_INTERVAL: "500",
      OTEL_METRIC_EXPORT_TIMEOUT: "500",
    },
    {
      databaseUrl: exchange.databaseUrl,
      issueTokens: true,
      dataDir: exchange.dataDir,
      port: 0,
      reconcileIntervalMs: 0,
      metricsPort,
    },
  );
  const traced = await openApp(
    config,
    openLog("trace", (line) => logged.push(line)),
  );
  resources.use(traced);
  metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
  tracedUrl = traced.url;
});
afterAll(async () => {
  await resources.disposeAsync();
  await exchange[Symbol.asyncDispose]();
});

const METHODS = [...(await listMethods("carrier")), ...(await listMethods("platform"))];

describe("Minimisation: a number that is sent comes back in no error, log line, metric or trace", () => {
  test.each(METHODS.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
    "%s, with the number in every field",
    async (_, method) => {
      const transport = await transportFor(method);
      for (const known of [{}, KNOWN]) {
        const request = fill(method.input, known, 0);
        const isStream = method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming";
        const outcome = await callAny(transport, method, (isStream ? [request] : request) as AnyRequest, 1_500);
        expect(outcome.reason).not.toBe("INTERNAL");
        expectNoMarker(JSON.stringify(outcome.error ?? ""), method.name);
      }
    },
  );

  test.each([
    ["a text where a number belongs", `{"phoneNumber": 5, "atTime": "${MARKER}"}`],
    ["a field that nobody knows", `{"phoneNumber": "${MARKER}", "${MARKER}": 1}`],
    ["no JSON", `${MARKER}`],
  ])("%s, as JSON", async (_, body) => {
    const response = await fetch(`${tracedUrl}/tandem.platform.v1.NumberService/GetNumber`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${await exchange.platformToken()}` },
      body,
    });
    expect(response.ok).toBe(false);
    expectNoMarker(await response.text(), "JSON");
  });

  test("and nothing of it is in the log at level trace, among the metrics, or in a span", async () => {
    expect(logged.length).toBeGreaterThan(100);
    for (const line of logged) expectNoMarker(line.replace(/"time":"[^"]*"/, ""), line);
    const metrics = await (await fetch(metricsUrl)).text();
    expect(metrics).toContain("tandem_calls_total");
    expectNoMarker(metrics, "metrics");
    // Of carriers only how far they are is told, and of customers nothing.
    for (const { name, labels } of samplesOf(metrics)) {
      const isOfCarriers = /^tandem_(feed|consumer|reconcile)_/.test(name);
      expect([name, isOfCarriers ? [] : Object.values(labels).filter((text) => text === "acme")]).toEqual([name, []]);
    }
    expect(metrics).not.toContain("cedar-bank");
    expect(metrics).not.toMatch(/[{,]customer/);
    await expect.poll(() => collector.spans.length).toBeGreaterThan(METHODS.length);
    const sent = [...collector.bodiesOf("/v1/traces"), ...collector.bodiesOf("/v1/metrics")];
    expect(collector.bodiesOf("/v1/metrics").length).toBeGreaterThan(0);
    for (const body of sent) expectNoMarker(body.toString("latin1"), "OTLP");
  });

  test("the command line tells an error without it", async () => {
    const { code, stdout, stderr } = await runCli(["numbers", "get", MARKER], {
      TANDEM_URL: tracedUrl,
      TANDEM_TOKEN: await exchange.platformToken(),
    });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("NUMBER_NOT_FOUND");
    expect(stderr).toContain("+4533177***");
    expectNoMarker(stderr, "stderr");
  });
});

test("Masking: a record that was refused is shown to its sender with its numbers masked", async () => {
  const client = createClient(DurationService, await transportTo("acme"));
  const broken = create(CallDurationSchema, {
    recordId: "broken",
    recordDate: new Date().toISOString().slice(0, 10),
    calling: { kind: PartyKind.E164, value: MARKER },
    called: { kind: PartyKind.NON_E164, value: `sip:${MARKER}@example.com` },
    customerReference: `called ${MARKER}`,
  });
  const answer = await client.appendDurations({ uploadId: "broken", records: [broken] });
  expect(answer.outcomes).toHaveLength(1);
  expectNoMarker(answer.outcomes[0]?.message ?? "", "message");
  const { rejects } = await client.listRejects({ uploadId: "broken" });
  expect(rejects[0]?.recordJson).toContain("+4533177***");
  expectNoMarker(rejects[0]?.recordJson ?? "", "record_json");
});

test("Minimisation: a number says what kind of thing it is assigned to, and never who", () => {
  // A new field of a number has to be thought about here.
  expect(PhoneNumberSchema.fields.map(({ name }) => name).sort()).toEqual([
    "activation_failure",
    "activation_state",
    "assignee_kind",
    "capabilities",
    "carrier_id",
    "country_code",
    "customer_id",
    "customer_reference",
    "effective_end_time",
    "effective_start_time",
    "location_id",
    "number_type",
    "phone_number",
    "recorded_time",
    "revision",
    "sip_uri",
    "state",
    "tel_uri",
    "usages",
  ]);
});

test("Minimisation: the emergency location is an id, and only for a credential with its scope", async () => {
  const ask = async (client: Client<typeof NumberService>) => {
    const { number } = await client.getNumber({ phoneNumber: OWN, atTime: WINDOW.startTime });
    const { periods } = await client.listNumberHistory({ phoneNumber: OWN });
    return [number?.locationId, periods[0]?.number?.locationId];
  };
  const allowed = await exchange.platformClient(NumberService);
  expect(await ask(allowed)).toEqual(["location-1", "location-1"]);
  const token = await exchange.platformToken(["numbers.read"]);
  const denied = createClient(NumberService, await exchange.platformTransport({ token }));
  expect(await ask(denied)).toEqual([undefined, undefined]);
});

test("Minimisation: network identifiers are delivered to nobody, the platform included, unless the agreement allows them", async () => {
  const networkIdentifiers = { carrierMediaAddress: "192.0.2.77", userAgent: "SBC/7" };
  for (const [carrierId, number] of [
    ["acme", OWN],
    ["open", "+4533123602"],
  ] as const) {
    const parties = { calling: { kind: 1, value: number }, called: { kind: 1, value: OTHER } };
    await ingest(exchange, carrierId, [call(`${carrierId}-network`, { parties, networkIdentifiers })]);
    const carrier = await exchange.carrierClient(CdrService, carrierId);
    const platform = await exchange.platformClient(PlatformCdrService);
    const name = { case: "recordId" as const, value: `${carrierId}-network` };
    const explain = await exchange.platformClient(ReconciliationService);
    const answers = [
      (await carrier.getCdr({ name })).records,
      (await carrier.listCdrs(WINDOW)).records,
      (await platform.getCdr({ name })).records,
      (await platform.getCdr({ name, carrierId })).records,
      (await platform.listCdrs({ carrierId, ...WINDOW })).records,
    ];
    for await (const { frame } of carrier.streamCdrs({ start: EARLIEST, end: HEAD })) {
      if (frame.case !== "batch") continue;
      answers.push(frame.value.entries.flatMap(({ entry }) => (entry.case === "record" ? [entry.value] : [])));
    }
    for (const records of answers) {
      const record = records.find(({ recordId }) => recordId === `${carrierId}-network`);
      expect(record?.networkIdentifiers?.carrierMediaAddress).toBe(carrierId === "open" ? "192.0.2.77" : undefined);
    }
    await reconcileFully(exchange.services.db, carrierId, { nowMs: Date.now() + 48 * HOUR_MS });
    const { explanations } = await explain.explainCall({
      carrierId,
      target: { case: "platformRecordId", value: `${carrierId}-network` },
    });
    expect(explanations[0]?.platformRecord?.networkIdentifiers).toBeUndefined();
  }
});

test("Masking: usage shows other parties without their last digits, codes whole, restricted callers not at all, and keys that tell them apart", async () => {
  const at = (minutes: number) => Date.now() - 5 * HOUR_MS + minutes * 60_000;
  const e164 = (value: string, presentation = 1) => ({ kind: PartyKind.E164, value, presentation });
  await exchange.addCarrier("usage");
  await exchange.assignNumbers("usage", ["+4533123603"], "echo-bank");
  const own = e164("+4533123603");
  const out = (id: string, minutes: number, called: object) =>
    call(id, { parties: { calling: own, called } }, at(minutes));
  await ingest(exchange, "usage", [
    out("first", 1, e164("+12025550123")),
    out("second", 2, e164("+12025550124")),
    out("emergency", 3, { kind: PartyKind.EMERGENCY, value: "112" }),
    out("short", 4, { kind: PartyKind.SHORT_CODE, value: "1811" }),
    out("name", 5, { kind: PartyKind.NON_E164, value: "reception" }),
    call("restricted", { direction: 2, parties: { calling: e164(HIDDEN, 2), called: own } }, at(6)),
  ]);
  await appendDurations(exchange.services.db, "usage", []);
  await reconcileFully(exchange.services.db, "usage", { nowMs: Date.now() + 48 * HOUR_MS });
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const request = {
    customerId: "echo-bank",
    startDate: day(Date.now() - 48 * HOUR_MS),
    endDate: day(Date.now() + 24 * HOUR_MS),
    timeZone: "UTC",
    groupBy: [2, 6],
  };
  const masked = createClient(
    UsageService,
    await exchange.platformTransport({ token: await exchange.platformToken(["usage.read"]) }),
  );
  const whole = await exchange.platformClient(UsageService);
  const shown = async (client: Client<typeof UsageService>) =>
    (await client.queryUsage(request)).rows.map(({ key }) => key?.otherPartyNumber ?? "-").sort();
  expect(await shown(masked)).toEqual(["***", "+12025550***", "+12025550***", "-", "112", "1811"]);
  expect(await shown(whole)).not.toContain(HIDDEN);
  const { rows } = await masked.queryUsage(request);
  expect(rows.every(({ key }) => key?.phoneNumber === "+4533123603")).toBe(true);
  const keys = rows.flatMap(({ key }) => key?.otherPartyKey ?? []);
  expect(new Set(keys).size).toBe(5);
});

/** Fields that mean something here, so that calls get beyond the first check. */
const KNOWN: Readonly<Record<string, string>> = {
  carrier_id: "acme",
  to_carrier_id: "open",
  customer_id: "cedar-bank",
  upload_id: "marker-upload",
  start_date: "2026-01-01",
  end_date: "2026-01-31",
  record_date: "2026-01-01",
  time_zone: "UTC",
  country_code: "DK",
  legal_country: "DK",
  region: "eu",
  group_by: "",
};
const MAX_DEPTH = 5;

/** A request with the marker in every text that is not known, and something valid elsewhere. */
function fill(schema: DescMessage, known: Readonly<Record<string, string>>, depth: number): Record<string, unknown> {
  const filled: Record<string, unknown> = {};
  for (const member of schema.members) {
    if (member.kind === "oneof") {
      const [field] = member.fields;
      if (field) filled[member.localName] = { case: field.localName, value: filledField(field, known, depth) };
      continue;
    }
    const value = filledField(member, known, depth);
    if (value !== undefined) filled[member.localName] = member.fieldKind === "list" ? [value] : value;
  }
  return filled;
}

function filledField(field: DescField, known: Readonly<Record<string, string>>, depth: number): unknown {
  if (field.message?.typeName === "google.protobuf.Timestamp") return timestampOf(field.name);
  if (field.message) return depth < MAX_DEPTH ? fill(field.message, known, depth + 1) : undefined;
  if (field.enum) return field.enum.values[1]?.number ?? 0;
  if (field.scalar === ScalarType.STRING) return known[field.name] ?? MARKER;
  return undefined;
}

function timestampOf(name: string) {
  return timestampFromMs(Date.now() - (name.startsWith("start") ? 2 : 1) * HOUR_MS);
}

async function transportFor(method: DescMethod): Promise<Transport> {
  return method.parent.typeName.startsWith("tandem.carrier.") ? transportTo("acme") : transportTo(undefined);
}

function transportTo(carrierId: string | undefined): Promise<Transport> {
  const options = { baseUrl: tracedUrl };
  return carrierId === undefined ? exchange.platformTransport(options) : exchange.carrierTransport(carrierId, options);
}

function expectNoMarker(text: string, where: string): void {
  const digits = text.replaceAll(/[^0-9]/g, "");
  expect(digits.includes(MARKER_DIGITS), `${where}: ${text.slice(0, 500)}`).toBe(false);
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
