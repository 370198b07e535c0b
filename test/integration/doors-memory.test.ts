import type { ClientHttp2Stream } from "node:http2";
import { create, type DescMethod, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ServerReflectionRequestSchema } from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { addCarrier } from "../support/carriers.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EARLIEST } from "../support/feed.ts";
import { framed } from "../support/raw-call.ts";
import { type SessionFrom, sessionFrom, statusOf } from "../support/session-from.ts";

const MIB = 1_048_576;
const CHECK = "/grpc.health.v1.Health/Check";
const WATCH = "/grpc.health.v1.Health/Watch";
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const EMPTY = framed(new Uint8Array());
/** All but the end of a message of 4 KiB. */
const NEARLY_WHOLE = framed(Buffer.alloc(4_000), 0, 4_096);
const BEGUN = framed(Buffer.alloc(1), 0, 4_096);
const LIST_SERVICES = framed(
  toBinary(
    ServerReflectionRequestSchema,
    create(ServerReflectionRequestSchema, { messageRequest: { case: "listServices", value: "" } }),
  ),
);
const CROWD = 140;
/** Field 1900, which no message has, with a text of 20,000 bytes. */
const PADDING = Buffer.concat([Buffer.from([0xe2, 0x76, 0xa0, 0x9c, 0x01]), Buffer.alloc(20_000, "x")]);

test("strangers at one address whose messages do not end stop nobody's calls with a body, whether the carrier is known already or not", async () => {
  await using app = await startExchange({ receivedBudgetBytes: MIB, maxAnonymousPerSecond: 0 });
  const known = await tokenOf(app, "known");
  await using behaving = sessionFrom(app, "127.0.0.1");
  expect(await callTimes(1, behaving, known)).toEqual(["0"]);
  await using flood = sessionFrom(app, "127.0.0.2");
  for (let n = 0; n < CROWD; n++) flood.begin({ path: CHECK, body: NEARLY_WHOLE, ends: false });
  for (let n = 0; n < 10; n++) flood.begin({ path: CHECK, body: BEGUN, ends: false });
  // It comes after them on their connection: by its answer they have come.
  await flood.call({ path: CHECK, body: EMPTY });
  expect(await callTimes(10, behaving, known)).toEqual(Array(10).fill("0"));
  expect(await callTimes(10, behaving, await tokenOf(app, "unknown"))).toEqual(Array(10).fill("0"));
  expect(await behaving.call({ path: CHECK, body: framed(Buffer.alloc(0)) })).toBe("0");
  expect(app.logged).toEqual([]);
});

test("false credentials of one address whose refusals are not taken stop nobody's calls with a body", async () => {
  await using app = await startExchange({ receivedBudgetBytes: MIB });
  const known = await tokenOf(app, "known");
  await using behaving = sessionFrom(app, "127.0.0.1");
  expect(await callTimes(1, behaving, known)).toEqual(["0"]);
  await using flood = sessionFrom(app, "127.0.0.2", { initialWindowSize: 0 });
  const refused = Array.from({ length: 20 }, () =>
    flood.begin({ ...listUploads("nonsense"), contentType: "application/proto", body: Buffer.alloc(60_000) }),
  );
  await Promise.all(refused.map((stream) => new Promise((resolve) => stream.once("response", resolve))));
  expect(await callTimes(10, behaving, known)).toEqual(Array(10).fill("0"));
  expect(await callTimes(10, behaving, await tokenOf(app, "unknown"))).toEqual(Array(10).fill("0"));
});

test("a message that is only promised costs what has come of it", async () => {
  await using app = await startExchange({});
  await using stranger = sessionFrom(app, "127.0.0.2");
  for (let n = 0; n < 10; n++) stranger.begin({ path: CHECK, body: BEGUN, ends: false });
  await stranger.call({ path: CHECK, body: EMPTY });
  await expect.poll(() => app.heldBytes.received).toBeLessThan(1_000);
  expect(app.heldBytes.received).toBeGreaterThanOrEqual(10);
});

test("an address has so many calls without a credential open at once, and another address its own", async () => {
  await using app = await startExchange({ maxAnonymousCallsPerAddress: 3 });
  await using one = sessionFrom(app, "127.0.0.1");
  await using other = sessionFrom(app, "127.0.0.2");
  const begun = [CHECK, CHECK, WATCH].map((path) => one.begin({ path, body: BEGUN, ends: false }));
  expect(await one.call({ path: CHECK, body: EMPTY })).toBe("8");
  expect(await one.call({ path: WATCH, body: EMPTY })).toBe("8");
  expect(await other.call({ path: CHECK, body: EMPTY })).toBe("0");
  for (const stream of begun.slice(0, 2)) stream.close();
  await expect.poll(() => one.call({ path: CHECK, body: EMPTY })).toBe("0");
  // A Watch that is open has a stream's place, and a call's no more.
  for (let n = 0; n < 4; n++) await answered(one.begin({ path: WATCH, body: EMPTY }));
});

test("an answer without a credential that is not taken keeps its place", async () => {
  await using app = await startExchange({ maxAnonymousCallsPerAddress: 3 });
  await using slow = sessionFrom(app, "127.0.0.2", { initialWindowSize: 0 });
  const streams = Array.from({ length: 3 }, () => slow.begin({ path: CHECK, body: EMPTY }));
  await Promise.all(streams.map((stream) => new Promise((resolve) => stream.once("response", resolve))));
  await using more = sessionFrom(app, "127.0.0.2");
  expect(await more.call({ path: CHECK, body: EMPTY })).toBe("8");
});

test("without a credential a message has a few seconds to come, in calls and in streams, and a credential has its own time", async () => {
  await using app = await startExchange({ anonymousRequestMs: 300 });
  const token = await tokenOf(app, "slow");
  await using session = sessionFrom(app, "127.0.0.1");
  const held = session.begin({
    ...listUploads(token),
    body: framed(PADDING.subarray(0, 100), 0, PADDING.length),
    ends: false,
  });
  const reflecting = session.begin({ path: REFLECTION, body: LIST_SERVICES, ends: false });
  await answered(reflecting);
  // Between two messages a stream may rest: it does so for as long as these take.
  const late = [CHECK, WATCH, REFLECTION].map((path) => statusOf(session.begin({ path, body: BEGUN, ends: false })));
  expect(await Promise.all(late)).toEqual(["4", "4", "4"]);
  reflecting.write(LIST_SERVICES);
  await answered(reflecting);
  reflecting.write(BEGUN);
  expect(await statusOf(reflecting)).toBe("4");
  held.end(PADDING.subarray(100));
  expect(await statusOf(held)).toBe("0");
});

const names = (count: number) => Array.from({ length: count }, (_, index) => `${index}`.padStart(128, "ø"));
const numbers = Array.from({ length: 100 }, (_, index) => `+4532${String(index).padStart(11, "0")}`);
const START = { start: EARLIEST };

/** Requests of live streams, as large as the contract lets them be. */
const STREAMS = [
  [
    CdrService.method.streamCdrs,
    { ...START, filter: { customerIds: names(100), phoneNumbers: numbers, trunkId: "ø".repeat(128) } },
  ],
  [
    ReconciliationService.method.watchDiscrepancies,
    { ...START, filter: { customerIds: names(100), trunkIds: names(100) } },
  ],
  [NumberService.method.watchNumbers, { ...START, filter: { states: [1, 2], customerId: "c".repeat(64) } }],
] as const;

test.each(["binary", "JSON"])(
  "live streams with the largest requests hold nothing of the memory for messages once they are open: %s",
  async (codec) => {
    await using app = await startExchange({ decodedBudgetBytes: MIB });
    const token = await tokenOf(app, "streaming");
    await using session = sessionFrom(app, "127.0.0.1");
    for (const [method, request] of STREAMS) {
      const bodies = Array.from({ length: 8 }, () => streamRequest(method, request as never, codec));
      await Promise.all(bodies.map((body) => answered(session.begin({ ...body, token }))));
    }
    await expect.poll(() => app.heldBytes).toEqual({ received: 0, decoded: 0 });
    expect(app.callCount).toBe(24);
    expect(await callTimes(1, session, await tokenOf(app, "other"))).toEqual(["0"]);
  },
);

test("fields that are not kept are not paid for as long as a stream lives", async () => {
  await using app = await startExchange({ decodedBudgetBytes: MIB });
  const token = await tokenOf(app, "padding");
  await using session = sessionFrom(app, "127.0.0.1");
  const { body, ...rest } = streamRequest(CdrService.method.streamCdrs, START as never, "binary");
  const padded = framed(Buffer.concat([body.subarray(5), PADDING, PADDING, PADDING, PADDING]));
  await Promise.all(Array.from({ length: 8 }, () => answered(session.begin({ ...rest, body: padded, token }))));
  await expect.poll(() => app.heldBytes).toEqual({ received: 0, decoded: 0 });
});

test("a request of a stream that is larger than any filter can be is refused by its length", async () => {
  await using app = await startExchange({});
  const token = await tokenOf(app, "large");
  await using session = sessionFrom(app, "127.0.0.1");
  for (const [method] of STREAMS) {
    const { path } = streamRequest(method, {} as never, "binary");
    const stream = session.begin({ path, token, body: framed(Buffer.alloc(1), 0, 200_000), ends: false });
    expect(await statusOf(stream)).toBe("8");
  }
});

test("a call that is answered holds nothing more for its message, though its answer is not taken", async () => {
  await using app = await startExchange({});
  const token = await tokenOf(app, "answered");
  await using session = sessionFrom(app, "127.0.0.1", { initialWindowSize: 0 });
  const stream = session.begin({ ...listUploads(token), contentType: "application/json", body: Buffer.from("{}") });
  await new Promise((resolve) => stream.once("response", resolve));
  await expect.poll(() => app.heldBytes).toEqual({ received: 0, decoded: 0 });
  expect(app.callCount).toBe(1);
});

async function tokenOf(app: Exchange, carrierId: string): Promise<string> {
  await addCarrier(app.services.db, carrierId);
  return app.carrierToken(carrierId);
}

function listUploads(token: string) {
  const { listUploads: method } = DurationService.method;
  return { path: `/${method.parent.typeName}/${method.name}`, token };
}

/** Calls with a message of some thousand bytes, one after another. */
async function callTimes(count: number, session: SessionFrom, token: string): Promise<string[]> {
  const statuses: string[] = [];
  for (let n = 0; n < count; n++) statuses.push(await session.call({ ...listUploads(token), body: framed(PADDING) }));
  return statuses;
}

function streamRequest<M extends DescMethod>(method: M, request: MessageInitShape<M["input"]>, codec: string) {
  const message = create(method.input, request);
  const isJson = codec === "JSON";
  // As clients do that write ASCII only.
  const json = () =>
    toJsonString(method.input, message).replaceAll(
      /[^ -~]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    contentType: isJson ? "application/grpc+json" : "application/grpc+proto",
    body: framed(isJson ? Buffer.from(json()) : toBinary(method.input, message)),
  };
}

/** Resolves with the next bytes of an answer. */
function answered(stream: ClientHttp2Stream): Promise<unknown> {
  return new Promise((resolve, reject) => {
    stream.once("data", resolve);
    stream.once("close", () => reject(new Error("the stream ended")));
  });
}
