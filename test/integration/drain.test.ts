import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { connect as connectSocket } from "node:net";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createNoopMeter } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { DeliveryWatch } from "../../src/domain/delivery-watch.ts";
import { DEFAULT_LIMITS } from "../../src/domain/limits.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../src/gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { openLog } from "../../src/log.ts";
import { route } from "../../src/rpc/routes.ts";
import { openServer } from "../../src/rpc/server.ts";
import { CarrierAccess } from "../../src/rpc/shared/access/carrier-access.ts";
import { FailureLimit } from "../../src/rpc/shared/access/principal-limits.ts";
import { createMetrics } from "../../src/rpc/shared/metrics.ts";
import { openDatabase } from "../../src/store/database/database.ts";
import { Trust } from "../../src/trust/trust.ts";
import { addCarrier } from "../support/carriers.ts";
import { startExchange } from "../support/exchange.ts";
import { reasonOf } from "../support/refusal.ts";

/** A drain that waited for this would not end within a test. */
const FOR_EVER_MS = 600_000;

test("a drain tells health's watchers, ends live streams with a Closing, and frees the port at once when nothing is left", async () => {
  await using app = await startExchange({ drainMs: FOR_EVER_MS });
  await addCarrier(app.services.db, "acme");
  const health = createClient(Health, app.connect()).watch({})[Symbol.asyncIterator]();
  expect((await health.next()).value).toMatchObject({ status: Status.SERVING });
  const cdrs = createClient(CdrService, app.connect(await app.carrierToken("acme")));
  const frames = cdrs.streamCdrs({ start: { position: { case: "latest", value: {} } } })[Symbol.asyncIterator]();
  expect((await frames.next()).value?.frame.case).toBe("opened");

  const drained = app.drain();
  expect((await health.next()).value).toMatchObject({ status: Status.NOT_SERVING });
  expect(await reasonOf(health.next())).toBe("DRAINING");
  let last: string | undefined;
  const rest = (async () => {
    for (let step = await frames.next(); !step.done; step = await frames.next()) last = step.value.frame.case;
  })();
  expect(await reasonOf(rest)).toBe("DRAINING");
  expect(last).toBe("closing");
  await drained;
  expect(app.callCount).toBe(0);
  expect(app.services.slots.count).toBe(0);
  const [error] = await once(connectSocket({ port: app.port, host: "127.0.0.1" }), "error").catch((refused) => [
    refused,
  ]);
  expect(error).toMatchObject({ code: "ECONNREFUSED" });
});

test("an upload whose client has said nothing yet does not hold up the drain", async () => {
  await using app = await startExchange({ drainMs: FOR_EVER_MS });
  await addCarrier(app.services.db, "acme");
  const durations = createClient(DurationService, app.connect(await app.carrierToken("acme")));
  const silent = Promise.withResolvers<never>();
  const answers = durations.uploadDurations(
    (async function* () {
      yield await silent.promise;
    })(),
  );
  const ended = reasonOf(answers);
  await expect.poll(() => app.callCount).toBe(1);
  await app.drain();
  expect(await ended).toBe("DRAINING");
});

test("an upload whose client never says anything is ended after three heartbeats", async () => {
  await using app = await startExchange({ heartbeatIntervalMs: 50 });
  await addCarrier(app.services.db, "acme");
  const durations = createClient(DurationService, app.connect(await app.carrierToken("acme")));
  const silent = Promise.withResolvers<never>();
  const answers = durations.uploadDurations(
    (async function* () {
      yield await silent.promise;
    })(),
  );
  expect(await reasonOf(answers)).toBe("STREAM_IDLE");
  await expect.poll(() => app.services.slots.count).toBe(0);
});

test("a client's connection is closed with a GOAWAY that blames nobody, and an idle one at once", async () => {
  await using app = await startExchange();
  const session = connectHttp2(app.url);
  await once(session, "remoteSettings");
  const goaway = once(session, "goaway");
  const closed = once(session, "close");
  await app.drain();
  expect((await goaway)[0]).toBe(0);
  await closed;
});

test("a call in flight may end during the drain", async () => {
  const gate = Promise.withResolvers<void>();
  await using server = await openBareServer(async function* () {
    yield {};
    await gate.promise;
    yield {};
  }, 10_000);
  const transport = createGrpcTransport({ baseUrl: server.url });
  const answers = createClient(ServerReflection, transport).serverReflectionInfo(nothing())[Symbol.asyncIterator]();
  await answers.next();
  const drained = server.drain();
  gate.resolve();
  expect((await answers.next()).done).toBe(false);
  expect((await answers.next()).done).toBe(true);
  await drained;
});

test("a call that comes with the drain is refused as not processed, so that its client may repeat it", async () => {
  await using server = await openBareServer(async function* (_, context) {
    yield {};
    await once(context.signal, "abort");
  }, 300);
  const session = connectHttp2(server.url);
  const headers = { ":method": "POST", "content-type": "application/grpc+proto" };
  const before = session.request({ ...headers, ":path": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" });
  await once(before, "response");
  const drained = server.drain();
  const late = session.request({ ...headers, ":path": "/tandem.carrier.v1.CdrService/GetCdrFeed" });
  await once(late, "error");
  expect(late.rstCode).toBe(constants.NGHTTP2_REFUSED_STREAM);
  await drained;
});

test("a call that heeds its signal is aborted with UNAVAILABLE before the time is over", async () => {
  await using server = await openBareServer(async function* (_, context) {
    yield {};
    await once(context.signal, "abort");
    context.signal.throwIfAborted();
  }, 400);
  const answers = createClient(ServerReflection, createGrpcTransport({ baseUrl: server.url })).serverReflectionInfo(
    nothing(),
  );
  const iterator = answers[Symbol.asyncIterator]();
  await iterator.next();
  const drained = server.drain();
  expect(await reasonOf(iterator.next())).toBe("DRAINING");
  await drained;
});

test("a call that heeds nothing is destroyed when the time is over", async () => {
  await using server = await openBareServer(async function* () {
    yield {};
    await new Promise(() => {});
  }, 200);
  const answers = createClient(ServerReflection, createGrpcTransport({ baseUrl: server.url })).serverReflectionInfo(
    nothing(),
  );
  const iterator = answers[Symbol.asyncIterator]();
  await iterator.next();
  const cut = expect(iterator.next()).rejects.toThrow();
  const startedMs = performance.now();
  await server.drain();
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(190);
  await cut;
});

type Reflect = Parameters<typeof route<typeof ServerReflection>>[1]["serverReflectionInfo"];

/** A server with one method of the test's own, which anyone may call. */
async function openBareServer(serverReflectionInfo: NonNullable<Reflect>, drainMs: number) {
  const log = openLog("silent");
  // Never connected: nobody needs a principal here.
  const db = openDatabase({ url: "postgres://127.0.0.1:1/none" });
  return await openServer({
    host: "127.0.0.1",
    port: 0,
    tls: undefined,
    limits: { ...DEFAULT_LIMITS, drainMs },
    reflection: false,
    routes: [route(ServerReflection, { serverReflectionInfo }), route(CdrService, {})],
    auth: {
      tokens: undefined,
      failures: new FailureLimit(0),
      denials: undefined,
      signsTokens: false,
      platformIdentities: new Map(),
      access: new CarrierAccess({ db, region: undefined, cacheMs: 0 }),
      trust: new Trust(),
    },
    log,
    metrics: createMetrics(createNoopMeter()),
    deliveries: new DeliveryWatch(),
    draining: new AbortController(),
  });
}

async function* nothing(): AsyncGenerator<never> {}
