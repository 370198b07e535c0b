import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.js";
import {
  type UploadDurationsRequest,
  UploadDurationsRequestSchema,
  type UploadDurationsResponse,
  UploadDurationsResponseSchema,
} from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { eventually } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { connectedMsOf, durationOf, durationUpload, type RecordSpec, someRecords } from "../support/upload-kinds.ts";
import { expectSound, holdFeed, newCarrier, query, storedIds } from "../support/upload-store.ts";

// Google's own client library for Node: another HTTP/2 and another gRPC than those that the server
// is made of.

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 500 });
});
afterAll(() => exchange[Symbol.asyncDispose]());

type Call = grpc.ClientDuplexStream<UploadDurationsRequest, UploadDurationsResponse>;

/** A call through grpc-js, and what came of it. */
class GrpcUpload implements Disposable {
  readonly answers: UploadDurationsResponse["frame"][] = [];
  readonly status: Promise<grpc.StatusObject>;
  readonly call: Call;
  readonly #client: grpc.Client;

  constructor(token: string) {
    this.#client = new grpc.Client(exchange.url.replace("http://", ""), grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    this.call = this.#client.makeBidiStreamRequest(
      "/tandem.carrier.v1.DurationService/UploadDurations",
      (message: UploadDurationsRequest) => Buffer.from(toBinary(UploadDurationsRequestSchema, message)),
      (bytes: Buffer) => fromBinary(UploadDurationsResponseSchema, bytes),
      metadata,
    );
    this.status = new Promise((resolve) => this.call.on("status", resolve));
    // The status says it as well.
    this.call.on("error", () => {});
  }

  /** Reads answers as they come. */
  listen(): this {
    this.call.on("data", ({ frame }: UploadDurationsResponse) => this.answers.push(frame));
    return this;
  }

  send(frame: NonNullable<MessageInitShape<typeof UploadDurationsRequestSchema>["frame"]>): void {
    this.call.write(create(UploadDurationsRequestSchema, { frame }));
  }

  open(uploadId: string): void {
    this.send({ case: "open", value: { uploadId } });
  }

  batch(firstOffset: number, records: readonly RecordSpec[]): void {
    this.send({ case: "batch", value: { firstOffset: BigInt(firstOffset), records: records.map(durationOf) } });
  }

  cases(): (string | undefined)[] {
    return this.answers.map((frame) => frame.case).filter((name) => name !== "heartbeat");
  }

  [Symbol.dispose](): void {
    this.call.cancel();
    this.#client.close();
  }
}

function reasonOf(status: grpc.StatusObject): string | undefined {
  const [bytes] = status.metadata.get("grpc-status-details-bin");
  if (!Buffer.isBuffer(bytes)) return undefined;
  return fromBinary(StatusSchema, bytes)
    .details.map((detail) => anyUnpack(detail, ErrorInfoSchema)?.reason)
    .find((reason) => reason !== undefined);
}

test("grpc-js uploads, is acknowledged, finishes and gets its receipt", async () => {
  const carrierId = await newCarrier(exchange);
  using upload = new GrpcUpload(await exchange.carrierToken(carrierId)).listen();
  const records = someRecords(0, 3_000);
  upload.open("u");
  await eventually(() => expect(upload.cases()).toEqual(["opened"]));
  for (let first = 0; first < 3_000; first += 500) upload.batch(first, records.slice(first, first + 500));
  const totals = { recordCount: 3_000n, connectedDurationMs: connectedMsOf(records) };
  upload.send({ case: "finish", value: { finalOffset: 3_000n, totals } });
  upload.call.end();
  expect(await upload.status).toMatchObject({ code: grpc.status.OK });
  expect(upload.answers.at(-1)).toMatchObject({
    case: "finished",
    value: { receipt: { finalOffset: 3_000n, counts: { accepted: 3_000n } } },
  });
  expect(await storedIds(exchange, durationUpload, carrierId)).toHaveLength(3_000);
  await expectSound(exchange, carrierId);
});

test("grpc-js that is cancelled in the midst resumes at the committed offset", async () => {
  const carrierId = await newCarrier(exchange);
  const token = await exchange.carrierToken(carrierId);
  using before = new GrpcUpload(token).listen();
  before.open("u");
  await eventually(() => expect(before.cases()).toEqual(["opened"]));
  before.batch(0, someRecords(0, 10));
  await eventually(() => expect(before.answers.at(-1)).toMatchObject({ value: { committedOffset: 10n } }));
  before.call.cancel();
  expect(await before.status).toMatchObject({ code: grpc.status.CANCELLED });
  using after = new GrpcUpload(token).listen();
  after.open("u");
  await eventually(() => expect(after.answers[0]).toMatchObject({ case: "opened", value: { committedOffset: 10n } }));
});

test("grpc-js sees a refusal as a status with its reason", async () => {
  const carrierId = await newCarrier(exchange);
  using upload = new GrpcUpload(await exchange.carrierToken(carrierId)).listen();
  upload.open("u");
  await eventually(() => expect(upload.cases()).toEqual(["opened"]));
  upload.batch(0, []);
  const status = await upload.status;
  expect(status.code).toBe(grpc.status.INVALID_ARGUMENT);
  expect(reasonOf(status)).toBe("BATCH_TOO_LARGE");
});

test("grpc-js that is fenced sees ABORTED", async () => {
  const carrierId = await newCarrier(exchange);
  const token = await exchange.carrierToken(carrierId);
  using older = new GrpcUpload(token).listen();
  older.open("u");
  await eventually(() => expect(older.cases()).toEqual(["opened"]));
  using newer = new GrpcUpload(token).listen();
  newer.open("u");
  const status = await older.status;
  expect([status.code, reasonOf(status)]).toEqual([grpc.status.ABORTED, "UPLOAD_SUPERSEDED"]);
});

test("grpc-js that reads no answers still has its records committed", async () => {
  const carrierId = await newCarrier(exchange);
  using upload = new GrpcUpload(await exchange.carrierToken(carrierId));
  upload.open("u");
  for (let first = 0; first < 4_000; first += 500) upload.batch(first, someRecords(first, first + 500));
  await eventually(async () =>
    expect(await query(exchange, "SELECT next_offset FROM upload WHERE carrier_id = $1", [carrierId])).toEqual([
      { next_offset: 4_000n },
    ]),
  );
});

test("grpc-js hears heartbeats while a commit waits", async () => {
  const carrierId = await newCarrier(exchange);
  using upload = new GrpcUpload(await exchange.carrierToken(carrierId)).listen();
  upload.open("u");
  await eventually(() => expect(upload.cases()).toEqual(["opened"]));
  await using hold = await holdFeed(exchange, durationUpload, carrierId);
  upload.batch(0, someRecords(0, 1));
  await eventually(() => expect(upload.answers.at(-1)?.case).toBe("heartbeat"));
  await hold.release();
  await eventually(() => expect(upload.cases()).toEqual(["opened", "ack"]));
});
