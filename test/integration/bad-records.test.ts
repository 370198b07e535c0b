import { fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordIssue, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { BAD_RECORD_TARGETS, sendRecords } from "../support/bad-record-batches.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { FuzzClient } from "../support/fuzz-client.ts";
import { cdrUpload, durationOf, durationUpload } from "../support/upload-kinds.ts";
import { newCarrier, storedIds } from "../support/upload-store.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

const targets = BAD_RECORD_TARGETS.map((target) => ({ target, name: `${target.method.name} ${target.wire}` }));

test.each(targets)("one byte of Latin-1 in a text refuses its record alone (case 18): $name", async ({ target }) => {
  const { carrierId, client } = await connect();
  await using _client = client;
  const isCdr = target.record === CallDetailRecordSchema;
  const records = ["u1", "u2", "u3"].map((id) => {
    const json = toJson(target.record, target.recordOf(id) as never) as Record<string, unknown>;
    if (id === "u2" && isCdr) json["outcome"] = { finalSipCode: 200, reasonPhrase: "Besch~ftigt" };
    else if (id === "u2") json["customerReference"] = "M~ller";
    const text = Buffer.from(JSON.stringify(json));
    if (target.wire.endsWith("json")) return withByte(text, 0xe9);
    return withByte(Buffer.from(toBinary(target.record, fromJson(target.record, json as never))), 0xe9);
  });
  const answer = await sendRecords(client, target, { carrierId, records });
  expect(answer.failure).toBeUndefined();
  const [outcome, ...others] = answer.outcomes;
  expect(others).toEqual([]);
  expect(outcome).toMatchObject({
    recordOffset: 1n,
    recordId: "u2",
    verdict: Verdict.REJECTED,
    issue: RecordIssue.INVALID_TEXT,
    fieldPath: isCdr ? "outcome.reason_phrase" : "customer_reference",
  });
  expect(await storedIds(exchange, isCdr ? cdrUpload : durationUpload, carrierId)).toEqual(["u1", "u3"]);
});

describe("a duration in JSON", () => {
  test.each([
    ["a misspelt name", { connectedDurationMS: "5" }, RecordIssue.UNKNOWN_FIELDS, "connectedDurationMS"],
    [
      "a misspelt name inside",
      { called: { kind: 1, valeu: "+12025550123" } },
      RecordIssue.UNKNOWN_FIELDS,
      "called.valeu",
    ],
    ["an enum name that is none", { direction: "DIRECTION_OUT" }, RecordIssue.UNKNOWN_ENUM_VALUE, "direction"],
    ["a day that is in no calendar", { endTime: "2026-09-31T10:00:00Z" }, RecordIssue.FIELD_MALFORMED, "end_time"],
    ["an hour that is in no day", { endTime: "2026-09-30T24:00:00Z" }, RecordIssue.FIELD_MALFORMED, "end_time"],
    ["a text for a number", { finalSipCode: "two hundred" }, RecordIssue.UNREADABLE, "final_sip_code"],
    [
      "a number of which JSON loses digits",
      { connectedDurationMs: 2 ** 53 },
      RecordIssue.FIELD_MALFORMED,
      "connected_duration_ms",
    ],
    [
      "a number beyond 64 bits",
      { connectedDurationMs: "99999999999999999999" },
      RecordIssue.UNREADABLE,
      "connected_duration_ms",
    ],
    ["a list for a message", { calling: [] }, RecordIssue.UNREADABLE, "calling"],
    ["a number for a text inside", { calling: { kind: 1, value: 5 } }, RecordIssue.UNREADABLE, "calling.value"],
  ])("with %s is refused by the name of the field, and the others are stored", async (_, change, issue, fieldPath) => {
    const { carrierId } = await newAppender();
    const records = ["j1", "j2", "j3"].map((id) => ({
      ...(toJson(CallDurationSchema, durationOf({ id })) as object),
      ...(id === "j2" ? change : {}),
    }));
    const { status, body } = await append(carrierId, { uploadId: "u", firstOffset: 0, records });
    expect(status).toBe(200);
    expect(body.outcomes).toMatchObject([
      {
        recordOffset: "1",
        recordId: "j2",
        verdict: "VERDICT_REJECTED",
        issue: `RECORD_ISSUE_${RecordIssue[issue]}`,
        fieldPath,
      },
    ]);
    expect(await storedIds(exchange, durationUpload, carrierId)).toEqual(["j1", "j3"]);
    // It is kept as other refusals are, and seen by who sent it.
    const { rejects } = await (await exchange.carrierClient(DurationService, carrierId)).listRejects({ uploadId: "u" });
    expect(rejects.map(({ outcome }) => outcome?.fieldPath)).toEqual([fieldPath]);
    expect(rejects[0]?.recordJson).toContain("j2");
  });

  test("that is no JSON, between braces, is refused alone", async () => {
    const { carrierId } = await newAppender();
    const good = JSON.stringify(toJson(CallDurationSchema, durationOf({ id: "good" })));
    const text = `{"uploadId":"u","firstOffset":"0","records":[{"recordId":"bad",,},${good}]}`;
    const { status, body } = await append(carrierId, text);
    expect(status).toBe(200);
    expect(body.outcomes).toMatchObject([{ verdict: "VERDICT_REJECTED", issue: "RECORD_ISSUE_UNREADABLE" }]);
    expect(await storedIds(exchange, durationUpload, carrierId)).toEqual(["good"]);
  });

  test("that could not be read does not keep its upload open: what it said of its length is not compared", async () => {
    const { carrierId } = await newAppender();
    const records = [
      { ...(toJson(CallDurationSchema, durationOf({ id: "odd" })) as object), connectedDurationMs: "a minute" },
      toJson(CallDurationSchema, durationOf({ id: "good", connectedMs: 1_000 })),
    ];
    const finish = { finalOffset: 2, totals: { recordCount: 2, connectedDurationMs: 61_000 } };
    const { status, body } = await append(carrierId, { uploadId: "u", firstOffset: 0, records, finish });
    expect(status).toBe(200);
    expect(body.receipt).toMatchObject({ totals: { recordCount: "2", connectedDurationMs: "1000" } });
    const dry = { uploadId: "dry", firstOffset: 0, records, finish, validateOnly: true };
    expect((await append(carrierId, dry)).status).toBe(200);
    const wrong = { finalOffset: 1, totals: { recordCount: 1, connectedDurationMs: 5 } };
    const other = { uploadId: "other", firstOffset: 0, records: [records[1]], finish: wrong };
    expect((await append(carrierId, other)).body).toMatchObject({ code: "failed_precondition" });
  });
});

describe("whatever else is written in JSON", () => {
  test.each([
    ["NumberService/ProvisionNumbers", { requestId: "r", itmes: [] }, "itmes"],
    [
      "NumberService/ProvisionNumbers",
      { items: [{ phoneNumber: "+4510000001", numberType: "GEO" }] },
      "items[0].number_type",
    ],
    [
      "NumberService/ProvisionNumbers",
      { items: [{ effectiveTime: "2026-02-30T00:00:00Z" }] },
      "items[0].effective_time",
    ],
    ["CdrService/CommitCdrCursor", { consumer: "c", curser: "x" }, "curser"],
    ["DurationService/AppendDurations", { uploadId: "u", firstOfset: 0 }, "firstOfset"],
    ["DurationService/AppendDurations", { uploadId: "u", finish: { finalOffset: 0, total: {} } }, "finish.total"],
  ])("by %s as %j is refused by the name", async (method, request, field) => {
    const { carrierId } = await newAppender();
    const { status, body } = await post(carrierId, `/tandem.carrier.v1.${method}`, request);
    expect(status).toBe(400);
    expect(body.details?.[0]?.debug).toMatchObject({ reason: "INVALID_ARGUMENT", metadata: { field } });
  });
});

interface Answer {
  readonly outcomes?: readonly object[];
  readonly receipt?: object;
  readonly details?: readonly { readonly debug: object }[];
}

async function newAppender() {
  return { carrierId: await newCarrier(exchange) };
}

async function connect() {
  const carrierId = await newCarrier(exchange);
  const tokens = { owner: await exchange.carrierToken(carrierId), other: await exchange.platformToken() };
  return { carrierId, client: new FuzzClient(exchange.url, tokens) };
}

function append(carrierId: string, request: unknown) {
  return post(carrierId, "/tandem.carrier.v1.DurationService/AppendDurations", request);
}

async function post(carrierId: string, path: string, request: unknown): Promise<{ status: number; body: Answer }> {
  const response = await fetch(new URL(path, exchange.url), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${await exchange.carrierToken(carrierId)}`,
    },
    body: typeof request === "string" ? request : JSON.stringify(request),
  });
  return { status: response.status, body: (await response.json()) as Answer };
}

function withByte(bytes: Buffer, byte: number): Buffer {
  const at = bytes.indexOf("~");
  if (at >= 0) bytes[at] = byte;
  return bytes;
}
