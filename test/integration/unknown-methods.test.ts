import { connect as connectHttp2, constants } from "node:http2";
import { create, type DescMethod, type DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { createGrpcJsClient, errorInfoOf } from "../support/grpc-js.ts";

let app: Exchange;
beforeAll(async () => {
  app = await startExchange();
});
afterAll(() => app[Symbol.asyncDispose]());

/** A service as a newer contract may have it: its methods are not on this server. */
function newer<S extends DescService>(service: S): S {
  const later = { ...service, typeName: service.typeName.replace(".v1.", ".v9.") };
  const methods = service.methods.map((method): DescMethod => ({ ...method, parent: later }));
  const method = Object.fromEntries(methods.map((each) => [each.localName, each]));
  return Object.assign(later, { methods, method });
}

const cdrs = newer(CdrService);
const durations = newer(DurationService);

async function* one<T>(message: T): AsyncGenerator<T> {
  yield message;
}

async function endOf(call: Promise<unknown> | AsyncIterable<unknown>): Promise<unknown> {
  try {
    if (call instanceof Promise) await call;
    else for await (const _ of call);
  } catch (error) {
    return error;
  }
  return undefined;
}

test.each([
  { protocol: "grpc", httpVersion: "2" },
  { protocol: "grpc-web", httpVersion: "2" },
  { protocol: "grpc-web", httpVersion: "1.1" },
  { protocol: "connect", httpVersion: "2" },
  { protocol: "connect", httpVersion: "1.1" },
] as const)(
  "$protocol over HTTP/$httpVersion is told UNIMPLEMENTED of a method that this server lacks",
  async (dialect) => {
    const transport = app.connect("a-token", dialect);
    const calls: (() => Promise<unknown> | AsyncIterable<unknown>)[] = [
      () => createClient(cdrs, transport).getCdrFeed({}),
      () => createClient(cdrs, transport).streamCdrs({}),
    ];
    if (dialect.httpVersion === "2") calls.push(() => createClient(durations, transport).uploadDurations(one({})));
    for (const call of calls) {
      const error = await endOf(call());
      expect(error).toBeInstanceOf(ConnectError);
      expect(error).toMatchObject({ code: Code.Unimplemented });
      expect((error as ConnectError).findDetails(ErrorInfoSchema)).toMatchObject([
        { domain: "tandem", reason: "UNIMPLEMENTED" },
      ]);
    }
  },
);

test("grpc-js is told UNIMPLEMENTED, by unary calls and by streams whose request has not ended", async () => {
  using client = createGrpcJsClient(cdrs, app.url) as ReturnType<typeof createGrpcJsClient> &
    Record<string, (...values: unknown[]) => NodeJS.EventEmitter>;
  using uploader = createGrpcJsClient(durations, app.url) as typeof client;
  const errorOf = (call: NodeJS.EventEmitter | undefined) =>
    new Promise<ServiceError>((resolve) => call?.on("error", resolve).on("data", () => {}));
  const errors = [
    await new Promise<ServiceError>((resolve) => client["getCdrFeed"]?.(create(cdrs.method.getCdrFeed.input), resolve)),
    await errorOf(client["streamCdrs"]?.(create(cdrs.method.streamCdrs.input))),
    await errorOf(uploader["uploadDurations"]?.()),
  ];
  for (const error of errors) {
    expect(error.code).toBe(Code.Unimplemented);
    expect(errorInfoOf(error).reason).toBe("UNIMPLEMENTED");
  }
});

test("the answer to gRPC is one block of headers that ends the stream, and a request that goes on is let go", async () => {
  const session = connectHttp2(app.url);
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": "/tandem.carrier.v9.DurationService/UploadDurations",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const ended = new Promise((resolve) => stream.once("close", resolve));
    const [headers, flags] = await new Promise<[Record<string, unknown>, number]>((resolve) =>
      stream.once("response", (head, bits) => resolve([head, bits])),
    );
    expect(headers["grpc-status"]).toBe(String(Code.Unimplemented));
    expect(flags & constants.NGHTTP2_FLAG_END_STREAM).toBe(constants.NGHTTP2_FLAG_END_STREAM);
    stream.resume();
    await ended;
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  } finally {
    session.destroy();
  }
});
