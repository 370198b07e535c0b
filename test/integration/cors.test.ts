// Pages of other origins, as a browser asks for them: by real requests, since no client of ours
// sends an Origin.
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { buffer } from "node:stream/consumers";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GetCdrFeedRequestSchema } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { envelope } from "../support/curl.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

const ORIGIN = "https://console.example.com";
const METHOD = "/tandem.carrier.v1.CdrService/GetCdrFeed";
const STREAM = "/tandem.carrier.v1.CdrService/StreamCdrs";

let app: Exchange;
let closed: Exchange;
let token: string;
beforeAll(async () => {
  app = await startExchange({ corsOrigins: `${ORIGIN} http://localhost:5173` });
  closed = await startExchange();
  await app.addCarrier("alpha");
  token = await app.carrierToken("alpha");
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await closed?.[Symbol.asyncDispose]();
});

interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly url?: string;
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function overHttp1({ method = "POST", path = METHOD, headers, body, url = app.url }: Sent): Promise<Answer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest(new URL(path, url), { method, headers, agent: false }, resolve).once("error", reject).end(body);
  });
  return { status: response.statusCode, headers: response.headers, body: await buffer(response) };
}

async function overHttp2({ method = "POST", path = METHOD, headers, body, url = app.url }: Sent): Promise<Answer> {
  const session = connectHttp2(url);
  try {
    const stream = session.request({ ...headers, ":method": method, ":path": path });
    const head = new Promise<IncomingHttpHeaders>((resolve, reject) =>
      stream.once("response", resolve).once("error", reject),
    );
    stream.end(body);
    const answer = await head;
    return { status: Number(answer[":status"]), headers: answer, body: await buffer(stream) };
  } finally {
    session.destroy();
  }
}

const asks = (origin: string, method = "POST") => ({
  origin,
  "access-control-request-method": method,
  "access-control-request-headers": "authorization,connect-protocol-version,content-type",
});
const calls = (type: string, origin = ORIGIN) => ({ origin, "content-type": type, authorization: `Bearer ${token}` });
const listOf = (header: unknown) => String(header).toLowerCase().split(", ");
const corsOf = ({ headers }: Answer) => Object.keys(headers).filter((name) => name.startsWith("access-control-"));
const message = () => {
  const bytes = toBinary(GetCdrFeedRequestSchema, create(GetCdrFeedRequestSchema));
  return Buffer.concat([Buffer.from([0, 0, 0, 0, bytes.length]), bytes]);
};

describe.each([
  ["HTTP/1.1", overHttp1],
  ["HTTP/2", overHttp2],
])("over %s", (_version, send) => {
  test.each([ORIGIN, "http://localhost:5173"])("a preflight of %s is allowed, without a credential", async (origin) => {
    const answer = await send({ method: "OPTIONS", headers: asks(origin) });
    expect(answer.status).toBe(204);
    expect(answer.body).toHaveLength(0);
    expect(answer.headers["access-control-allow-origin"]).toBe(origin);
    expect(answer.headers["access-control-allow-credentials"]).toBeUndefined();
    expect(listOf(answer.headers["access-control-allow-methods"])).toEqual(["post", "get"]);
    expect(listOf(answer.headers["access-control-allow-headers"])).toEqual(
      expect.arrayContaining([
        ...["authorization", "content-type", "connect-protocol-version", "connect-timeout-ms"],
        ...["x-grpc-web", "x-user-agent", "grpc-timeout"],
      ]),
    );
    expect(Number(answer.headers["access-control-max-age"])).toBeGreaterThan(0);
    expect(answer.headers.vary).toContain("Origin");
  });

  test.each(["https://other.example.com", "null", `${ORIGIN}.evil.example`, "https://console.example.com:444"])(
    "a page of %s is not let in, and its preflight is refused",
    async (origin) => {
      const preflight = await send({ method: "OPTIONS", headers: asks(origin) });
      expect(preflight.status).toBe(403);
      expect(corsOf(preflight)).toEqual([]);
      expect(preflight.headers.vary).toContain("Origin");
      const call = await send({ headers: calls("application/json", origin), body: "{}" });
      expect(corsOf(call)).toEqual([]);
    },
  );

  test("a page reads Connect's answer, a refusal, and that a method is not there", async () => {
    const answers = [
      await send({ headers: calls("application/json"), body: "{}" }),
      await send({ headers: { ...calls("application/json"), authorization: "Bearer x" }, body: "{}" }),
      await send({ path: "/tandem.carrier.v9.CdrService/GetCdrFeed", headers: calls("application/json"), body: "{}" }),
      await send({ method: "GET", path: `${METHOD}?encoding=json&message=%7B%7D`, headers: calls("application/json") }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 404, 200]);
    for (const { headers } of answers) {
      expect(headers["access-control-allow-origin"]).toBe(ORIGIN);
      expect(headers.vary).toContain("Origin");
    }
    expect(answers[3]?.headers.vary).toContain("Authorization");
  });

  test("a page reads gRPC-Web's answer, its trailers, and the details of a refusal", async () => {
    const answer = await send({
      headers: { ...calls("application/grpc-web+proto"), "x-grpc-web": "1" },
      body: message(),
    });
    expect(answer).toMatchObject({ status: 200, headers: { "access-control-allow-origin": ORIGIN } });
    expect(listOf(answer.headers["access-control-expose-headers"])).toEqual(
      expect.arrayContaining(["grpc-status", "grpc-message", "grpc-status-details-bin"]),
    );
    expect(answer.body.toString("latin1")).toContain("grpc-status: 0");
  });

  test("a page reads a stream of either protocol to its end", async () => {
    const request = { start: { earliest: {} }, end: { head: {} } };
    const connect = await send({ path: STREAM, headers: calls("application/connect+json"), body: envelope(request) });
    expect(connect).toMatchObject({ status: 200, headers: { "access-control-allow-origin": ORIGIN } });
    expect(connect.body.toString("latin1")).toContain('"opened"');
  });

  test("without the setting no answer has a word of it", async () => {
    const preflight = await send({ method: "OPTIONS", headers: asks(ORIGIN), url: closed.url });
    expect(preflight.status).toBe(405);
    const call = await send({ headers: calls("application/json"), body: "{}", url: closed.url });
    expect([...corsOf(preflight), ...corsOf(call)]).toEqual([]);
    expect(call.headers.vary).toBeUndefined();
  });
});
