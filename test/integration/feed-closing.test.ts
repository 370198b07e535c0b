import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from "node:http2";
import { connect as connectTcp } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { decodeJwt } from "jose";
import { sql } from "kysely";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { createTandemTransport } from "../../src/client/transport.ts";
import type { ConfigOverrides } from "../../src/config/config.ts";
import {
  CdrService,
  StreamCdrsRequestSchema,
  type StreamCdrsResponse,
  StreamCdrsResponseSchema,
} from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { untilPassed } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  atCursor,
  calls,
  checkRanges,
  closingReason,
  EARLIEST,
  framesOf,
  HEAD,
  idsOf,
  ingest,
  LATEST,
  NUMBER,
  raiseFloor,
  readAll,
  readFeed,
  refusal,
  runSql,
  until,
  untilNoStreams,
} from "../support/feed.ts";

async function startWith(settings: ConfigOverrides, entries: number) {
  const exchange = await startExchange({ heartbeatIntervalMs: 100, ...settings });
  await exchange.addCarrier("alpha");
  await exchange.assignNumbers("alpha", [NUMBER]);
  await ingest(exchange, "alpha", calls("r", entries));
  return exchange;
}

/** A client that reads only as much as it is told: small windows, which it does not open. */
class StallingClient implements Disposable {
  readonly session: ClientHttp2Session;
  readonly stream: ClientHttp2Stream;
  readonly ended: Promise<Record<string, unknown>>;
  #bytes = Buffer.alloc(0);
  #reading = false;

  constructor(url: string, token: string, start: object) {
    this.session = connectHttp2(url, { settings: { initialWindowSize: 65_535 } });
    this.session.on("error", () => {});
    this.stream = this.session.request({
      ":method": "POST",
      ":path": "/tandem.carrier.v1.CdrService/StreamCdrs",
      "content-type": "application/grpc+proto",
      te: "trailers",
      authorization: `Bearer ${token}`,
    });
    let trailers: Record<string, unknown> = {};
    this.stream.on("trailers", (received) => {
      trailers = received;
    });
    this.ended = new Promise((resolve) => {
      this.stream.once("error", (error) => resolve({ error }));
      this.stream.once("close", () => resolve(trailers));
    });
    const request = Buffer.from(toBinary(StreamCdrsRequestSchema, create(StreamCdrsRequestSchema, start)));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(request.length, 1);
    this.stream.end(Buffer.concat([head, request]));
    this.stream.pause();
  }

  /** Reads on, to the end. */
  read(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.stream.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
    });
    this.stream.resume();
  }

  /** Every whole message so far. */
  get messages(): StreamCdrsResponse[] {
    const found: StreamCdrsResponse[] = [];
    for (let at = 0; at + 5 <= this.#bytes.length; ) {
      const end = at + 5 + this.#bytes.readUInt32BE(at + 1);
      if (end > this.#bytes.length) break;
      found.push(fromBinary(StreamCdrsResponseSchema, this.#bytes.subarray(at + 5, end)));
      at = end;
    }
    return found;
  }

  [Symbol.dispose](): void {
    this.session.destroy();
  }
}

describe.concurrent("rule 3 and 8: planned ends", () => {
  test("DRAINING closes live streams in band, and the call ends with UNAVAILABLE", async () => {
    await using exchange = await startWith({}, 3);
    const client = await exchange.carrierClient(CdrService, "alpha");
    using live = readFeed(client, { start: EARLIEST });
    await live.until((messages) => framesOf(messages).includes("caughtUp"));
    const drained = exchange.drain();
    const ended = await refusal(live.ended);
    await drained;
    expect(ended).toMatchObject({ code: Code.Unavailable, reason: "DRAINING" });
    expect(closingReason(live.messages)).toBe("DRAINING");
    checkRanges(live.messages);
    await untilNoStreams(exchange);
  });

  test("DRAINING in the middle of a backfill loses nothing: another process goes on from its cursor", async () => {
    await using exchange = await startWith({}, 10_000);
    const second = await exchange.openSecondApp();
    const client = await exchange.carrierClient(CdrService, "alpha");
    const got: StreamCdrsResponse[] = [];
    let drained: Promise<void> | undefined;
    const outcome = (async () => {
      for await (const message of client.streamCdrs({ start: EARLIEST })) {
        got.push(message);
        if (message.frame.case === "batch") drained ??= exchange.drain();
      }
    })();
    expect(await refusal(outcome)).toMatchObject({ reason: "DRAINING" });
    await drained;
    expect(closingReason(got)).toBe("DRAINING");
    const transport = await exchange.carrierTransport("alpha", { baseUrl: second.url });
    const cursor = got.at(-1)?.cursor ?? "";
    const rest = await readAll(createClient(CdrService, transport), { start: atCursor(cursor), end: HEAD });
    expect([...idsOf(got), ...rest.ids]).toEqual(calls("r", 10_000).map((record) => record.recordId));
  });

  test("MAX_AGE closes a stream, at 80 % of its age limit at the soonest, and never with OK", async () => {
    await using exchange = await startWith({ maxStreamAgeMs: 500 }, 1);
    const client = await exchange.carrierClient(CdrService, "alpha");
    const started = performance.now();
    using live = readFeed(client, { start: LATEST });
    const ended = await refusal(live.ended);
    const ageMs = performance.now() - started;
    expect(ended).toMatchObject({ code: Code.Unavailable, reason: "STREAM_MAX_AGE" });
    expect(closingReason(live.messages)).toBe("MAX_AGE");
    expect(ageMs).toBeGreaterThan(390);
    await untilNoStreams(exchange);
  });

  test("CREDENTIAL_EXPIRING closes a stream before its token expires, and the call ends with UNAUTHENTICATED", async () => {
    await using exchange = await startWith({}, 1);
    // A busy machine tells of it too late where the token is short.
    let isInTime = false;
    for (let ttlSeconds = 3; !isInTime && ttlSeconds < 30; ttlSeconds *= 2) {
      const token = await exchange.carrierToken("alpha", { ttlSeconds });
      using transport = createTandemTransport({ baseUrl: exchange.url, token });
      using live = readFeed(createClient(CdrService, transport), { start: LATEST });
      expect(await refusal(live.ended)).toMatchObject({ code: Code.Unauthenticated, reason: "CREDENTIAL_EXPIRED" });
      isInTime = Date.now() < Number(decodeJwt(token).exp) * 1_000;
      if (isInTime) expect(closingReason(live.messages)).toBe("CREDENTIAL_EXPIRING");
    }
    expect(isInTime).toBe(true);
  });

  test("SUSPENDED ends live streams, and new ones are refused", async () => {
    await using exchange = await startWith({}, 1);
    const client = await exchange.carrierClient(CdrService, "alpha");
    using live = readFeed(client, { start: LATEST });
    await live.until((messages) => messages.length > 0);
    await runSql(exchange, sql`UPDATE carrier SET suspended = true WHERE carrier_id = 'alpha'`);
    const refused = { code: Code.PermissionDenied, reason: "CARRIER_SUSPENDED" };
    expect(await refusal(live.ended)).toMatchObject(refused);
    expect(closingReason(live.messages)).toBe("SUSPENDED");
    expect(await refusal(client.getCdrFeed({}))).toMatchObject(refused);
    await untilNoStreams(exchange);
  });

  test("SLOW_CONSUMER: a client that never reads again is reset, and its place is free", async () => {
    await using exchange = await startWith({ maxStallMs: 200 }, 5_000);
    using client = new StallingClient(exchange.url, await exchange.carrierToken("alpha"), { start: EARLIEST });
    await until(() => exchange.services.slots.count, 1);
    await untilNoStreams(exchange);
    client.read();
    // What it had in its window, and no status that could pass for an end.
    expect(await client.ended).not.toHaveProperty("grpc-status");
    expect(client.stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect(closingReason(client.messages)).toBeUndefined();
  });
});

describe("rule 5: back-pressure", () => {
  const ENTRIES = 20_000;
  /** Long, so that a slow machine still reads again in time. */
  const STALL_MS = 6_000;
  let exchange: Exchange;
  let token: string;

  beforeAll(async () => {
    exchange = await startWith({ maxStallMs: STALL_MS }, ENTRIES);
    token = await exchange.carrierToken("alpha");
    return () => exchange[Symbol.asyncDispose]();
  });
  afterEach(() => raiseFloor(exchange, "alpha", 1n));

  test("the server reads at most a page ahead of a client that does not read", async () => {
    using client = new StallingClient(exchange.url, token, { start: EARLIEST });
    await until(() => client.stream.readableLength > 10_000, true);
    // Whatever was not read by now can no longer come.
    await raiseFloor(exchange, "alpha", BigInt(ENTRIES + 1));
    client.read();
    expect(await client.ended).toMatchObject({ "grpc-status": String(Code.OutOfRange) });
    checkRanges(client.messages);
    const ahead = idsOf(client.messages).length;
    expect(ahead).toBeGreaterThanOrEqual(1_000);
    expect(ahead).toBeLessThanOrEqual(2_000);
  });

  test("SLOW_CONSUMER: one that stalls longer than the limit gets its Closing when it reads again, and has lost nothing", async () => {
    using client = new StallingClient(exchange.url, token, { start: EARLIEST });
    const { slots } = exchange.services;
    await until(() => slots.count, 1);
    // Not as long again: then it is reset.
    await untilPassed(1.2 * STALL_MS, performance.now());
    client.read();
    expect(await client.ended).toMatchObject({ "grpc-status": String(Code.Unavailable) });
    expect(closingReason(client.messages)).toBe("SLOW_CONSUMER");
    checkRanges(client.messages);
    const cursor = client.messages.at(-1)?.cursor ?? "";
    const carrier = await exchange.carrierClient(CdrService, "alpha");
    const rest = await readAll(carrier, { start: atCursor(cursor), end: HEAD });
    expect(idsOf(client.messages).length + rest.ids.length).toBe(ENTRIES);
    await untilNoStreams(exchange);
  });

  test.each(["http2", "http1"])(
    "a client that leaves while the server waits for it to read frees its place: %s",
    async (kind) => {
      const { slots } = exchange.services;
      if (kind === "http2") {
        const client = new StallingClient(exchange.url, token, { start: EARLIEST });
        await until(() => client.stream.readableLength > 10_000, true);
        client.session.destroy();
      } else {
        const socket = connectTcp(exchange.port, "127.0.0.1");
        const body = Buffer.from('\0\0\0\0\x19{"start":{"earliest":{}}} '.slice(0, 5 + 25), "latin1");
        socket.write(
          `POST /tandem.carrier.v1.CdrService/StreamCdrs HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\n` +
            `content-type: application/connect+json\r\nconnect-protocol-version: 1\r\ncontent-length: ${body.length}\r\n\r\n`,
        );
        socket.write(body);
        await until(() => slots.count, 1);
        await until(() => socket.readableLength > 10_000, true);
        socket.destroy();
      }
      await untilNoStreams(exchange);
    },
  );
});
