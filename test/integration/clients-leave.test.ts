import { once } from "node:events";
import { request as requestHttp1 } from "node:http";
import { type ClientHttp2Stream, connect as connectHttp2, constants } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { StreamCdrsRequestSchema } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { UploadDurationsRequestSchema } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { openLog } from "../../src/log.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { untilNoStreams } from "../support/feed.ts";
import { framed } from "../support/raw-call.ts";
import { durationOf, OWN_NUMBER, someRecords } from "../support/upload-kinds.ts";

interface Logged {
  readonly level: string;
  readonly msg?: string;
  readonly err?: unknown;
}

const UPLOAD = "/tandem.carrier.v1.DurationService/UploadDurations";
const STREAM = "/tandem.carrier.v1.CdrService/StreamCdrs";
const COUNT = 20;

const logged: Logged[] = [];
const printed = vi.spyOn(console, "error").mockImplementation(() => {});
let exchange: Exchange;
let headers: Record<string, string>;

beforeAll(async () => {
  exchange = await startExchange(
    { maxUploadStreams: COUNT, maxFeedStreams: COUNT },
    openLog("debug", (line) => logged.push(JSON.parse(line) as Logged)),
  );
  await exchange.addCarrier("leaver");
  await exchange.assignNumbers("leaver", [OWN_NUMBER]);
  headers = {
    authorization: `Bearer ${await exchange.carrierToken("leaver")}`,
    "content-type": "application/grpc",
    te: "trailers",
  };
});
afterAll(async () => {
  printed.mockRestore();
  await exchange[Symbol.asyncDispose]();
});
afterEach(() => {
  logged.length = 0;
  printed.mockClear();
});

const openFrame = (uploadId: string) =>
  framed(
    toBinary(
      UploadDurationsRequestSchema,
      create(UploadDurationsRequestSchema, { frame: { case: "open", value: { uploadId } } }),
    ),
  );

function batchFrame(count: number): Buffer {
  const records = someRecords(0, count).map(durationOf);
  const request = create(UploadDurationsRequestSchema, {
    frame: { case: "batch", value: { firstOffset: 0n, records } },
  });
  return framed(toBinary(UploadDurationsRequestSchema, request));
}

/** A connection of its own with one call that is answered. */
async function callHttp2(path: string, first: Buffer): Promise<{ socket: Socket; stream: ClientHttp2Stream }> {
  const socket = connectTcp(exchange.port, "127.0.0.1");
  const session = connectHttp2(exchange.url, { createConnection: () => socket });
  session.on("error", () => {});
  socket.on("error", () => {});
  const stream = session.request({ ":method": "POST", ":path": path, ...headers });
  stream.on("error", () => {});
  if (path === STREAM) stream.end(first);
  else stream.write(first);
  await once(stream, "data");
  return { socket, stream };
}

/** Nothing that happened was held for a fault of ours, and whoever looks can still see it. */
async function expectQuiet(count: number): Promise<void> {
  await untilNoStreams(exchange);
  await expect.poll(() => exchange.callCount).toBe(0);
  const ended = () => logged.filter(({ msg }) => msg === "call ended");
  await expect.poll(() => ended().length).toBeGreaterThanOrEqual(count);
  expect(logged.filter(({ level }) => level === "error" || level === "warn")).toEqual([]);
  expect(logged.filter(({ err }) => err !== undefined)).toEqual([]);
  expect(printed.mock.calls).toEqual([]);
}

describe("a client that is cut off is no fault of the server, and is logged as the end of its call:", () => {
  test("TCP resets while uploads are under way", async () => {
    const batch = batchFrame(300);
    for (let index = 0; index < COUNT; index++) {
      const { socket, stream } = await callHttp2(UPLOAD, openFrame(`reset-${index}`));
      // Whole, half, or a bit of a batch is on its way.
      stream.write(batch.subarray(0, batch.length >> (index % 3)));
      socket.resetAndDestroy();
    }
    await expectQuiet(COUNT);
  });

  test("TCP resets while feeds are read, and while nobody reads them", async () => {
    const request = create(StreamCdrsRequestSchema, { start: { position: { case: "earliest", value: {} } } });
    for (let index = 0; index < COUNT; index++) {
      const { socket } = await callHttp2(STREAM, framed(toBinary(StreamCdrsRequestSchema, request)));
      socket.resetAndDestroy();
    }
    await expectQuiet(COUNT);
  });

  test.each(Object.entries(constants).filter(([name]) => /^NGHTTP2_[A-Z_0-9]+$/.test(name) && isResetCode(name)))(
    "a stream that is reset with %s",
    async (_, code) => {
      for (const path of [UPLOAD, STREAM]) {
        const request = create(StreamCdrsRequestSchema, { start: { position: { case: "earliest", value: {} } } });
        const first = path === UPLOAD ? openFrame(`code-${code}`) : framed(toBinary(StreamCdrsRequestSchema, request));
        const { socket, stream } = await callHttp2(path, first);
        stream.close(code as number);
        await new Promise((resolve) => stream.once("close", resolve));
        socket.destroy();
      }
      await expectQuiet(2);
    },
  );

  test("TCP resets of HTTP/1.1, before the request is whole and while its answer comes", async () => {
    for (let index = 0; index < COUNT; index++) {
      const call = requestHttp1(`${exchange.url}${STREAM}`, {
        method: "POST",
        agent: false,
        headers: { ...headers, "content-type": "application/connect+json" },
      });
      call.on("error", () => {});
      const body = framed(Buffer.from(JSON.stringify({ start: { earliest: {} } })));
      if (index % 2 === 0) {
        call.write(body.subarray(0, 9));
        await new Promise<void>((resolve) => call.write("", () => resolve()));
        await expect.poll(() => exchange.callCount).toBeGreaterThan(0);
      } else {
        call.end(body);
        const [answer] = (await once(call, "response")) as [NodeJS.ReadableStream];
        answer.on("error", () => {});
        await once(answer, "data");
      }
      call.socket?.resetAndDestroy();
    }
    await expectQuiet(COUNT);
  });
});

function isResetCode(name: string): boolean {
  return [
    ...["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "STREAM_CLOSED", "REFUSED_STREAM"],
    ...["CANCEL", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"],
  ].some((code) => name === `NGHTTP2_${code}`);
}
