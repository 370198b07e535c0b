import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { createConnection } from "node:net";
import { gzipSync } from "node:zlib";
import { create, type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import {
  ServerReflection,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
} from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../src/gen/grpc/reflection/v1alpha/reflection_pb.js";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService as CarrierCdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { CdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { boundsOf } from "../../src/rpc/intake/message-bounds.ts";
import { addCarrier } from "../support/carriers.ts";
import { listMethods } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EARLIEST, HEAD } from "../support/feed.ts";
import { FuzzClient } from "../support/fuzz-client.ts";
import type { Caller } from "../support/fuzz-inputs.ts";
import { judge } from "../support/fuzz-verdict.ts";
import { encoded, framed, rawInput, unknownElements, WIRES, type Wire } from "../support/raw-call.ts";
import { fullCdr, fullDuration } from "../support/record-samples.ts";

const ANONYMOUS = [...Health.methods, ...ServerReflection.methods, ...ServerReflectionAlpha.methods];
const METHODS = [
  ...ANONYMOUS.map((method) => ({ method, caller: "nobody" }) as const),
  ...(await listMethods("carrier")).map((method) => ({ method, caller: "owner" }) as const),
  ...(await listMethods("platform")).map((method) => ({ method, caller: "other" }) as const),
].map((each) => ({ ...each, name: `${each.method.parent.typeName}/${each.method.name}` }));

let app: Exchange;
let client: FuzzClient;
beforeAll(async () => {
  app = await startExchange({ maxRequestElements: 100, maxAnonymousPerSecond: 0 });
  await addCarrier(app.services.db, "counted");
  client = await connectTo(app);
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await app?.[Symbol.asyncDispose]();
});

describe("a message within its bytes that has too many elements is refused, in each protocol and codec", () => {
  test.each(METHODS)("by $name", async ({ method, caller }) => {
    const { maxObjects } = boundsOf(method, app.services.config.limits);
    for (const wire of WIRES) {
      const message = unknownElements(wire, maxObjects + 1);
      expect(await reasonOf(client, method, wire, message, { caller }), wire).toBe("MESSAGE_TOO_LARGE");
      if (caller === "nobody") continue;
      const gzipped = { caller, gzipped: true };
      expect(await reasonOf(client, method, wire, gzipSync(message), gzipped), wire).toBe("MESSAGE_TOO_LARGE");
    }
    await expectNothingHeld(app);
  });
});

test.each(WIRES)("each frame of an upload is counted, not only the first: %s", async (wire) => {
  const method = DurationService.method.uploadDurations;
  const { maxObjects } = boundsOf(method, app.services.config.limits);
  const open = create(method.input, { frame: { case: "open", value: { uploadId: crypto.randomUUID() } } });
  const frames = Buffer.concat([framed(encoded(method, wire, open)), framed(unknownElements(wire, maxObjects + 1))]);
  const input = { ...rawInput(method, wire, new Uint8Array(), { caller: "owner" }), body: frames };
  expect(judge(input, await client.send(input)).reason).toBe("MESSAGE_TOO_LARGE");
});

test.each([
  ["grpc-web+proto", 0x80],
  ["grpc-web+json", 0x80],
  ["connect+proto", 0b10],
  ["connect+json", 0b10],
] as const)("a frame that is an end and no message is not inflated: %s", async (wire, endFlag) => {
  const method = CarrierCdrService.method.streamCdrs;
  const request = framed(encoded(method, wire, create(method.input, { start: EARLIEST, end: HEAD })));
  // Inflated, it would be longer than any message may be.
  const end = framed(gzipSync(Buffer.alloc(5_000_000)), endFlag | 1);
  const input = rawInput(method, wire, new Uint8Array(), { caller: "owner", gzipped: true });
  expect(judge(input, await client.send({ ...input, body: Buffer.concat([request, end]) })).reason).toBe("OK");
  await expectNothingHeld(app);
});

test("a message as large as it may be is taken: the limit is the first that is refused", async () => {
  const method = AgreementService.method.getAgreement;
  const call = (elements: number) =>
    reasonOf(client, method, "grpc+proto", unknownElements("grpc+proto", elements), { caller: "owner" });
  expect([await call(100), await call(101)]).toEqual(["OK", "MESSAGE_TOO_LARGE"]);
});

test("fields that the contract does not have are not kept: reflection repeats its question without them", async () => {
  const known = toBinary(
    ServerReflectionRequestSchema,
    create(ServerReflectionRequestSchema, { messageRequest: { case: "listServices", value: "" } }),
  );
  const [method] = ServerReflection.methods;
  const input = rawInput(method as DescMethod, "grpc+proto", Buffer.concat([known, Buffer.from([0xe0, 0x76, 0x2a])]));
  const { body } = await client.send(input);
  const answer = fromBinary(ServerReflectionResponseSchema, body.subarray(5, 5 + body.readUInt32BE(1)));
  expect(answer.originalRequest?.messageRequest).toEqual({ case: "listServices", value: "" });
  expect(answer.originalRequest?.$unknown).toBeUndefined();
});

describe("what anyone may call", () => {
  test.each(ANONYMOUS.map((method) => ({ method, name: `${method.parent.typeName}/${method.name}` })))(
    "takes 4 KiB and no more, and nothing that is compressed: $name",
    async ({ method }) => {
      for (const wire of WIRES) {
        const [small, large] = [textOf(wire, 4_096), textOf(wire, 4_097)];
        expect(await reasonOf(client, method, wire, large), wire).toBe("MESSAGE_TOO_LARGE");
        const taken = await reasonOf(client, method, wire, small, { leaves: true });
        expect(["OK", "LEFT", "INVALID_ARGUMENT"], wire).toContain(taken);
        expect(await reasonOf(client, method, wire, gzipSync(small), { gzipped: true }), wire).toBe("UNIMPLEMENTED");
      }
    },
  );

  test("is limited for each address, with RetryInfo, and another address notices nothing", async () => {
    await using limited = await startExchange({ maxAnonymousPerSecond: 1 });
    await using from1 = connectFrom(limited, "127.0.0.1");
    await using from2 = connectFrom(limited, "127.0.0.2");
    const reasons = await Promise.all(Array.from({ length: 40 }, () => from1.check()));
    expect(new Set(reasons)).toEqual(new Set(["0", "8"]));
    expect(reasons.filter((status) => status === "0").length).toBeGreaterThanOrEqual(10);
    expect(await from2.check()).toBe("0");
    await expect.poll(() => from1.check(), { interval: 200 }).toBe("0");
  });

  test("is limited for each address by the messages of a stream, too, and by how long its answers are", async () => {
    await using limited = await startExchange({ maxAnonymousPerSecond: 1 });
    await using from1 = connectFrom(limited, "127.0.0.1");
    const question = framed(
      toBinary(
        ServerReflectionRequestSchema,
        create(ServerReflectionRequestSchema, {
          messageRequest: { case: "fileContainingSymbol", value: "tandem.carrier.v1.CdrService" },
        }),
      ),
    );
    const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    expect(await from1.call(path, Buffer.concat(Array.from({ length: 40 }, () => question)))).toBe("8");
    expect(await from1.check()).toBe("8");
  });

  test("has so many streams open for each address, and another address has its own; all together have a limit", async () => {
    await using limited = await startExchange({ maxAnonymousStreamsPerAddress: 2, maxAnonymousStreams: 3 });
    await using from1 = connectFrom(limited, "127.0.0.1");
    await using from2 = connectFrom(limited, "127.0.0.2");
    const first = await from1.watch();
    await from1.watch();
    expect(await from1.refusedWatch()).toBe("8");
    await from2.watch();
    expect(await from2.refusedWatch()).toBe("8");
    expect(await from2.check()).toBe("0");
    first.close();
    await expect.poll(() => from2.call(WATCH, EMPTY, true)).toBe("open");
  });
});

describe("bodies that do not end", () => {
  test("are accounted for while they are open, and no longer when the client leaves or is refused", async () => {
    const started = rawInput(DurationService.method.appendDurations, "grpc+proto", new Uint8Array(), {
      caller: "owner",
    });
    const session = connectHttp2(app.url);
    const stream = session.request({
      ":method": "POST",
      ":path": started.path,
      ...started.headers,
      authorization: `Bearer ${await app.carrierToken("counted")}`,
    });
    stream.on("error", () => {});
    stream.write(framed(Buffer.alloc(300_000), 0, 3_000_000));
    await expect.poll(() => app.heldBytes.received).toBeGreaterThanOrEqual(300_000);
    // What was promised costs nothing yet.
    expect(app.heldBytes.received).toBeLessThan(1_500_000);
    stream.close();
    await expectNothingHeld(app);
    session.close();
  });

  test.each(["grpc", "connect"])(
    "are refused with RetryInfo when one carrier's hold more than its share, and others are served: %s",
    async (protocol) => {
      await using small = await startExchange({ receivedBudgetBytes: 1_048_576 });
      await addCarrier(small.services.db, "greedy");
      await addCarrier(small.services.db, "neighbour");
      await using holder = connectFrom(small, "127.0.0.1", await small.carrierToken("greedy"));
      await using neighbour = connectFrom(small, "127.0.0.1", await small.carrierToken("neighbour"));
      const path = "/tandem.carrier.v1.DurationService/AppendDurations";
      const body = protocol === "grpc" ? framed(Buffer.alloc(150_000), 0, 3_000_000) : Buffer.alloc(150_000);
      const contentType = protocol === "grpc" ? "application/grpc" : "application/proto";
      const open = Array.from({ length: 6 }, () => holder.request(path, body, contentType, false));
      const refused = await Promise.race(open.map(async (stream) => await statusOf(stream)));
      expect(["8", "429"]).toContain(refused);
      const list = "/tandem.carrier.v1.DurationService/ListUploads";
      expect(await neighbour.call(list, framed(new Uint8Array()))).toBe("0");
      for (const stream of open) stream.close();
      await expectNothingHeld(small);
      expect(await holder.call(list, framed(new Uint8Array()))).toBe("0");
      expect(small.logged).toEqual([]);
    },
  );
});

describe("the largest that is legitimate passes", () => {
  const many = (count: number, make: (index: number) => Message) =>
    Array.from({ length: count }, (_, index) => make(index));
  let large: Exchange;
  let sender: FuzzClient;
  beforeAll(async () => {
    large = await startExchange({});
    await addCarrier(large.services.db, "counted");
    sender = await connectTo(large);
  });
  afterAll(async () => {
    await sender?.[Symbol.asyncDispose]();
    await large?.[Symbol.asyncDispose]();
  });

  test.each(["grpc+proto", "connect+proto", "connect+json"] as const)(
    "2,000 durations with every field: %s",
    async (wire) => {
      const method = DurationService.method.appendDurations;
      const records = many(2_000, (index) => ({ ...fullDuration(), recordId: `D-${index}` }));
      const message = create(method.input, { uploadId: crypto.randomUUID(), firstOffset: 0n, records } as never);
      const bytes = encoded(method, wire, message);
      expect(await reasonOf(sender, method, wire, bytes, { caller: "owner" })).toBe("OK");
      expect(await reasonOf(sender, method, wire, gzipSync(bytes), { caller: "owner", gzipped: true })).toBe("OK");
      await expectNothingHeld(large);
    },
  );

  test.each(["grpc+proto", "connect+json"] as const)(
    "as many call detail records with every field and 16 streams as 4 MiB have: %s",
    async (wire) => {
      const method = CdrService.method.ingestCdrs;
      const streamQualities = Array.from({ length: 16 }, () => fullCdr().streamQualities[0]);
      const one = { ...fullCdr(), streamQualities };
      const size = encoded(method, wire, batchOf([one as never])).length;
      const records = many(
        Math.min(2_000, Math.floor(4_194_304 / size)),
        (index) => ({ ...one, recordId: `C-${index}` }) as never,
      );
      const open = create(method.input, {
        frame: { case: "open", value: { carrierId: "counted", open: { uploadId: crypto.randomUUID() } } },
      });
      const frames = [open, batchOf(records)].map((message) => framed(encoded(method, wire, message)));
      const input = { ...rawInput(method, wire, new Uint8Array(), { caller: "other" }), body: Buffer.concat(frames) };
      // Every record was taken; the upload only has no Finish.
      expect(judge(input, await sender.send(input)).reason).toBe("UPLOAD_NOT_FINISHED");
    },
  );

  test.each(["grpc+proto", "connect+json"] as const)("1,000 numbers in one call: %s", async (wire) => {
    const method = NumberService.method.provisionNumbers;
    const items = Array.from({ length: 1_000 }, (_, index) => ({
      phoneNumber: `+4532${String(index).padStart(6, "0")}`,
      countryCode: "DK",
    }));
    const message = create(method.input, { requestId: crypto.randomUUID(), items } as never);
    expect(await reasonOf(sender, method, wire, encoded(method, wire, message), { caller: "owner" })).toBe("OK");
    const release = NumberService.method.releaseNumbers;
    const phoneNumbers = items.map(({ phoneNumber }) => phoneNumber);
    const numbers = create(release.input, { requestId: crypto.randomUUID(), phoneNumbers });
    expect(await reasonOf(sender, release, wire, encoded(release, wire, numbers), { caller: "owner" })).toBe("OK");
  });

  test("and what anyone asks, as any client asks it", async () => {
    const health = createClient(Health, large.connect());
    expect((await health.check({})).status).toBe(1);
    expect(Object.keys((await health.list({})).statuses)).toContain("");
  });
});

function batchOf(records: readonly Message[]): Message {
  return create(CdrService.method.ingestCdrs.input, {
    frame: { case: "batch", value: { firstOffset: 0n, records: [...records] as never } },
  });
}

async function connectTo(target: Exchange): Promise<FuzzClient> {
  return new FuzzClient(target.url, {
    owner: await target.carrierToken("counted"),
    other: await target.platformToken(),
  });
}

async function reasonOf(
  over: FuzzClient,
  method: DescMethod,
  wire: Wire,
  message: Uint8Array,
  options: { caller?: Caller; gzipped?: boolean; leaves?: boolean } = {},
): Promise<string> {
  const input = { ...rawInput(method, wire, message, options), leaves: options.leaves ?? false };
  return judge(input, await over.send(input)).reason;
}

/** A request of so many bytes: a text that nobody knows. */
function textOf(wire: Wire, length: number): Uint8Array {
  if (wire.endsWith("json")) return Buffer.from(JSON.stringify({ nobodyKnows: "x".repeat(length - 18) }));
  const bytes = Buffer.alloc(length, "x");
  // The tag of field 1900, and a length of two bytes.
  const left = length - 4;
  bytes.set([0xe2, 0x76, (left & 0x7f) | 0x80, left >> 7]);
  return bytes;
}

async function expectNothingHeld(target: Exchange): Promise<void> {
  await expect.poll(() => target.heldBytes).toEqual({ received: 0, decoded: 0 });
}

const CHECK = "/grpc.health.v1.Health/Check";
const WATCH = "/grpc.health.v1.Health/Watch";
const EMPTY = framed(new Uint8Array());

/** Calls over one connection from an address of loopback. */
function connectFrom(target: Exchange, localAddress: string, token?: string) {
  const session: ClientHttp2Session = connectHttp2(target.url, {
    createConnection: () => createConnection({ host: "127.0.0.1", port: target.port, localAddress }),
  });
  session.on("error", () => {});
  const request = (path: string, body: Buffer, contentType = "application/grpc", ends = true): ClientHttp2Stream => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": contentType,
      te: "trailers",
      ...authorization,
    });
    stream.on("error", () => {});
    if (ends) stream.end(body);
    else stream.write(body);
    return stream;
  };
  const call = (path: string, body: Buffer, staysOpen = false) => statusOf(request(path, body), staysOpen);
  return {
    request,
    call,
    check: () => call(CHECK, EMPTY),
    /** Opens a Watch, and waits until it has answered. */
    async watch(): Promise<ClientHttp2Stream> {
      const stream = request(WATCH, EMPTY);
      await new Promise((resolve, reject) => {
        stream.once("data", resolve);
        stream.once("close", () => reject(new Error("the stream ended")));
      });
      return stream;
    },
    refusedWatch: () => call(WATCH, EMPTY),
    async [Symbol.asyncDispose]() {
      session.destroy();
    },
  };
}

/**
 * The status of gRPC or of HTTP that a call ends with; `open` when it has answered and may stay
 * open.
 */
function statusOf(stream: ClientHttp2Stream, staysOpen = false): Promise<string> {
  return new Promise((resolve) => {
    let status = "none";
    stream.on("response", (headers) => {
      status = String(headers["grpc-status"] ?? headers[":status"]);
    });
    stream.on("trailers", (trailers) => {
      status = String(trailers["grpc-status"] ?? status);
    });
    stream.on("data", () => {
      if (staysOpen) resolve("open");
    });
    stream.on("close", () => resolve(status));
  });
}
