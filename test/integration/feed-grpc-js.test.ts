import { connect, constants } from "node:http2";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CdrService,
  StreamCdrsRequestSchema,
  type StreamCdrsResponse,
} from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { createRandom } from "../../src/simulator/random.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  atCursor,
  calls,
  checkRanges,
  closingReason,
  EARLIEST,
  HEAD,
  idsOf,
  ingest,
  LATEST,
  NUMBER,
  raiseFloor,
  readAll,
  until,
  untilNoStreams,
} from "../support/feed.ts";
import { bearer, createGrpcJsClient, errorInfoOf } from "../support/grpc-js.ts";
import { SAMPLE_STREAM } from "../support/record-samples.ts";

let exchange: Exchange;
let client: ReturnType<typeof createGrpcJsClient>;
let token: string;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100 });
  await exchange.addCarrier("alpha");
  await exchange.assignNumbers("alpha", [NUMBER]);
  await ingest(exchange, "alpha", calls("r", 3_000));
  client = createGrpcJsClient(CdrService, exchange.url);
  token = await exchange.carrierToken("alpha");
});
afterAll(async () => {
  client.close();
  await exchange[Symbol.asyncDispose]();
});

type Request = MessageInitShape<typeof StreamCdrsRequestSchema>;
type Streaming = Record<string, (...args: unknown[]) => ClientReadableStream<StreamCdrsResponse>>;

/** One StreamCdrs call through grpc-js. */
function openStream(request: Request, options: { deadline?: Date; token?: string } = {}) {
  const { token: shown = token, ...rest } = options;
  const call = (client as unknown as Streaming)["streamCdrs"]?.(
    create(StreamCdrsRequestSchema, request),
    bearer(shown),
    rest,
  );
  if (!call) throw new Error("no such method");
  const messages: StreamCdrsResponse[] = [];
  call.on("data", (message: StreamCdrsResponse) => messages.push(message));
  const ended = new Promise<ServiceError | undefined>((resolve) => {
    call.on("error", (error) => resolve(error as ServiceError));
    call.on("end", () => resolve(undefined));
  });
  return { call, messages, ended };
}

describe("StreamCdrs through grpc-js", () => {
  test("gives what Connect's client gives, to END_REACHED and OK", async () => {
    const { messages, ended } = openStream({ start: EARLIEST, end: HEAD });
    expect(await ended).toBeUndefined();
    checkRanges(messages);
    expect(closingReason(messages)).toBe("END_REACHED");
    const carrier = await exchange.carrierClient(CdrService, "alpha");
    const connect = await readAll(carrier, { start: EARLIEST, end: HEAD });
    expect(idsOf(messages)).toEqual(connect.ids);
    const middle = openStream({ start: atCursor(messages[1]?.cursor ?? ""), end: HEAD });
    expect(await middle.ended).toBeUndefined();
    expect(idsOf(middle.messages)).toEqual(connect.ids.slice(1_000));
  });

  test("takes large records within grpc-js's default of 4 MiB a message", async () => {
    await exchange.addCarrier("large");
    await exchange.assignNumbers("large", [NUMBER]);
    const stream = { ...SAMPLE_STREAM, mosAlgorithm: "x".repeat(64) };
    const large = calls("l", 1_200, { streamQualities: Array.from({ length: 16 }, () => stream) });
    await ingest(exchange, "large", large);
    const shown = await exchange.carrierToken("large");
    const { messages, ended } = openStream({ start: EARLIEST, end: HEAD }, { token: shown });
    expect(await ended).toBeUndefined();
    expect(idsOf(messages)).toHaveLength(1_200);
  });

  test("a live stream ends at its deadline with DEADLINE_EXCEEDED, and the server keeps nothing of it", async () => {
    const { messages, ended } = openStream({ start: LATEST }, { deadline: new Date(Date.now() + 400) });
    expect((await ended)?.code).toBe(status.DEADLINE_EXCEEDED);
    expect(messages.length).toBeGreaterThan(0);
    await untilNoStreams(exchange);
  });

  test("cancelled after any message, streams leave no handler behind", async () => {
    const random = createRandom("cancels");
    for (let round = 0; round < 5; round++) {
      const streams = Array.from({ length: 8 }, () => openStream({ start: random.chance(0.5) ? EARLIEST : LATEST }));
      for (const { call, messages } of streams) {
        // Not before the first: cancelled in the tick of the call, grpc-js 1.14 keeps the HTTP/2
        // stream open, with any server.
        const enough = random.int(1, 4);
        call.on("data", () => messages.length >= enough && call.cancel());
      }
      for (const { ended } of streams) expect((await ended)?.code).toBe(status.CANCELLED);
      await untilNoStreams(exchange);
    }
    await until(() => exchange.callCount, 0);
  });

  test("reset before its first message, a stream leaves no handler behind", async () => {
    const session = connect(exchange.url);
    session.on("error", () => {});
    const random = createRandom("resets");
    const request = Buffer.from(
      toBinary(StreamCdrsRequestSchema, create(StreamCdrsRequestSchema, { start: EARLIEST })),
    );
    const body = Buffer.concat([Buffer.from([0, 0, 0, 0, request.length]), request]);
    for (let index = 0; index < 40; index++) {
      const stream = session.request({
        ":method": "POST",
        ":path": "/tandem.carrier.v1.CdrService/StreamCdrs",
        "content-type": "application/grpc",
        te: "trailers",
        authorization: `Bearer ${token}`,
      });
      stream.on("error", () => {});
      if (random.chance(0.8)) stream.end(body);
      if (random.chance(0.5)) await new Promise((resolve) => setImmediate(resolve));
      stream.close(constants.NGHTTP2_CANCEL);
    }
    await untilNoStreams(exchange);
    await until(() => exchange.callCount, 0);
    session.close();
  });

  test("a client that pauses loses nothing", async () => {
    const { call, messages, ended } = openStream({ start: EARLIEST, end: HEAD });
    call.on("data", () => {
      call.pause();
      setImmediate(() => call.resume());
    });
    expect(await ended).toBeUndefined();
    checkRanges(messages);
    expect(idsOf(messages)).toHaveLength(3_000);
  });
});

describe("errors through grpc-js", () => {
  test("carry exactly one ErrorInfo in grpc-status-details-bin", async () => {
    const refused: [Request, number, object][] = [
      [{}, status.INVALID_ARGUMENT, { reason: "INVALID_ARGUMENT", metadata: { field: "start" } }],
      [
        { start: atCursor("x") },
        status.INVALID_ARGUMENT,
        { reason: "CURSOR_MALFORMED", metadata: { field: "cursor" } },
      ],
      [
        { start: { position: { case: "consumer", value: "nobody" } } },
        status.NOT_FOUND,
        { reason: "CONSUMER_NOT_FOUND", metadata: { consumer: "nobody" } },
      ],
    ];
    for (const [request, code, info] of refused) {
      const error = await openStream(request).ended;
      expect(error?.code).toBe(code);
      expect(errorInfoOf(error as ServiceError)).toMatchObject({ domain: "tandem", ...info });
    }
    const { messages, ended } = openStream({ start: EARLIEST, end: HEAD });
    expect(await ended).toBeUndefined();
    await raiseFloor(exchange, "alpha", 2_000n);
    const expired = await openStream({ start: atCursor(messages[0]?.cursor ?? "") }).ended;
    await raiseFloor(exchange, "alpha", 1n);
    expect(expired?.code).toBe(status.OUT_OF_RANGE);
    const info = { reason: "CURSOR_EXPIRED", metadata: { earliest_sequence: "2000" } };
    expect(errorInfoOf(expired as ServiceError)).toMatchObject(info);
    const stranger = await openStream({ start: EARLIEST }, { token: "x" }).ended;
    expect(stranger?.code).toBe(status.UNAUTHENTICATED);
    expect(errorInfoOf(stranger as ServiceError)).toMatchObject({ domain: "tandem", reason: "UNAUTHENTICATED" });
    await untilNoStreams(exchange);
  });
});
