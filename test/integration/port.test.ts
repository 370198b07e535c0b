import { execFile } from "node:child_process";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectSocket } from "node:net";
import { promisify } from "node:util";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../src/gen/grpc/health/v1/health_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { reasonOf, refusalOf } from "../support/refusal.ts";

let app: Exchange;
beforeAll(async () => {
  app = await startExchange();
});
afterAll(() => app[Symbol.asyncDispose]());

const dialects = [
  { protocol: "grpc", httpVersion: "2" },
  { protocol: "grpc-web", httpVersion: "2" },
  { protocol: "grpc-web", httpVersion: "1.1" },
  { protocol: "connect", httpVersion: "2" },
  { protocol: "connect", httpVersion: "1.1" },
] as const;

test.each(dialects)(
  "one port answers $protocol over HTTP/$httpVersion: unary, stream, and errors with their reason",
  async (dialect) => {
    const health = createClient(Health, app.connect(undefined, dialect));
    expect((await health.check({})).status).toBe(Status.SERVING);
    expect((await health.check({ service: UsageService.typeName })).status).toBe(Status.SERVING);
    expect((await refusalOf(health.check({ service: "unknown.Service" })))?.code).toBe(Code.NotFound);

    const stop = new AbortController();
    const watch = health.watch({ service: "unknown.Service" }, { signal: stop.signal })[Symbol.asyncIterator]();
    expect((await watch.next()).value?.status).toBe(Status.SERVICE_UNKNOWN);
    stop.abort();

    const usage = createClient(UsageService, app.connect(undefined, dialect));
    expect(await reasonOf(usage.closePeriod({}))).toBe("UNAUTHENTICATED");
    expect(await reasonOf(usage.exportUsage({}))).toBe("UNAUTHENTICATED");
  },
);

test.each(dialects)(
  "a message over 4 MiB, where anyone may call over 4 KiB, is refused with its reason: $protocol over HTTP/$httpVersion",
  async (dialect) => {
    const health = createClient(Health, app.connect(undefined, dialect));
    const usage = createClient(UsageService, app.connect(await app.platformToken(), dialect));
    const large = "x".repeat(5 * 1024 * 1024);
    for (const [call, limit] of [
      [health.check({ service: large }), "4096"],
      [usage.closePeriod({ customerId: large }), "4194304"],
    ] as const) {
      const error = await refusalOf(call);
      expect(error?.code).toBe(Code.ResourceExhausted);
      expect(error?.findDetails(ErrorInfoSchema)).toMatchObject([
        { reason: "MESSAGE_TOO_LARGE", metadata: { limit, unit: "bytes" } },
      ]);
    }
  },
);

test("a name that is listed by health is a service of the contract, the server, or the database's timeline", async () => {
  const { statuses } = await createClient(Health, app.connect()).list({});
  const services = Object.keys(statuses).filter((name) => /^tandem\.(carrier|platform)\.v1\./.test(name));
  expect(services).toHaveLength(11);
  expect(Object.keys(statuses).filter((name) => !services.includes(name))).toEqual(["", "tandem.database.timeline"]);
  expect(statuses[""]?.status).toBe(Status.SERVING);
});

test("a plain HTTP/1.1 client calls a unary method with JSON, and gets errors as JSON", async () => {
  const good = await postJson("/grpc.health.v1.Health/Check", "{}");
  expect(good).toMatchObject({ status: 200, body: { status: "SERVING" } });
  const bad = await postJson("/grpc.health.v1.Health/Check", "{");
  expect(bad).toMatchObject({
    status: 400,
    body: { code: "invalid_argument", details: [{ debug: { reason: "INVALID_ARGUMENT" } }] },
  });
  const unknown = await postJson("/tandem.carrier.v1.CdrService/Nothing", "{}");
  expect(unknown).toMatchObject({ status: 404, body: { code: "unimplemented" } });
});

test.each(["--http1.1", "--http2", "--http2-prior-knowledge"])(
  "curl %s reaches a unary method and a server stream",
  async (version) => {
    const type = ["-H", "content-type: application/json"];
    const unary = await curl([version, ...type, "-d", "{}", `${app.url}/grpc.health.v1.Health/Check`]);
    expect(JSON.parse(unary.toString())).toEqual({ status: "SERVING" });

    // A stream's messages have five bytes before them: flags and length.
    const envelope = Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from("{}")]);
    const streamType = ["-H", "content-type: application/connect+json"];
    const stream = await curl(
      [version, ...streamType, "--max-time", "5", "--data-binary", "@-", `${app.url}/grpc.health.v1.Health/Watch`],
      envelope,
    );
    expect(stream.subarray(5).toString()).toBe('{"status":"SERVING"}');
  },
);

test("a browser's visit gets a hint", async () => {
  const page = await curl([app.url]);
  expect(page.toString()).toContain("gRPC server");
});

test("HTTP/2 begins also when its preface comes byte by byte", async () => {
  const socket = connectSocket({ port: app.port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  for (const byte of Buffer.concat([preface, emptySettings])) {
    await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const [answer] = (await once(socket, "data")) as [Buffer];
  // A SETTINGS frame: HTTP/2 is spoken.
  expect(answer[3]).toBe(4);
  socket.destroy();
});

test("what is no request at all is refused, and the server lives on", async () => {
  const requests = [
    "POST /grpc.health.v1.Health/Check HTTP/1.0\r\ncontent-type: application/json\r\n\r\n",
    "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: [\r\nconnection: close\r\n\r\n",
    "POST http://%zz/grpc.health.v1.Health/Check HTTP/1.1\r\nhost: %zz\r\nconnection: close\r\n\r\n",
    "\u0016\u0003\u0001 this is TLS to a cleartext port\r\n\r\n",
  ];
  for (const text of requests) {
    const socket = connectSocket({ port: app.port, host: "127.0.0.1" });
    socket.write(text);
    const answer = Buffer.concat(await Array.fromAsync(socket)).toString();
    expect(answer, text).toMatch(/^HTTP\/1\.1 4\d\d/);
  }
  expect((await postJson("/grpc.health.v1.Health/Check", "{}")).status).toBe(200);
});

test("the flow-control windows are raised, and a connection's streams are limited", async () => {
  const session = connectHttp2(app.url);
  await once(session, "remoteSettings");
  expect(session.remoteSettings).toMatchObject({
    initialWindowSize: 1_048_576,
    maxConcurrentStreams: 250,
    maxHeaderListSize: 16_384,
  });
  await new Promise((resolve) => session.ping(resolve));
  expect(session.state.remoteWindowSize).toBeGreaterThanOrEqual(8 * 1_048_576);
  session.destroy();
});

test("permission is judged before the body: a caller without it learns nothing of its request", async () => {
  const refused = await postJson("/tandem.platform.v1.UsageService/QueryUsage", "{ this is no JSON");
  expect(refused).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
});

test("a request that cannot be protobuf is the client's mistake, not a fault of ours", async () => {
  const headers = { "content-type": "application/proto" };
  const { status, body } = await post("/grpc.health.v1.Health/Check", Buffer.from([0xff, 0xff, 0xff]), headers);
  expect(status).toBe(400);
  expect(JSON.parse(body)).toMatchObject({ code: "invalid_argument" });
  expect(app.logged).toEqual([]);
});

async function curl(args: string[], input?: Buffer): Promise<Buffer> {
  const run = promisify(execFile)("curl", ["--silent", ...args], { encoding: "buffer" });
  run.child.stdin?.end(input);
  // 28: the stream was still open when the time was over, as it should be.
  const { stdout } = await run.catch((error: { code: number; stdout: Buffer }) => {
    if (error.code === 28) return { stdout: error.stdout };
    throw error;
  });
  return stdout;
}

async function postJson(path: string, body: string): Promise<{ status: number | undefined; body: unknown }> {
  const answer = await post(path, Buffer.from(body), { "content-type": "application/json" });
  return { status: answer.status, body: JSON.parse(answer.body) };
}

async function post(path: string, body: Buffer, headers: Record<string, string>) {
  const request = httpRequest(`${app.url}${path}`, { method: "POST", headers, agent: false });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { status: response.statusCode, body: Buffer.concat(await Array.fromAsync(response)).toString() };
}
