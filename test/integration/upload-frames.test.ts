import { type ClientHttp2Session, connect } from "node:http2";
import { create, fromBinary, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { anyIs, anyUnpack } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.js";
import {
  UploadDurationsRequestSchema,
  UploadDurationsResponseSchema,
} from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordIssue, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { durationOf, durationUpload } from "../support/upload-kinds.ts";
import { expectSound, newCarrier, query, storedIds } from "../support/upload-store.ts";

// Frames as bytes: what no client of ours would send. The server reads batches by code of its own,
// and they must mean what protobuf says that they mean.
let exchange: Exchange;
let session: ClientHttp2Session;
beforeAll(async () => {
  exchange = await startExchange();
  session = connect(exchange.url);
});
afterAll(async () => {
  session.close();
  await exchange[Symbol.asyncDispose]();
});

type Frame = MessageInitShape<typeof UploadDurationsRequestSchema>;

// The wire types and the fields that are written by hand here.
const VARINT = 0;
const BYTES = 2;
const BATCH = 2;
const KEEP_ALIVE = 3;
const FIRST_OFFSET = 1;
const RECORDS = 2;
const RECORD_ID = 1;
const REVISION = 3;
const KIND = 4;
const CALLING = 8;
const UNKNOWN = 1_999;

describe("a binary frame", () => {
  test.each([
    ["is cut in a text", Buffer.from([10, 20, 97]), RecordIssue.UNREADABLE, "record_id"],
    ["has a number without an end", Buffer.from([24, 0x80]), RecordIssue.UNREADABLE, "revision"],
    ["has a text that is not UTF-8", Buffer.from([10, 2, 0xff, 0xfe]), RecordIssue.INVALID_TEXT, "record_id"],
    ["has a part beyond its end", Buffer.from([0x42, 100, 8, 1]), RecordIssue.UNREADABLE, "calling"],
    ["has a part that is cut inside", Buffer.from([0x42, 2, 18, 9]), RecordIssue.UNREADABLE, "calling.value"],
    ["has a text in place of a number", Buffer.from([0x1a, 1, 97]), RecordIssue.UNREADABLE, "revision"],
    ["has a field 0", Buffer.from([2, 1, 97]), RecordIssue.UNREADABLE, ""],
  ])(
    "with a record that %s refuses that record, names its field, and stores the others, wherever in the batch it is",
    async (_, bad, issue, path) => {
      const carrier = await newCarrier(exchange);
      const good = [encoded("good-1"), encoded("good-2")] as const;
      const orders = [
        [bad, ...good],
        [good[0], bad, good[1]],
        [...good, bad],
      ];
      for (const [at, records] of orders.entries()) {
        const answer = await upload(carrier, `bad-${at}`, [batchOf(records)]);
        expect(answer).toMatchObject({
          ...TAKEN,
          accepted: at === 0 ? 2 : 0,
          duplicate: at === 0 ? 0 : 2,
          committed: 3n,
        });
        expect(answer.refusals).toEqual([[BigInt(at), issue, path]]);
      }
      expect(await storedIds(exchange, durationUpload, carrier)).toEqual(["good-1", "good-2"]);
      await expectSound(exchange, carrier);
    },
  );

  test("with a record that cannot be read is replayed as any other, and has the same verdict again", async () => {
    const carrier = await newCarrier(exchange);
    const batch = batchOf([encoded("kept"), Buffer.from([10, 2, 0xff, 0xfe])]);
    const first = await upload(carrier, "again", [batch]);
    expect(await upload(carrier, "again", [batch])).toMatchObject({
      ...TAKEN,
      refusals: first.refusals,
      committed: 2n,
    });
    const other = batchOf([encoded("kept"), Buffer.from([10, 2, 0xff, 0xfd])]);
    expect(await upload(carrier, "again", [other])).toMatchObject({ reasons: ["OFFSET_CONTENT_MISMATCH"] });
  });

  test.each([
    ["ends in a tag's number", Buffer.from([0x12, 0x85])],
    ["has a batch beyond its end", Buffer.from([0x12, 50, 8, 0])],
    ["has a keep_alive beyond its end", Buffer.from([0x1a, 3, 1])],
    ["has a record beyond its batch's end", field(BATCH, Buffer.concat([Buffer.from([0x12, 0x7f]), encoded("short")]))],
    [
      "has a batch that ends in a length",
      field(BATCH, Buffer.concat([field(RECORDS, encoded("cut")), Buffer.from([0x12, 0x85])])),
    ],
    ["has a batch with a field 0", field(BATCH, Buffer.concat([field(RECORDS, encoded("zero")), Buffer.from([0, 0])]))],
  ])("that %s is INVALID_ARGUMENT, and what was committed before it stands", async (_, frame) => {
    const carrier = await newCarrier(exchange);
    expect(await upload(carrier, "none", [batchOf([encoded("before")])])).toMatchObject({ ...TAKEN, accepted: 1 });
    expect(await upload(carrier, "none", [frame])).toMatchObject({ ...INVALID, committed: 1n });
    expect(await storedIds(exchange, durationUpload, carrier)).toEqual(["before"]);
  });

  test("with a negative offset is INVALID_ARGUMENT", async () => {
    const carrier = await newCarrier(exchange);
    const batch = field(BATCH, Buffer.concat([varintField(FIRST_OFFSET, -1n), field(RECORDS, encoded("negative"))]));
    expect(await upload(carrier, "negative", [batch])).toMatchObject(INVALID);
  });

  test("with a batch in two parts is one batch, of the later offset", async () => {
    const carrier = await newCarrier(exchange);
    const half = (id: string, offset: bigint) =>
      field(BATCH, Buffer.concat([varintField(FIRST_OFFSET, offset), field(RECORDS, encoded(id))]));
    const answer = await upload(carrier, "parts", [Buffer.concat([half("part-1", 7n), half("part-2", 0n)])]);
    expect(answer).toMatchObject({ ...TAKEN, accepted: 2, committed: 2n });
    expect(await storedIds(exchange, durationUpload, carrier)).toEqual(["part-1", "part-2"]);
  });

  test("with two offsets in its batch has the later one", async () => {
    const carrier = await newCarrier(exchange);
    const content = [varintField(FIRST_OFFSET, 7n), field(RECORDS, encoded("offset")), varintField(FIRST_OFFSET, 0n)];
    const answer = await upload(carrier, "offsets", [field(BATCH, Buffer.concat(content))]);
    expect(answer).toMatchObject({ ...TAKEN, accepted: 1, committed: 1n });
  });

  test("with two kinds of frame in it is the later one", async () => {
    const carrier = await newCarrier(exchange);
    const keepAlive = field(KEEP_ALIVE, Buffer.alloc(0));
    const answer = await upload(carrier, "kinds", [
      Buffer.concat([batchOf([encoded("overruled")]), keepAlive]),
      Buffer.concat([keepAlive, batchOf([encoded("later")])]),
    ]);
    expect(answer).toMatchObject({ ...TAKEN, accepted: 1, committed: 1n });
    expect(await storedIds(exchange, durationUpload, carrier)).toEqual(["later"]);
  });

  test("with fields that the server does not know, in a record, its part, the batch or the frame, is read without them", async () => {
    const carrier = await newCarrier(exchange);
    const unknown = field(UNKNOWN, "of a newer contract");
    const answer = await upload(carrier, "unknown", [
      batchOf([Buffer.concat([encoded("record"), unknown])]),
      batchOf([Buffer.concat([encoded("part"), field(CALLING, unknown)])], varintField(FIRST_OFFSET, 1n)),
      batchOf([encoded("batch")], Buffer.concat([varintField(FIRST_OFFSET, 2n), unknown])),
      Buffer.concat([batchOf([encoded("frame")], varintField(FIRST_OFFSET, 3n)), unknown]),
    ]);
    expect(answer).toMatchObject({ ...TAKEN, accepted: 4, committed: 4n });
    expect(answer.outcomes).toEqual([
      [0n, RecordIssue.UNKNOWN_FIELDS],
      [1n, RecordIssue.UNKNOWN_FIELDS],
    ]);
    const stored = await query<{ payload: Buffer }>(
      exchange,
      "SELECT payload FROM duration_record WHERE carrier_id = $1",
      [carrier],
    );
    expect(stored.map(({ payload }) => payload.includes("newer contract"))).toEqual([false, false, false, false]);
    const known = ["record", "part", "batch", "frame"].map(encoded);
    expect(await upload(carrier, "known", [batchOf(known)])).toMatchObject({ accepted: 0, duplicate: 4 });
  });

  test.each([
    ["its fields in another order", (record: Buffer) => Buffer.concat([record.subarray(5), record.subarray(0, 5)])],
    [
      "a field twice, of which the later counts",
      (record: Buffer) => Buffer.concat([field(RECORD_ID, "other"), record]),
    ],
    [
      "the defaults written out",
      (record: Buffer) => Buffer.concat([record, varintField(REVISION, 1n), varintField(KIND, 1n)]),
    ],
    [
      "a number in more bytes than it needs",
      (record: Buffer) => Buffer.concat([record, Buffer.from([REVISION << 3, 0x81, 0x80, 0])]),
    ],
    ["a part in two parts", (record: Buffer) => Buffer.concat([field(CALLING, varintField(1, 1n)), record])],
  ])("whose record has %s means the same record", async (_, rewrite) => {
    const carrier = await newCarrier(exchange);
    const record = encoded("rec");
    expect(record.subarray(0, 5)).toEqual(field(RECORD_ID, "rec"));
    expect(rewrite(record)).not.toEqual(record);
    expect(await upload(carrier, "first", [batchOf([record])])).toMatchObject({ ...TAKEN, accepted: 1 });
    const again = await upload(carrier, "again", [batchOf([rewrite(record)])]);
    expect(again).toMatchObject({ ...TAKEN, accepted: 0, duplicate: 1 });
    expect(await storedIds(exchange, durationUpload, carrier)).toEqual(["rec"]);
  });

  test("whose lengths take more bytes than they need is read like any other", async () => {
    const carrier = await newCarrier(exchange);
    const long = (no: number, bytes: Buffer) => {
      const length = varint(BigInt(bytes.length)).map((byte) => byte | 0x80);
      return Buffer.concat([Buffer.from([(no << 3) | BYTES]), length, Buffer.from([0x80, 0]), bytes]);
    };
    const frame = long(BATCH, Buffer.concat([long(RECORDS, encoded("long-1")), long(RECORDS, encoded("long-2"))]));
    expect(await upload(carrier, "long", [frame])).toMatchObject({ ...TAKEN, accepted: 2 });
    expect(await storedIds(exchange, durationUpload, carrier)).toEqual(["long-1", "long-2"]);
  });
});

test("frames may be JSON, and their records are those of binary frames", async () => {
  const carrier = await newCarrier(exchange);
  const json = (frame: Frame) =>
    Buffer.from(toJsonString(UploadDurationsRequestSchema, create(UploadDurationsRequestSchema, frame)));
  const { status } = await call(carrier, "application/grpc+json", [
    json({ frame: { case: "open", value: { uploadId: "json" } } }),
    json({
      frame: { case: "batch", value: { records: [durationOf({ id: "json-1" }), durationOf({ id: "json-2" })] } },
    }),
  ]);
  expect(status).toBe(TAKEN.status);
  expect(await storedIds(exchange, durationUpload, carrier)).toEqual(["json-1", "json-2"]);
  const again = await upload(carrier, "binary", [batchOf([encoded("json-1"), encoded("json-2")])]);
  expect(again).toMatchObject({ ...TAKEN, accepted: 0, duplicate: 2 });
});

/** The frames were read to their end, which is no Finish. */
const TAKEN = { status: "9", reasons: ["UPLOAD_NOT_FINISHED"] };
const INVALID = { status: "3", reasons: ["INVALID_ARGUMENT"], accepted: 0 };

function encoded(id: string): Buffer {
  return Buffer.from(toBinary(CallDurationSchema, durationOf({ id })));
}

function batchOf(records: readonly Uint8Array[], more: Uint8Array = Buffer.alloc(0)): Buffer {
  return field(BATCH, Buffer.concat([...records.map((record) => field(RECORDS, record)), more]));
}

function field(no: number, content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(BigInt((no << 3) | BYTES)), varint(BigInt(bytes.length)), bytes]);
}

function varintField(no: number, value: bigint): Buffer {
  return Buffer.concat([varint(BigInt((no << 3) | VARINT)), varint(value)]);
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

// Opens an upload, sends these frames after it and nothing more, and reads to the end.
async function upload(carrierId: string, uploadId: string, frames: readonly Uint8Array[]) {
  const open = create(UploadDurationsRequestSchema, { frame: { case: "open", value: { uploadId } } });
  const { messages, status, reasons } = await call(carrierId, "application/grpc+proto", [
    toBinary(UploadDurationsRequestSchema, open),
    ...frames,
  ]);
  const answers = messages.map((message) => fromBinary(UploadDurationsResponseSchema, message).frame);
  const acks = answers.flatMap((frame) => (frame.case === "ack" ? [frame.value] : []));
  const [opened] = answers.flatMap((frame) => (frame.case === "opened" ? [frame.value] : []));
  const count = (verdict: "accepted" | "duplicate") =>
    acks.reduce((sum, ack) => sum + Number(ack.counts?.[verdict] ?? 0n), 0);
  return {
    status,
    reasons,
    committed: acks.at(-1)?.committedOffset ?? opened?.committedOffset,
    accepted: count("accepted"),
    duplicate: count("duplicate"),
    outcomes: acks.flatMap((ack) => ack.outcomes.map(({ recordOffset, issue }) => [recordOffset, issue])),
    refusals: acks.flatMap((ack) =>
      ack.outcomes
        .filter(({ verdict }) => verdict === Verdict.REJECTED)
        .map(({ recordOffset, issue, fieldPath }) => [recordOffset, issue, fieldPath ?? ""]),
    ),
  };
}

async function call(carrierId: string, contentType: string, frames: readonly Uint8Array[]) {
  const stream = session.request({
    ":method": "POST",
    ":path": "/tandem.carrier.v1.DurationService/UploadDurations",
    "content-type": contentType,
    te: "trailers",
    authorization: `Bearer ${await exchange.carrierToken(carrierId)}`,
  });
  const trailers: Record<string, unknown> = {};
  stream.on("response", (headers) => Object.assign(trailers, headers));
  stream.on("trailers", (headers) => Object.assign(trailers, headers));
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
  return { messages, status: trailers["grpc-status"], reasons: reasonsIn(trailers["grpc-status-details-bin"]) };
}

function reasonsIn(details: unknown): (string | undefined)[] {
  if (details === undefined) return [];
  const status = fromBinary(StatusSchema, Buffer.from(String(details), "base64"));
  return status.details
    .filter((detail) => anyIs(detail, ErrorInfoSchema))
    .map((detail) => anyUnpack(detail, ErrorInfoSchema)?.reason);
}
