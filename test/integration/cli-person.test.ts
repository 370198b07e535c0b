import { userInfo } from "node:os";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AuditOutcome } from "../../src/gen/tandem/platform/v1/audit_event_pb.js";
import { RecipientKind } from "../../src/gen/tandem/platform/v1/disclosure_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, NUMBER } from "../support/feed.ts";

const CARRIER = "nordlys-tele";
const PERSON = `jwt:tandem:${encodeURIComponent(`cli:${process.env["SUDO_USER"] ?? userInfo().username}`)}`;

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier(CARRIER);
  await exchange.assignNumbers(CARRIER, [NUMBER]);
  await ingest(exchange, CARRIER, [call("r1")]);
});

afterAll(() => exchange?.[Symbol.asyncDispose]());

test("Accountability: what a person of the platform reads for a carrier by commands is logged as the platform's, with the person's name", async () => {
  const read = [
    ["cdrs", "list", "--from", "7d"],
    ["cdrs", "list", "--from", "7d", "--quality", "unclassified"],
    ["cdrs", "get", "r1"],
    ["cdrs", "follow", "--from", "earliest", "--until", "head"],
    ["numbers", "list"],
    ["numbers", "watch", "--until-synced"],
  ];
  for (const args of read) await ok([...args, "--carrier", CARRIER]);
  const seen = (await listDisclosures()).map(({ recipientKind, credentialId }) => [recipientKind, credentialId]);
  expect(seen.length).toBeGreaterThanOrEqual(4);
  expect(new Set(seen.map(String))).toEqual(new Set([String([RecipientKind.PLATFORM, PERSON])]));
  const methods = new Set((await listDisclosures()).map(({ method }) => method));
  for (const method of [
    "platform.v1.CdrService/ListCdrs",
    "platform.v1.CdrService/GetCdr",
    "carrier.v1.CdrService/StreamCdrs",
  ])
    expect(methods).toContain(`tandem.${method}`);
});

test("Accountability: the audit log names the person of the platform who ran a command, as the platform and for a carrier", async () => {
  await ok(["numbers", "provision", "+4510000777", "--carrier", CARRIER, "--country", "DK"]);
  await ok(["carriers", "update", CARRIER, "--name", "Nordlys"]);
  const privacy = await exchange.platformClient(PrivacyService);
  const { events } = await privacy.listAuditEvents({ carrierId: CARRIER, actor: PERSON });
  const methods = events.filter(({ outcome }) => outcome === AuditOutcome.DONE).map(({ method }) => method);
  expect(methods).toContain("tandem.carrier.v1.NumberService/ProvisionNumbers");
  expect(methods).toContain("tandem.platform.v1.CarrierService/UpdateCarrier");
});

test("Accountability: what a carrier reads with its own token is still logged as the carrier's", async () => {
  const TANDEM_TOKEN = await exchange.carrierToken(CARRIER);
  await ok(["cdrs", "get", "r1"], { TANDEM_TOKEN });
  const found = (await listDisclosures()).filter(({ credentialId }) => credentialId === `jwt:tandem:${CARRIER}`);
  expect(found).toMatchObject([{ recipientKind: RecipientKind.CARRIER }]);
});

async function listDisclosures() {
  const privacy = await exchange.platformClient(PrivacyService);
  const { recordDate } = call("any");
  const endDate = new Date(Date.parse(recordDate) + 7 * 86_400_000).toISOString().slice(0, 10);
  const startDate = new Date(Date.parse(recordDate) - 7 * 86_400_000).toISOString().slice(0, 10);
  const subject = { case: "period", value: { startDate, endDate } } as const;
  return (await privacy.listDisclosures({ carrierId: CARRIER, subject, pageSize: 1_000 })).disclosures;
}

async function ok(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<void> {
  const settings = { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir, ...more };
  const { code, stderr } = await runCli(args, settings);
  expect([args, code, code === 0 ? "" : stderr]).toEqual([args, 0, ""]);
}
