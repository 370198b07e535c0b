import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CdrFeedEntry, CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { ErasureState } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { verifyAll } from "../../src/store/verify/verify.ts";
import { erase, searchDatabase, untilReconciled } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, EARLIEST, HEAD, ingest, timestamp } from "../support/feed.ts";

const OWN = "+4532123400";
const HOUR_MS = 3_600_000;
const START_MS = Date.now() - 4 * HOUR_MS;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ reconcileIntervalMs: 100, heartbeatIntervalMs: 100 });
  await exchange.addCarrier("alpha", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("alpha", [OWN]);
});
afterAll(() => exchange[Symbol.asyncDispose]());

const e164 = (value: string) => ({ kind: PartyKind.E164, value });

/** A call of OWN with another party, and what the carrier has of it. */
function platformCall(id: string, other: string, minute: number, changes: object = {}) {
  const parties = { calling: e164(OWN), called: e164(other) };
  return call(id, { parties, ...changes }, START_MS + minute * 60_000);
}

function carrierCall(id: string, other: string, minute: number, changes: Partial<CallDuration> = {}): CallDuration {
  const inviteMs = START_MS + minute * 60_000;
  return create(CallDurationSchema, {
    recordId: id,
    recordDate: new Date(inviteMs).toISOString().slice(0, 10),
    direction: 1,
    answered: true,
    calling: e164(OWN),
    called: { kind: PartyKind.NON_E164, value: `00${other.slice(1)}` },
    inviteTime: timestamp(inviteMs),
    answerTime: timestamp(inviteMs + 5_000),
    connectedDurationMs: 60_000n,
    ...changes,
  } as never);
}

async function upload(uploadId: string, records: CallDuration[], firstOffset = 0n) {
  const client = await exchange.carrierClient(DurationService, "alpha");
  return client.appendDurations({ uploadId, firstOffset, records });
}

async function readFeed() {
  const client = await exchange.carrierClient(CdrService, "alpha");
  const entries: CdrFeedEntry[] = [];
  for await (const { frame } of client.streamCdrs({ start: EARLIEST, end: HEAD }))
    if (frame.case === "batch") entries.push(...frame.value.entries);
  return entries.map(({ entry }) => entry);
}

test("Erasure: the number is gone from records, keys, results, feeds and uploads; the receipt counts it, the feed is dense and tells of it", async () => {
  const other = "+4587654321";
  const correlation = { interconnectDialog: { callId: "87654321-abc@sbc.example" } };
  const outcome = { finalSipCode: 200, reasonPhrase: "called 87 65 43 21 <sip:+4587654321@sbc.example>" };
  await ingest(exchange, "alpha", [
    platformCall("c-1", other, 0, { correlation, outcome }),
    platformCall("c-2", other, 10),
  ]);
  await upload("u-1", [carrierCall("d-1", other, 0), carrierCall("d-2", other, 10, { connectedDurationMs: 90_000n })]);
  await untilReconciled(exchange, "alpha", 2);
  const before = await readFeed();

  const erasure = await erase(exchange, other);
  expect(erasure.state).toBe(ErasureState.COMPLETED);
  expect(await searchDatabase(exchange.databaseUrl, other, "87654321")).toEqual([]);
  const counts = erasure.receipt?.counts.map(({ recordPart, recordCount }) => `${recordPart}: ${recordCount}`);
  expect(counts).toEqual(["1: 2", "4: 2"]);

  const after = await readFeed();
  expect(after.map(({ value }) => value?.sequence)).toEqual(
    [...before, ...(erasure.receipt?.notices ?? []).filter(({ feed }) => feed === "cdrs")].map((_, index) =>
      BigInt(index + 1),
    ),
  );
  const [first] = after;
  expect(first?.case === "record" && first.value.parties?.called).toMatchObject({
    kind: PartyKind.ERASED,
    countryCode: "DK",
  });
  expect(first?.case === "record" && first.value.parties?.called?.value).toBeUndefined();
  expect(first?.case === "record" && first.value.parties?.calling?.value).toBe(OWN);
  const last = after.at(-1);
  expect(last?.case === "erasure" && last.value.records.map(({ recordId }) => recordId)).toEqual(["c-1", "c-2"]);
  expect(await verifyAll(exchange.services.db, new AbortController().signal)).toEqual([]);
});

test("Erasure: a replay of an erased record is answered by its stored verdict, and stores nothing", async () => {
  const other = "+4587650001";
  const records = [carrierCall("d-3", other, 20)];
  await upload("u-3", records);
  await untilReconciled(exchange, "alpha", 3);
  await erase(exchange, other);
  const again = await upload("u-3", records);
  expect(again.committedOffset).toBe(1n);
  const elsewhere = await upload("u-4", records);
  expect(elsewhere.outcomes.map(({ verdict }) => verdict)).toEqual([Verdict.DUPLICATE]);
  expect(await searchDatabase(exchange.databaseUrl, other, "87650001")).toEqual([]);
});

test("Erasure: a record that comes late is erased as it arrives, and counted", async () => {
  const other = "+4587650002";
  await erase(exchange, other);
  await ingest(exchange, "alpha", [platformCall("c-5", other, 30)]);
  await upload("u-5", [
    carrierCall("d-5", other, 30),
    carrierCall("d-6", other, 31, { calling: e164("+4511111111") as never }),
    carrierCall("d-7", other, 32, { direction: 0 }),
  ]);
  expect(await searchDatabase(exchange.databaseUrl, other, "87650002")).toEqual([]);
});
