import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, NUMBER, refusal, timestamp } from "../support/feed.ts";

const HOUR_MS = 3_600_000;
const BASE_MS = Math.floor((Date.now() - 30 * 24 * HOUR_MS) / HOUR_MS) * HOUR_MS;

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function newCarrier(carrierId: string) {
  await exchange.addCarrier(carrierId);
  await exchange.assignNumbers(carrierId, [NUMBER]);
  return exchange.carrierClient(CdrService, carrierId);
}

const period = (fromMs: number, toMs: number) => ({ startTime: timestamp(fromMs), endTime: timestamp(toMs) });
const ALL = period(BASE_MS - HOUR_MS, BASE_MS + 24 * HOUR_MS);

describe("ListCdrs", () => {
  test("gives the latest revision of each record by invite time, half open, page by page without loss or repeats", async () => {
    const client = await newCarrier("pages");
    const records = Array.from({ length: 25 }, (_, index) => call(`r-${index}`, {}, BASE_MS + (index % 5) * 1_000));
    await ingest(exchange, "pages", records);
    await ingest(exchange, "pages", [call("r-7", { revision: 2, outcome: { finalSipCode: 202 } }, BASE_MS + 2_000)]);
    const found: CallDetailRecord[] = [];
    let pageToken = "";
    do {
      const page = await client.listCdrs({ ...ALL, pageSize: 7, pageToken });
      expect(page.records.length).toBeLessThanOrEqual(7);
      found.push(...page.records);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(new Set(found.map(({ recordId }) => recordId)).size).toBe(25);
    expect(found).toHaveLength(25);
    expect(found.find(({ recordId }) => recordId === "r-7")).toMatchObject({ revision: 2, sequence: 26n });
    const keys = found.map(({ times, sequence }) => [times?.inviteTime?.seconds ?? 0n, sequence] as const);
    expect(keys).toEqual([...keys].sort(([a, x], [b, y]) => Number(a - b || x - y)));

    const half = await client.listCdrs(period(BASE_MS + 1_000, BASE_MS + 3_000));
    expect(half.records).toHaveLength(10);
  });

  test("a token is good for its own list only", async () => {
    const client = await newCarrier("tokens");
    await ingest(exchange, "tokens", [call("a", {}, BASE_MS), call("b", {}, BASE_MS)]);
    const { nextPageToken: pageToken } = await client.listCdrs({ ...ALL, pageSize: 1 });
    expect(pageToken).not.toBe("");
    const other = await newCarrier("tokens-of-another");
    const invalid = { code: Code.InvalidArgument, reason: "PAGE_TOKEN_INVALID" };
    expect(await refusal(client.listCdrs({ ...ALL, pageToken: `A${pageToken}` }))).toMatchObject(invalid);
    expect(await refusal(client.listCdrs({ ...ALL, filter: { direction: 1 }, pageToken }))).toMatchObject(invalid);
    expect(await refusal(client.listCdrs({ ...period(BASE_MS, BASE_MS + 1), pageToken }))).toMatchObject(invalid);
    expect(await refusal(other.listCdrs({ ...ALL, pageToken }))).toMatchObject(invalid);
  });

  test("finds calls by dialog and correlation id, and by filter", async () => {
    const client = await newCarrier("ids");
    await ingest(exchange, "ids", [
      call("a", { correlation: { interconnectDialog: { callId: "d1@sbc" }, correlationId: "k1" } }, BASE_MS),
      call("b", { correlation: { interconnectDialog: { callId: "d2@sbc" }, correlationId: "k1" } }, BASE_MS + 1),
      call("c", { route: { trunkId: "t" } }, BASE_MS + 2),
    ]);
    const ids = async (request: Parameters<typeof client.listCdrs>[0]) =>
      (await client.listCdrs(request)).records.map(({ recordId }) => recordId);
    expect(await ids({ dialogCallId: "d2@sbc" })).toEqual(["b"]);
    expect(await ids({ correlationId: "k1" })).toEqual(["a", "b"]);
    expect(await ids({ correlationId: "k1", ...period(BASE_MS + 1, BASE_MS + 2) })).toEqual(["b"]);
    expect(await ids({ ...ALL, filter: { trunkId: "t" } })).toEqual(["c"]);
    expect(await ids({ correlationId: "none" })).toEqual([]);
  });

  test("records without an invite time, VOIDs of what never came, are listed by id once, behind all others", async () => {
    const client = await newCarrier("untimed");
    const correlation = { correlationId: "k" };
    const bare = (recordId: string) => ({ ...call(recordId, { correlation }, BASE_MS), kind: RecordKind.VOID });
    const voids = ["v1", "v2", "v3"].map((recordId) => ({ ...bare(recordId), times: undefined, lengths: undefined }));
    const untimed = voids.map((record) => create(CallDetailRecordSchema, { ...record, outcome: undefined } as never));
    await ingest(exchange, "untimed", [call("a", { correlation }, BASE_MS), ...untimed]);
    const found: string[] = [];
    let pageToken = "";
    do {
      const page = await client.listCdrs({ correlationId: "k", pageSize: 1, pageToken });
      found.push(...page.records.map(({ recordId }) => recordId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && found.length < 10);
    expect(found).toEqual(["a", "v1", "v2", "v3"]);
  });

  test("a period or an id is required, and a period is at most 92 days", async () => {
    const client = await newCarrier("windows");
    const day = 24 * HOUR_MS;
    const from = BASE_MS - 70 * day;
    expect(await refusal(client.listCdrs({}))).toMatchObject({ reason: "INVALID_ARGUMENT", field: "start_time" });
    expect((await client.listCdrs(period(from, from + 92 * day))).records).toEqual([]);
    expect(await refusal(client.listCdrs(period(from, from + 92 * day + 1)))).toMatchObject({
      code: Code.InvalidArgument,
      reason: "LIST_WINDOW_TOO_LARGE",
      limit_days: "92",
    });
    expect(await refusal(client.listCdrs(period(from, from)))).toMatchObject({ field: "end_time" });
    const far = { startTime: { seconds: 2n ** 62n, nanos: 0 }, endTime: { seconds: 2n ** 62n, nanos: 1 } };
    expect(await refusal(client.listCdrs(far))).toMatchObject({ field: "start_time" });
    expect(await refusal(client.listCdrs({ ...ALL, pageSize: -1 }))).toMatchObject({ field: "page_size" });
    expect(await refusal(client.listCdrs({ dialogCallId: "\0" }))).toMatchObject({ field: "dialog_call_id" });
  });
});

describe("GetCdr", () => {
  test("gives a record's latest revision by id, newest day first, or every leg of a call", async () => {
    const client = await newCarrier("gets");
    const nextDay = BASE_MS + 72 * HOUR_MS;
    await ingest(exchange, "gets", [
      call("same", { callId: "c1" }, BASE_MS),
      call("same", { callId: "c2" }, nextDay),
      call("leg-2", { callId: "c1" }, BASE_MS + 10),
    ]);
    await ingest(exchange, "gets", [call("same", { callId: "c1", revision: 3 }, BASE_MS)]);
    const byId = await client.getCdr({ name: { case: "recordId", value: "same" } });
    expect(byId.records.map(({ callId, revision }) => [callId, revision])).toEqual([
      ["c2", 1],
      ["c1", 3],
    ]);
    const recordDate = new Date(BASE_MS).toISOString().slice(0, 10);
    const ofDay = await client.getCdr({ name: { case: "recordId", value: "same" }, recordDate });
    expect(ofDay.records).toMatchObject([{ revision: 3 }]);
    const legs = await client.getCdr({ name: { case: "callId", value: "c1" } });
    expect(legs.records.map(({ recordId }) => recordId)).toEqual(["same", "leg-2"]);
  });

  test("a VOID is the record's latest revision, and says so", async () => {
    const client = await newCarrier("voided");
    const sent = call("v", {}, BASE_MS);
    await ingest(exchange, "voided", [sent]);
    await ingest(exchange, "voided", [call("v", { revision: 2, kind: 2 }, BASE_MS)]);
    expect((await client.getCdr({ name: { case: "recordId", value: "v" } })).records).toMatchObject([
      { revision: 2, kind: 2 },
    ]);
    expect((await client.listCdrs(ALL)).records).toMatchObject([{ revision: 2, kind: 2 }]);
  });

  test("what is not there, and what is another carrier's, is RECORD_NOT_FOUND alike", async () => {
    const [own, other] = [await newCarrier("finder"), await newCarrier("owner")];
    await ingest(exchange, "owner", [call("secret", {}, BASE_MS)]);
    const notFound = { code: Code.NotFound, reason: "RECORD_NOT_FOUND" };
    const byId = (value: string) => refusal(own.getCdr({ name: { case: "recordId", value } }));
    const refused = [await byId("secret"), await byId("nothing")];
    expect(refused).toMatchObject([
      { ...notFound, record_id: "secret" },
      { ...notFound, record_id: "nothing" },
    ]);
    expect(await refusal(own.getCdr({ name: { case: "callId", value: "call-secret" } }))).toMatchObject(notFound);
    expect((await other.getCdr({ name: { case: "recordId", value: "secret" } })).records).toHaveLength(1);
    expect((await own.listCdrs(ALL)).records).toEqual([]);
    expect(await refusal(own.getCdr({}))).toMatchObject({ field: "name" });
    const badDay = own.getCdr({ name: { case: "recordId", value: "x" }, recordDate: "2026-02-30" });
    expect(await refusal(badDay)).toMatchObject({ field: "record_date" });
  });
});
