import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { json as readJson, text } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { create, type DescMethod, toBinary } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CallOptions, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { GetUploadRequestSchema } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { listMethods } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

const METHODS = [...(await listMethods("carrier")), ...(await listMethods("platform"))];
const hasGet = ({ idempotency }: DescMethod) => idempotency === Idempotency.NO_SIDE_EFFECTS;
const pathOf = ({ name, parent }: DescMethod) => `/${parent.typeName}/${name}`;
const JSON_QUERY = "?connect=v1&encoding=json&message=%7B%7D";
const UPLOAD = "/tandem.carrier.v1.DurationService/GetUpload";

let app: Exchange;
const tokens = { carrier: "", platform: "" };
beforeAll(async () => {
  app = await startExchange();
  await app.addCarrier("alpha");
  tokens.carrier = await app.carrierToken("alpha");
  tokens.platform = await app.platformToken();
});
afterAll(() => app?.[Symbol.asyncDispose]());

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

function bearerOf(path: string): string {
  return path.startsWith("/tandem.carrier") ? tokens.carrier : tokens.platform;
}

async function get(path: string, token = bearerOf(path)): Promise<Answer> {
  const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    httpRequest(new URL(path, app.url), { agent: false, headers }, resolve).once("error", reject).end();
  });
  const said = await text(response);
  return { status: response.statusCode, headers: response.headers, body: said ? JSON.parse(said) : {} };
}

function expectUncached({ headers }: Pick<Answer, "headers">): void {
  expect(headers["cache-control"]).toBe("private, no-store");
  expect(headers.vary).toContain("Authorization");
}

describe("a GET", () => {
  test.each(METHODS.filter(hasGet).map(pathOf))("is answered by %s, and kept by no cache", async (path) => {
    const answer = await get(path + JSON_QUERY);
    // 400 and 404: an empty request may lack what the method needs.
    expect([200, 400, 404]).toContain(answer.status);
    if (answer.status !== 200)
      expect(answer.body).toMatchObject({ code: expect.stringMatching(/^(invalid_argument|not_found)$/) });
    expectUncached(answer);
  });

  test.each(METHODS.filter((method) => !hasGet(method)).map(pathOf))(
    "is refused by its HTTP method at %s",
    async (path) => {
      const answer = await get(path + JSON_QUERY);
      // 505: two-way streams are refused for HTTP/1.1 before that.
      expect([405, 415, 505]).toContain(answer.status);
      expectUncached(answer);
      if (answer.status === 405) expect(answer.headers.allow).toBe("POST");
    },
  );

  test("is kept by no cache where it is refused, or for nothing that there is", async () => {
    for (const path of [`/tandem.carrier.v1.CdrService/GetCdrFeed${JSON_QUERY}`, `/nothing${JSON_QUERY}`]) {
      const answer = await get(path, "");
      expect([401, 404]).toContain(answer.status);
      expectUncached(answer);
    }
  });

  test.each([
    ["JSON", `encoding=json&message=${encodeURIComponent('{"uploadId":"u"}')}`],
    ["JSON in base64", `encoding=json&base64=1&message=${Buffer.from('{"uploadId":"u"}').toString("base64url")}`],
    ["binary", `encoding=proto&base64=1&message=${binary("u").toString("base64url")}`],
    ["gzip", `encoding=proto&base64=1&compression=gzip&message=${gzipSync(binary("u")).toString("base64url")}`],
    ["padded base64", `encoding=proto&base64=1&message=${encodeURIComponent(binary("u").toString("base64"))}`],
  ])("takes its message in %s", async (_name, query) => {
    const answer = await get(`${UPLOAD}?connect=v1&${query}`);
    expect(answer).toMatchObject({ status: 404, body: { code: "not_found", message: expect.stringContaining("u") } });
  });

  test("with a name that the contract does not have is refused with that name, as a POST is", async () => {
    const message = encodeURIComponent('{"uploadId":"u","uploadID":"v"}');
    const answer = await get(`${UPLOAD}?connect=v1&encoding=json&message=${message}`);
    expect(answer).toMatchObject({ status: 400, body: { message: expect.stringContaining("uploadID") } });
  });

  test.each([
    [
      "inflates to more than a message may have",
      `compression=gzip&message=${gzipSync(Buffer.alloc(6_000_000)).toString("base64url")}`,
      429,
    ],
    ["is no gzip", `compression=gzip&message=${binary("u").toString("base64url")}`, 400],
    ["is no message", "message=_____w", 400],
    ["is compressed by something unknown", `compression=br&message=${binary("u").toString("base64url")}`, 501],
  ])("whose message %s is refused, and the server answers on", async (_name, query, status) => {
    const answer = await get(`${UPLOAD}?connect=v1&encoding=proto&base64=1&${query}`);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ code: expect.any(String) });
    expectUncached(answer);
    expect(app.heldBytes).toEqual({ received: 0, decoded: 0 });
  });

  test.each(["1.1", "2"] as const)(
    "is what Connect's client sends over HTTP/%s, if it is asked to",
    async (httpVersion) => {
      const bearer: Interceptor = (next) => (request) => {
        request.header.set("authorization", `Bearer ${tokens.carrier}`);
        return next(request);
      };
      const transport = createConnectTransport({
        baseUrl: app.url,
        httpVersion,
        useHttpGet: true,
        interceptors: [bearer],
        idleConnectionTimeoutMs: 1_000,
      });
      let headers = new Headers();
      const options: CallOptions = {
        onHeader: (given) => {
          headers = given;
        },
      };
      const { agreement } = await createClient(AgreementService, transport).getAgreement({}, options);
      expect(agreement?.carrierId).toBe("alpha");
      expect(headers.get("cache-control")).toBe("private, no-store");
      expect(headers.get("vary")).toContain("Authorization");
      // A method without a GET is sent as a POST, whose answer has neither.
      await createClient(CdrService, transport).resolveCdrCursor({ ingestTime: timestampFromMs(0) }, options);
      expect(headers.get("cache-control")).toBe(null);
    },
  );
});

function binary(uploadId: string): Buffer {
  return Buffer.from(toBinary(GetUploadRequestSchema, create(GetUploadRequestSchema, { uploadId })));
}

describe("a stream", () => {
  test.each([
    { protocol: "grpc", httpVersion: "2" },
    { protocol: "grpc-web", httpVersion: "2" },
    { protocol: "grpc-web", httpVersion: "1.1" },
    { protocol: "connect", httpVersion: "2" },
    { protocol: "connect", httpVersion: "1.1" },
  ] as const)("of $protocol over HTTP/$httpVersion asks proxies to hold nothing back", async (dialect) => {
    const cdrs = createClient(CdrService, app.connect(tokens.carrier, dialect));
    let buffering: string | null = null;
    const options: CallOptions = {
      onHeader: (headers) => {
        buffering = headers.get("x-accel-buffering");
      },
    };
    const stream = cdrs.streamCdrs(
      { start: { position: { case: "earliest", value: {} } }, end: { position: { case: "head", value: {} } } },
      options,
    );
    for await (const _ of stream);
    expect(buffering).toBe("no");
    await cdrs.getCdrFeed({}, options);
    expect(buffering).toBe(null);
  });

  test("that is refused asks for it too", async () => {
    const session = connectHttp2(app.url);
    try {
      const stream = session.request({
        ":method": "POST",
        ":path": "/tandem.carrier.v1.CdrService/StreamCdrs",
        "content-type": "application/connect+json",
      });
      const headers = await new Promise<IncomingHttpHeaders>((resolve) => stream.once("response", resolve));
      stream.end();
      await readJson(stream).catch(() => {});
      expect(headers["x-accel-buffering"]).toBe("no");
    } finally {
      session.destroy();
    }
  });
});
