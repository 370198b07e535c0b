import { equals } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CdrService, StreamCdrsResponseSchema } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { curlStream, curlUnary, readEnvelopes, runShell, STREAM_SCRIPT } from "../support/curl.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  call,
  calls,
  checkRanges,
  closingReason,
  EARLIEST,
  framesOf,
  HEAD,
  idsOf,
  ingest,
  NUMBER,
  readAll,
  recordsOf,
  untilNoStreams,
} from "../support/feed.ts";
import { fullCdr } from "../support/record-samples.ts";

const CDRS = "tandem.carrier.v1.CdrService";
const BACKFILL = { start: { earliest: {} }, end: { head: {} } };

let exchange: Exchange;
let url: string;
let token: string;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100 });
  await exchange.addCarrier("alpha", { networkIdentifiersAllowed: true });
  await exchange.assignNumbers("alpha", [NUMBER]);
  const { parties, times, direction, recordDate } = call("full");
  const full = fullCdr({ recordId: "full", recordDate, direction: direction as number, revision: 1 });
  if (parties && times) Object.assign(full, { parties, times });
  delete full.lengths;
  await ingest(exchange, "alpha", [full, ...calls("r", 1_500)]);
  ({ url } = exchange);
  token = await exchange.carrierToken("alpha");
});
afterAll(() => exchange[Symbol.asyncDispose]());

const unary = async (method: string, request: Parameters<typeof curlUnary>[3], shown = token) => {
  const { status, body, exitCode } = await curlUnary(url, shown, method, request);
  expect(exitCode).toBe(0);
  return { status, json: JSON.parse(body.toString()) as Record<string, unknown> };
};

describe("plain curl over HTTP/1.1, unary methods", () => {
  test("GetCdrFeed answers in JSON", async () => {
    const { status, json } = await unary(`${CDRS}/GetCdrFeed`, {});
    expect(status).toBe(200);
    expect(json).toMatchObject({ feedEpoch: "1", earliestSequence: "1", headSequence: "1501" });
  });

  test("GetAgreement answers in JSON", async () => {
    const { status, json } = await unary("tandem.carrier.v1.AgreementService/GetAgreement", {});
    expect(status).toBe(200);
    expect(json).toMatchObject({ agreement: { carrierId: "alpha", timeZone: "Europe/Copenhagen" } });
  });

  test("AppendDurations takes records and finishes with a receipt", async () => {
    const { recordDate } = call("d");
    const inviteTime = new Date(Date.now() - 3_600_000).toISOString();
    const record = {
      recordId: "d-1",
      recordDate,
      direction: "DIRECTION_OUTBOUND",
      answered: true,
      calling: { kind: "PARTY_KIND_E164", value: NUMBER },
      called: { kind: "PARTY_KIND_E164", value: "+12025550123" },
      inviteTime,
      connectedDurationMs: "60000",
    };
    const request = {
      uploadId: "curl-1",
      firstOffset: "0",
      records: [record],
      finish: { finalOffset: "1", totals: { recordCount: "1", connectedDurationMs: "60000" } },
    };
    for (const attempt of ["first", "repeated"]) {
      const { status, json } = await unary("tandem.carrier.v1.DurationService/AppendDurations", request);
      expect(status, attempt).toBe(200);
      expect(json, attempt).toMatchObject({
        committedOffset: "1",
        counts: { accepted: "1" },
        receipt: { finalOffset: "1" },
      });
    }
  });

  test("errors are JSON with the reason, under an HTTP status that says the same", async () => {
    const missing = await unary(`${CDRS}/GetCdr`, { recordId: "nothing" });
    expect(missing.status).toBe(404);
    expect(missing.json).toMatchObject({
      code: "not_found",
      details: [
        {
          type: "google.rpc.ErrorInfo",
          debug: { reason: "RECORD_NOT_FOUND", domain: "tandem", metadata: { record_id: "nothing" } },
        },
      ],
    });
    expect(await unary(`${CDRS}/GetCdrFeed`, {}, "nonsense")).toMatchObject({
      status: 401,
      json: { code: "unauthenticated" },
    });
    expect(await unary(`${CDRS}/GetCdr`, { recordid: 1 })).toMatchObject({
      status: 400,
      json: { code: "invalid_argument" },
    });
  });
});

describe("plain curl over HTTP/1.1, server streams", () => {
  test("StreamCdrs gives the records of a backfill, the same as a gRPC client gets in binary, then Closing and no error", async () => {
    const { exitCode, status, body } = await curlStream(url, token, `${CDRS}/StreamCdrs`, BACKFILL);
    expect([exitCode, status]).toEqual([0, 200]);
    const { messages, end } = readEnvelopes(StreamCdrsResponseSchema, body);
    checkRanges(messages);
    expect(closingReason(messages)).toBe("END_REACHED");
    expect(end).toEqual({});
    const client = await exchange.carrierClient(CdrService, "alpha");
    const binary = await readAll(client, { start: EARLIEST, end: HEAD });
    const json = recordsOf(messages);
    expect(json).toHaveLength(1_501);
    expect(json.every((record, index) => equals(CallDetailRecordSchema, record, binary.records[index] ?? record))).toBe(
      true,
    );
    expect(json[0]).toMatchObject({
      networkIdentifiers: { userAgent: "SBC/1.0" },
      attribution: { customerId: "customer-1" },
      streamQualities: [{ mosLq: 4.2 }, { mosLq: 3.9 }],
    });
  });

  test("a live stream beats in JSON, and frees its place when curl leaves", async () => {
    const request = { start: { latest: {} } };
    const { exitCode, body } = await curlStream(url, token, `${CDRS}/StreamCdrs`, request, 1);
    expect(exitCode).toBe(28); // curl's own: it ran out of time.
    const { messages, end } = readEnvelopes(StreamCdrsResponseSchema, body);
    expect(framesOf(messages).slice(0, 3)).toEqual(["opened", "caughtUp", "heartbeat"]);
    expect(end).toBeUndefined();
    await untilNoStreams(exchange);
  });

  test("an error comes in the last envelope, with its reason", async () => {
    const { status, body } = await curlStream(url, token, `${CDRS}/StreamCdrs`, { start: { cursor: "x" } });
    expect(status).toBe(200);
    const { messages, end } = readEnvelopes(StreamCdrsResponseSchema, body);
    expect(messages).toEqual([]);
    expect(end?.error).toMatchObject({
      code: "invalid_argument",
      details: [{ type: "google.rpc.ErrorInfo", debug: { reason: "CURSOR_MALFORMED" } }],
    });
  });

  test("printf and curl are all that a shell needs for a stream", async () => {
    const environment = { BODY: JSON.stringify(BACKFILL), TOKEN: token, URL: `${url}/${CDRS}/StreamCdrs` };
    const { exitCode, stdout } = await runShell(STREAM_SCRIPT, environment);
    expect(exitCode).toBe(0);
    const { messages, end } = readEnvelopes(StreamCdrsResponseSchema, stdout);
    expect(idsOf(messages)).toHaveLength(1_501);
    expect(end).toEqual({});
  });
});
