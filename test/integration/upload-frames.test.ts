import { type ClientHttp2Session, connect } from "node:http2";
import { create, fromBinary, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { benchDuration, benchNumbers } from "../../bench/records.ts";
import {
  UploadDurationsRequestSchema,
  UploadDurationsResponseSchema,
} from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";

// Frames as bytes: what no client of ours would send. Binary batches are decoded by code of our own, and must mean what protobuf says that they mean.
let exchange: Exchange;
let session: ClientHttp2Session;
let token: string;
beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("alpha");
  await exchange.assignNumbers("alpha", benchNumbers());
  token = await exchange.carrierToken("alpha");
  session = connect(exchange.app.url);
});
afterAll(async () => {
  session.close();
  await exchange[Symbol.asyncDispose]();
});

type Frame = MessageInitShape<typeof UploadDurationsRequestSchema>;
const now = Date.now();

describe("a binary frame", () => {
  test("whose record is no message of its type is INVALID_ARGUMENT, whether in the middle or at the end of its batch", async () => {
    for (const [name, record] of Object.entries({
      cutInAText: Buffer.from([10, 20, 97]),
      unfinishedVarint: Buffer.from([24, 0x80]),
      notUtf8: Buffer.from([10, 2, 0xff, 0xfe]),
      partBeyondItsEnd: Buffer.from([0x42, 100, 8, 1]),
    })) {
      for (const records of [[record], [encoded("good"), record], [record, encoded("good")]]) {
        const { status, reason } = await upload(`${name}-${records.length}`, [batchOf(records)]);
        expect([name, status, reason]).toEqual([name, "3", "INVALID_ARGUMENT"]);
      }
    }
  });

  test("that is no frame is INVALID_ARGUMENT", async () => {
    for (const frame of [Buffer.from([0x12, 0x85]), Buffer.from([0x12, 50, 8, 0]), Buffer.from([0x1a, 3, 1])]) {
      expect(await upload("none", [frame])).toMatchObject({ status: "3", reason: "INVALID_ARGUMENT" });
    }
  });

  test("whose batch comes in two parts is one batch", async () => {
    const half = (id: string, first: number) =>
      toBinary(UploadDurationsRequestSchema, create(UploadDurationsRequestSchema, batchFrame(first, [id])));
    const { accepted } = await upload("parts", [Buffer.concat([half("part-1", 0), half("part-2", 0)])]);
    expect(accepted).toBe(2);
  });

  test("with fields that the server does not know is read without them, in the batch and in its records", async () => {
    const unknown = Buffer.from([0xfa, 0x7c, 3, 97, 98, 99]);
    const { accepted, warnings } = await upload("unknown", [
      batchOf([Buffer.concat([encoded("unknown-1"), unknown]), encoded("unknown-2")], unknown),
    ]);
    expect([accepted, warnings]).toEqual([2, 1]);
  });

  test("whose record has its fields in another order is the same record", async () => {
    const record = encoded("order");
    const reordered = Buffer.concat([record.subarray(7), record.subarray(0, 7)]);
    expect(record.subarray(0, 7).toString("latin1", 2)).toBe("order");
    expect(await upload("order-1", [batchOf([record])])).toMatchObject({ accepted: 1 });
    expect(await upload("order-2", [batchOf([reordered])])).toMatchObject({ accepted: 0, duplicate: 1 });
  });
});

test("frames may be JSON, and their records are those of binary frames", async () => {
  const json = (frame: Frame) =>
    Buffer.from(toJsonString(UploadDurationsRequestSchema, create(UploadDurationsRequestSchema, frame)));
  const frames = [
    json({ frame: { case: "open", value: { uploadId: "json" } } }),
    json(batchFrame(0, ["json-1", "json-2"])),
  ];
  const { status } = await exchangeFrames("application/grpc+json", frames);
  expect(status).toBe("0");
  const again = await upload("json-again", [batchOf([encoded("json-1"), encoded("json-2")])]);
  expect(again).toMatchObject({ accepted: 0, duplicate: 2 });
});

function encoded(id: string): Buffer {
  const bytes = toBinary(UploadDurationsRequestSchema, create(UploadDurationsRequestSchema, batchFrame(0, [id])));
  // Before it the tags of batch and record, each with a length of two bytes.
  return Buffer.from(bytes.subarray(6));
}

function batchFrame(firstOffset: number, ids: readonly string[]): Frame {
  const records = ids.map((recordId) => ({ ...benchDuration("", 0, now), recordId }));
  return { frame: { case: "batch", value: { firstOffset: BigInt(firstOffset), records } } };
}

function batchOf(records: readonly Uint8Array[], more: Uint8Array = Buffer.alloc(0)): Buffer {
  return part(2, Buffer.concat([...records.map((record) => part(2, record)), more]));
}

function part(field: number, bytes: Uint8Array): Buffer {
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...length]), bytes]);
}

async function upload(uploadId: string, frames: readonly Uint8Array[]) {
  const open = create(UploadDurationsRequestSchema, { frame: { case: "open", value: { uploadId } } });
  const ended = await exchangeFrames("application/grpc+proto", [
    toBinary(UploadDurationsRequestSchema, open),
    ...frames,
  ]);
  const acks = ended.messages
    .map((message) => fromBinary(UploadDurationsResponseSchema, message).frame)
    .flatMap((frame) => (frame.case === "ack" ? [frame.value] : []));
  const count = (verdict: "accepted" | "duplicate") =>
    acks.reduce((sum, ack) => sum + Number(ack.counts?.[verdict] ?? 0n), 0);
  return {
    ...ended,
    accepted: count("accepted"),
    duplicate: count("duplicate"),
    warnings: acks.reduce((sum, ack) => sum + ack.outcomes.length, 0),
  };
}

async function exchangeFrames(contentType: string, frames: readonly Uint8Array[]) {
  const stream = session.request({
    ":method": "POST",
    ":path": "/tandem.carrier.v1.DurationService/UploadDurations",
    "content-type": contentType,
    te: "trailers",
    authorization: `Bearer ${token}`,
  });
  let trailers: Record<string, unknown> = {};
  stream.on("response", (headers) => {
    trailers = { ...trailers, ...headers };
  });
  stream.on("trailers", (headers) => {
    trailers = { ...trailers, ...headers };
  });
  for (const frame of frames) {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(frame.length, 1);
    stream.write(Buffer.concat([prefix, frame]));
  }
  stream.end();
  const bytes = Buffer.concat(await stream.toArray());
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt32BE(at + 1))
    messages.push(bytes.subarray(at + 5, at + 5 + bytes.readUInt32BE(at + 1)));
  const details = Buffer.from(String(trailers["grpc-status-details-bin"] ?? ""), "base64").toString("latin1");
  return { messages, status: trailers["grpc-status"], reason: /[A-Z]+_[A-Z_]+/.exec(details)?.[0] };
}
