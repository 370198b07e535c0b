import { create } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { ErasureState, SubjectRole } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { verifyAll } from "../../src/store/verify/verify.ts";
import { runCli } from "../support/cli.ts";
import { askErasure, erase, searchDatabase } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EARLIEST, HEAD, runSql, timestamp } from "../support/feed.ts";
import { provisionItem } from "../support/numbers.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ reconcileIntervalMs: 100, heartbeatIntervalMs: 100 });
  await exchange.addCarrier("alpha", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
});
afterAll(() => exchange[Symbol.asyncDispose]());

const e164 = (value: string) => ({ kind: PartyKind.E164, value });

function duration(id: string, calling: string, called: string, direction = 1) {
  const inviteMs = Date.now() - 3 * 3_600_000;
  return create(CallDurationSchema, {
    recordId: id,
    recordDate: new Date(inviteMs).toISOString().slice(0, 10),
    direction,
    answered: true,
    calling: e164(calling),
    called: e164(called),
    inviteTime: timestamp(inviteMs),
    answerTime: timestamp(inviteMs + 5_000),
    connectedDurationMs: 60_000n,
    customerReference: `ref ${called}`,
  });
}

test("Erasure: what is in quarantine or was refused loses the number, and is released without it once its own number is known", async () => {
  const person = "+4587651111";
  const own = "+4532120001";
  const client = await exchange.carrierClient(DurationService, "alpha");
  const records = [duration("q-1", own, person), duration("x-1", own, person, 0)];
  const { counts } = await client.appendDurations({ uploadId: "u-1", records });
  expect([counts?.quarantined, counts?.rejected]).toEqual([1n, 1n]);

  const erasure = await erase(exchange, person, { role: SubjectRole.OTHER_PARTY });
  expect(erasure.receipt?.counts.map(({ copyCount }) => copyCount)).toEqual([3n]);
  expect(await searchDatabase(exchange.databaseUrl, person, "87651111")).toEqual([]);
  expect(await searchDatabase(exchange.databaseUrl, "+4587651", "87651")).toEqual([]);

  await exchange.assignNumbers("alpha", [own]);
  // The numbers feed moves with an assignment, as the number services have it; it has no entries of
  // its own here.
  await runSql(
    exchange,
    sql`UPDATE feed_head SET next_sequence = 2, earliest_sequence = 2 WHERE carrier_id = 'alpha' AND feed = 1`,
  );
  await exchange.services.uploads.release("alpha", new AbortController().signal);
  const { durations } = await client.listDurations({
    startTime: timestamp(Date.now() - 6 * 3_600_000),
    endTime: timestamp(Date.now()),
  });
  expect(durations.map(({ recordId, called }) => [recordId, called?.kind, called?.countryCode])).toEqual([
    ["q-1", PartyKind.ERASED, "DK"],
  ]);
  expect(await verifyAll(exchange.services.db, new AbortController().signal)).toEqual([]);
});

test("Erasure: a number that was released goes from the inventory, its history and its feed, which tells of it", async () => {
  const number = "+4532129999";
  const client = await exchange.carrierClient(NumberService, "alpha");
  await client.provisionNumbers({ requestId: "p-1", items: [provisionItem(number, { countryCode: "DK" })] });
  const asked = { endMs: Date.now(), role: SubjectRole.SUBSCRIBER, validateOnly: true };
  const foreseen = await askErasure(exchange, number, asked);
  expect(foreseen?.receipt?.exceptions).toMatchObject([{ reason: 3, recordPart: 5, recordCount: 1n }]);
  const inService = await erase(exchange, number, { endMs: Date.now(), role: SubjectRole.SUBSCRIBER });
  expect(inService.state).toBe(ErasureState.COMPLETED_WITH_EXCEPTIONS);
  expect(inService.receipt?.exceptions).toMatchObject([{ reason: 3, recordPart: 5, recordCount: 1n }]);

  await client.releaseNumbers({ requestId: "p-2", phoneNumbers: [number] });
  await new Promise<void>((resolve) => setImmediate(resolve));
  const released = await askErasure(exchange, number, { ...asked, endMs: Date.now() });
  expect(released?.receipt).toMatchObject({ counts: [{ recordPart: 5 }], exceptions: [] });
  const erasure = await erase(exchange, number, { endMs: Date.now(), role: SubjectRole.SUBSCRIBER });
  expect(erasure.state).toBe(ErasureState.COMPLETED);
  expect(await searchDatabase(exchange.databaseUrl, number, "32129999")).toEqual([]);
  const entries: (string | undefined)[] = [];
  for await (const { frame } of client.watchNumbers({ start: EARLIEST, end: HEAD }))
    if (frame.case === "batch") entries.push(...frame.value.changes.map(({ change }) => change.case));
  expect(entries.at(-1)).toBe("erasure");
  expect(await verifyAll(exchange.services.db, new AbortController().signal)).toEqual([]);
});

test("Erasure: the command erases, waits and prints the receipt, and never the number", async () => {
  const settings = { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir };
  const asked = ["privacy", "erase", "+4587653333", "--from", "6h", "--to", "now", "--role", "any", "--case", "c-1"];
  const erased = await runCli([...asked, "--verified-by", "desk", "--wait"], settings);
  expect(erased.messages).toBe("");
  expect(erased.stdout).toMatch(/state +completed\n/);
  expect(erased.stdout).toContain("Nothing was found to erase.");
  expect(erased.stdout).not.toContain("87653333");
  const erasureId = /erasure +(\S+)/.exec(erased.stdout)?.[1] ?? "";
  const status = await runCli(["privacy", "erase", "status", erasureId], settings);
  expect(status.stdout).toBe(erased.stdout);
  const forecast = ["privacy", "erase", "-", ...asked.slice(3), "--verified-by", "desk", "--dry-run"];
  const foreseen = await runCli(forecast, settings, "+4532119999");
  expect(foreseen.stdout).toMatch(/erasure +none: only a forecast\n/);
  const missing = await runCli(asked, settings);
  expect([missing.code, missing.stderr.includes("--verified-by")]).toEqual([2, true]);
});
