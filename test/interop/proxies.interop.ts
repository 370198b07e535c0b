import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { App } from "../../src/app.ts";
import { memoryCursorStore } from "../../src/client/cursor-store.ts";
import { followCdrs } from "../../src/client/follow-cdrs.ts";
import type { FeedEvent } from "../../src/client/follow-feed.ts";
import { createTandemTransport, type TandemTransport } from "../../src/client/transport.ts";
import type { UploadEvent } from "../../src/client/upload.ts";
import { uploadDurations } from "../../src/client/upload-durations.ts";
import { arraySource } from "../../src/client/upload-source.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  calls,
  EARLIEST,
  HEAD,
  idsOf,
  ingest,
  LATEST,
  NUMBER,
  readAll,
  readFeed,
  runSql,
  until,
} from "../support/feed.ts";
import { findProxy, openProxy, PROXIES, type ProxyName, type RunningProxy, replaceIn } from "../support/proxies.ts";
import { findToolchain, installPackages } from "./toolchain.ts";

/** Far more than what a proxy lets through by default: some 5 MiB. */
const UPLOAD_RECORDS = 20_000;
/** Messages of which the delay is measured. */
const MESSAGES = 20;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 1_000, maxFeedStreams: 20 });
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

let carrierCount = 0;
async function newCarrier(): Promise<string> {
  carrierCount += 1;
  const carrierId = `carrier-${carrierCount}`;
  await exchange.addCarrier(carrierId);
  await exchange.assignNumbers(carrierId, [NUMBER]);
  return carrierId;
}

/** The carrier's connection through a proxy. */
async function connectThrough(proxy: RunningProxy, carrierId: string) {
  const token = await exchange.carrierToken(carrierId);
  return createTandemTransport({ baseUrl: proxy.url, token, tls: { ca: proxy.ca } });
}

/** As browsers and tools come: by HTTP/1.1. */
async function connectByHttp1(proxy: RunningProxy, carrierId: string, protocol: "connect" | "grpc-web") {
  const token = await exchange.carrierToken(carrierId);
  const bearer: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const create = protocol === "connect" ? createConnectTransport : createGrpcWebTransport;
  return create({
    baseUrl: proxy.url,
    httpVersion: "1.1",
    nodeOptions: { ca: proxy.ca },
    interceptors: [bearer],
  });
}

async function prepareProxy(name: ProxyName): Promise<string> {
  const isThere = async () => (await findProxy(name)) !== undefined;
  if (!(await isThere())) await installPackages([name]);
  const program = await findProxy(name);
  if (program === undefined) throw new Error(`${name} was installed, and is not there`);
  return program;
}

function someDurations(count: number): CallDuration[] {
  const startMs = Date.now() - 6 * 3_600_000;
  return Array.from({ length: count }, (_, index) =>
    create(CallDurationSchema, {
      recordId: `d-${index}`,
      recordDate: new Date(startMs).toISOString().slice(0, 10),
      direction: 1,
      calling: { kind: 1, value: NUMBER },
      called: { kind: 1, value: "+12025550123" },
      inviteTime: timestampFromMs(startMs + index),
      answerTime: timestampFromMs(startMs + index + 4_000),
      answered: true,
      connectedDurationMs: 60_000n,
      correlation: { interconnectDialog: { callId: `${"c".repeat(100)}-${index}`, fromTag: "f", toTag: "t" } },
    }),
  );
}

/** Follows a feed from where it is, until disposed. */
async function follow(proxy: RunningProxy, carrierId: string) {
  const transport = await connectThrough(proxy, carrierId);
  const stop = new AbortController();
  const ids: string[] = [];
  const events: FeedEvent["kind"][] = [];
  const done = followCdrs(createClient(CdrService, transport), {
    start: { case: "latest", value: {} },
    store: memoryCursorStore(),
    signal: stop.signal,
    retry: { initialDelayMs: 10, maxDelayMs: 200 },
    onEvent: ({ kind }) => void events.push(kind),
    apply: async ({ entries }) => {
      for (const { entry } of entries) if (entry.case === "record") ids.push(entry.value.recordId);
    },
  });
  await until(() => events.includes("CAUGHT_UP"), true);
  return {
    ids,
    events,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
      transport[Symbol.dispose]();
    },
  };
}

async function restartBehind(open: (url: string) => Promise<RunningProxy>): Promise<void> {
  const carrierId = await newCarrier();
  let behind: App = await exchange.openSecondApp();
  const place = new URL(behind.url);
  await using proxy = await open(behind.url);
  await using follower = await follow(proxy, carrierId);
  await ingest(exchange, carrierId, calls("before", 10));
  await until(() => follower.ids.length, 10);
  using transport = await connectThrough(proxy, carrierId);
  const source = arraySource(someDurations(UPLOAD_RECORDS));
  const retry = { initialDelayMs: 10, maxDelayMs: 200 };
  const committed: number[] = [];
  const onEvent = (event: UploadEvent) => event.kind === "COMMITTED" && void committed.push(event.committedOffset);
  const uploading = uploadDurations(createClient(DurationService, transport), {
    uploadId: "cut",
    source,
    retry,
    onEvent,
  });
  await until(() => committed.length > 0, true);
  await behind[Symbol.asyncDispose]();
  behind = await exchange.openSecondApp({ port: Number(place.port) });
  await ingest(exchange, carrierId, calls("after", 10));
  const { receipt } = await uploading;
  expect(receipt.counts?.accepted).toBe(BigInt(UPLOAD_RECORDS));
  await until(() => follower.ids.length, 20);
  expect(new Set(follower.ids).size).toBe(20);
  expect(follower.events).toContain("RESUMING");
  const stored = sql<{
    count: bigint;
  }>`SELECT count(*) AS count FROM duration_record WHERE carrier_id = ${carrierId}`;
  expect(await runSql(exchange, stored)).toEqual([{ count: BigInt(UPLOAD_RECORDS) }]);
}

describe.each(PROXIES)("behind %s with the file that is shipped", async (name) => {
  const found = await findToolchain(name, () => prepareProxy(name));
  const why = "missing" in found ? ` (skipped: ${found.missing})` : "";
  const open = (change?: (file: string) => string, url = exchange.url) => {
    if ("missing" in found) throw new Error(found.missing);
    return openProxy(name, found.tools, url, change);
  };
  const check = test.skipIf("missing" in found);

  check(
    `an upload of some MiB and a feed go through by gRPC, and a feed by Connect and by gRPC-Web${why}`,
    async () => {
      await using proxy = await open();
      const carrierId = await newCarrier();
      using transport = await connectThrough(proxy, carrierId);
      const source = arraySource(someDurations(UPLOAD_RECORDS));
      const events: UploadEvent["kind"][] = [];
      const { receipt } = await uploadDurations(createClient(DurationService, transport), {
        uploadId: "large",
        source,
        onEvent: ({ kind }) => void events.push(kind),
      });
      expect(events).not.toContain("CUT");
      expect(receipt.counts?.accepted).toBe(BigInt(UPLOAD_RECORDS));
      await ingest(exchange, carrierId, calls("r", 2_500));
      const transports = [
        transport,
        await connectByHttp1(proxy, carrierId, "connect"),
        await connectByHttp1(proxy, carrierId, "grpc-web"),
      ];
      for (const each of transports) {
        const { ids } = await readAll(createClient(CdrService, each), { start: EARLIEST, end: HEAD });
        expect(ids).toEqual(calls("r", 2_500).map(({ recordId }) => recordId));
      }
    },
  );

  check(`what is refused keeps its reason on the way${why}`, async () => {
    await using proxy = await open();
    const carrierId = await newCarrier();
    for (const transport of [
      await connectThrough(proxy, carrierId),
      await connectByHttp1(proxy, carrierId, "connect"),
      await connectByHttp1(proxy, carrierId, "grpc-web"),
    ]) {
      const asked = createClient(CdrService, transport).getCdr({ name: { case: "recordId", value: "none" } });
      await expect(asked).rejects.toMatchObject({ code: Code.NotFound });
      if (Symbol.dispose in transport) (transport as TandemTransport)[Symbol.dispose]();
    }
  });

  check(`while Tandem is away, every call says UNAVAILABLE, so that clients come back${why}`, async () => {
    const away = await exchange.openSecondApp();
    await using proxy = await open(undefined, away.url);
    const carrierId = await newCarrier();
    await away[Symbol.asyncDispose]();
    using transport = await connectThrough(proxy, carrierId);
    for (const each of [transport, await connectByHttp1(proxy, carrierId, "connect")]) {
      const asked = createClient(CdrService, each).getCdr({ name: { case: "recordId", value: "none" } });
      await expect(asked).rejects.toMatchObject({ code: Code.Unavailable });
    }
  });

  check(`a reload of the proxy cuts no stream, and lets new ones in${why}`, async () => {
    await using proxy = await open();
    const carrierId = await newCarrier();
    await using follower = await follow(proxy, carrierId);
    await ingest(exchange, carrierId, calls("before", 10));
    await until(() => follower.ids.length, 10);
    proxy.reload();
    using another = await connectThrough(proxy, carrierId);
    expect((await readAll(createClient(CdrService, another), { start: EARLIEST, end: HEAD })).ids).toHaveLength(10);
    await ingest(exchange, carrierId, calls("after", 10));
    await until(() => follower.ids.length, 20);
    expect(new Set(follower.ids).size).toBe(20);
    expect(follower.events).not.toContain("CUT");
  });

  check(`a restart of Tandem behind it loses and doubles nothing${why}`, () =>
    restartBehind((url) => open(undefined, url)),
  );
});

const isInstalled = {
  nginx: (await findProxy("nginx")) !== undefined,
  haproxy: (await findProxy("haproxy")) !== undefined,
};
describe("what programs do by default", () => {
  test.skipIf(!isInstalled.haproxy)(
    "HAProxy holds back each message of Connect over HTTP/1.1; with the shipped file it does not",
    async () => {
      const program = (await findProxy("haproxy")) ?? "";
      const carrierId = await newCarrier();
      const delays: number[] = [];
      // It does so where it does not end TLS.
      const withoutTls = (file: string) => file.replace(/ ssl crt \S+ alpn \S+/, "");
      const toDefaults = (file: string) => replaceIn(withoutTls(file), { "option http-no-delay": "", " proto h2": "" });
      for (const change of [withoutTls, toDefaults]) {
        await using proxy = await openProxy("haproxy", program, exchange.url, change);
        const bare = { ...proxy, url: proxy.url.replace("https:", "http:") };
        delays.push(await delayOf(await connectByHttp1(bare, carrierId, "connect"), carrierId));
      }
      const [shipped = 0, byDefault = 0] = delays;
      expect(byDefault / shipped, `${byDefault} ms over ${shipped} ms`).toBeGreaterThan(3);
    },
  );

  test.skipIf(!isInstalled.nginx)("nginx cuts an upload after 1 MiB; with the shipped file it does not", async () => {
    const program = (await findProxy("nginx")) ?? "";
    const carrierId = await newCarrier();
    const byDefault = (file: string) => replaceIn(file, { "client_max_body_size 0;": "" });
    await using proxy = await openProxy("nginx", program, exchange.url, byDefault);
    using transport = await connectThrough(proxy, carrierId);
    const stop = new AbortController();
    const cuts: string[] = [];
    const uploading = uploadDurations(createClient(DurationService, transport), {
      uploadId: "refused",
      source: arraySource(someDurations(UPLOAD_RECORDS)),
      signal: stop.signal,
      onEvent: (event) => {
        if (event.kind !== "CUT") return;
        cuts.push(event.why);
        stop.abort();
      },
    });
    await expect(uploading).rejects.toThrow();
    expect(cuts).toHaveLength(1);
  });
});

/** The median time from a commit to its message, of messages that come one by one. */
async function delayOf(transport: Transport, carrierId: string): Promise<number> {
  using feed = readFeed(createClient(CdrService, transport), { start: LATEST });
  await feed.until((messages) => messages.some(({ frame }) => frame.case === "caughtUp"));
  const delays: number[] = [];
  for (let count = 1; count <= MESSAGES; count++) {
    await ingest(exchange, carrierId, calls(`${crypto.randomUUID()}`, 1));
    const committed = performance.now();
    await feed.until((messages) => idsOf(messages).length >= count);
    delays.push(performance.now() - committed);
  }
  return delays.sort((left, right) => left - right)[MESSAGES / 2] ?? Number.NaN;
}
