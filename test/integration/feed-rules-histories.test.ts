import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/config.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { openLog } from "../../src/log.ts";
import { rotateEpochs } from "../../src/store/feeds/epochs.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { closingReason, LATEST, readFeed, refusal, runSql, untilNoStreams } from "../support/feed.ts";
import { newRequestId } from "../support/numbers.ts";

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100 });
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

/** Starts another process on the database, and gives what it warned of. */
async function warningsAtStart(): Promise<string[]> {
  const lines: string[] = [];
  const { databaseUrl, dataDir } = exchange;
  const config = loadConfig({}, { databaseUrl, dataDir, issueTokens: true, port: 0 });
  await using _app = await openApp(
    config,
    openLog("warn", (line) => lines.push(line)),
  );
  return lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
}

test.each([
  ["another server", "system_identifier = 'another'"],
  ["another timeline", "timeline = timeline + 1"],
])("rule 4: a start on %s than before says so and names the cure, until the epochs are rotated", async (_, change) => {
  expect(await warningsAtStart()).toEqual([]);
  await runSql(exchange, sql`UPDATE installation SET ${sql.raw(change)}`);
  const warnings = await warningsAtStart();
  expect(warnings.join()).toContain("tandem epoch rotate");
  await rotateEpochs(exchange.services.db, "test");
  expect(await warningsAtStart()).toEqual([]);
});

test("rule 6: a page token carries the head of the first page, and a process that does not see it yet does not serve", async () => {
  const client = await newCarrier("behind");
  const items = Array.from({ length: 4 }, (_, index) => ({
    phoneNumber: `+4532000${100 + index}`,
    numberType: 1,
    usages: [1],
    capabilities: [1],
    countryCode: "DK",
  }));
  await client.provisionNumbers({ requestId: newRequestId(), items });
  const first = await client.listNumbers({ pageSize: 2 });
  const { nextPageToken: pageToken } = first;
  const seesUpTo = (change: number) =>
    runSql(exchange, sql`UPDATE feed_head SET next_sequence = next_sequence + ${change} WHERE carrier_id = 'behind'`);
  // As on a replica that lags: the last entry is not there yet.
  await seesUpTo(-1);
  expect(await refusal(client.listNumbers({ pageSize: 2, pageToken }))).toMatchObject({
    code: Code.Unavailable,
    reason: "CURSOR_AHEAD_OF_HEAD",
  });
  await seesUpTo(1);
  const second = await client.listNumbers({ pageSize: 2, pageToken });
  expect(second.numbers.map((row) => row.phoneNumber)).toEqual(["+4532000102", "+4532000103"]);
  expect(second.watchCursor).toBe(first.watchCursor);
});

test("rule 8: revoking the identity that opened a stream ends it within 5 s, with Closing and UNAUTHENTICATED", async () => {
  await exchange.addCarrier("revoked");
  const carriers = await exchange.platformClient(CarrierService);
  const { issuer } = exchange.services.config.tokens;
  const identity = { case: "jwt" as const, value: { issuer, subject: "switch" } };
  const setExpiry = (expireTime: ReturnType<typeof timestampFromMs> | undefined) =>
    carriers.updateCarrier({
      requestId: newRequestId(),
      carrier: { carrierId: "revoked", credentialIdentities: [{ identity, ...(expireTime ? { expireTime } : {}) }] },
      updateMask: { paths: ["credential_identities"] },
    });
  await setExpiry(undefined);
  const { signingKey } = exchange;
  if (!signingKey) throw new Error("the exchange has no key of its own");
  const token = await signingKey.issueToken({
    issuer,
    audience: "tandem",
    identity: "switch",
    ttlSeconds: 600,
    carrierId: "revoked",
  });
  const client = createClient(CdrService, await exchange.carrierTransport("revoked", { token }));
  using live = readFeed(client, { start: LATEST });
  await live.until((messages) => messages.length > 0);
  await setExpiry(timestampFromMs(Date.now() + 500));
  expect(await refusal(live.ended)).toMatchObject({ code: Code.Unauthenticated, reason: "CREDENTIAL_EXPIRED" });
  expect(closingReason(live.messages)).toBe("CREDENTIAL_EXPIRING");
  await untilNoStreams(exchange);
});

async function newCarrier(carrierId: string): Promise<Client<typeof NumberService>> {
  await exchange.addCarrier(carrierId);
  return exchange.carrierClient(NumberService, carrierId);
}
