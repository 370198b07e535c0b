import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  DurationService,
  UploadDurationsRequestSchema,
  type UploadDurationsResponse,
} from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import {
  CdrService,
  IngestCdrsRequestSchema,
  type IngestCdrsResponse,
} from "../../src/gen/tandem/platform/v1/cdr_service_pb.js";
import { UploadRewindReason, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { untilNoStreams } from "../support/feed.ts";
import { bearer, createGrpcJsClient, errorInfoOf } from "../support/grpc-js.ts";
import {
  cdrOf,
  cdrUpload,
  connectedMsOf,
  durationOf,
  durationUpload,
  type RecordSpec,
  someRecords,
} from "../support/upload-kinds.ts";
import { eventually, expectSound, newCarrier, storedIds } from "../support/upload-store.ts";

type Response = UploadDurationsResponse | IngestCdrsResponse;
type ServerFrame = Response["frame"];
type Call = ClientDuplexStream<unknown, Response>;

let exchange: Exchange;
let durations: ReturnType<typeof createGrpcJsClient>;
let cdrs: ReturnType<typeof createGrpcJsClient>;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 200 });
  durations = createGrpcJsClient(DurationService, exchange.app.url);
  cdrs = createGrpcJsClient(CdrService, exchange.app.url);
});
afterAll(async () => {
  durations?.close();
  cdrs?.close();
  await exchange?.[Symbol.asyncDispose]();
});

/** One upload stream through grpc-js, and what came of it. */
function follow(call: Call) {
  const frames: ServerFrame[] = [];
  call.on("data", (message: Response) => frames.push(message.frame));
  const ended = new Promise<ServiceError | undefined>((resolve) => {
    call.on("error", (error) => resolve(error as ServiceError));
    call.on("end", () => resolve(undefined));
  });
  /** Waits for a frame that passes. */
  const until = async (passes: (frame: ServerFrame) => boolean) => {
    await eventually(() => expect(frames.some(passes)).toBe(true));
    return frames.find(passes) as ServerFrame;
  };
  const committed = (offset: number) =>
    until((frame) => frame.case === "ack" && frame.value.committedOffset === BigInt(offset));
  return { call, frames, ended, until, committed };
}

async function openDurations(carrierId: string) {
  const method = (durations as unknown as Record<string, (metadata: unknown) => Call>)["uploadDurations"];
  if (!method) throw new Error("no such method");
  const stream = follow(method.call(durations, bearer(await exchange.carrierToken(carrierId))));
  const send = (frame: MessageInitShape<typeof UploadDurationsRequestSchema>["frame"]) =>
    stream.call.write(create(UploadDurationsRequestSchema, { frame } as never));
  const batch = (first: number, records: readonly RecordSpec[]) =>
    send({ case: "batch", value: { firstOffset: BigInt(first), records: records.map(durationOf) } });
  const open = (uploadId: string, acknowledgedOffset = 0n) =>
    send({ case: "open", value: { uploadId, acknowledgedOffset } });
  const finish = (records: readonly RecordSpec[]) =>
    send({ case: "finish", value: { finalOffset: BigInt(records.length), totals: totalsOf(records) } });
  return { ...stream, open, batch, finish };
}

function totalsOf(records: readonly RecordSpec[]) {
  return { recordCount: BigInt(records.length), connectedDurationMs: connectedMsOf(records) };
}

describe("UploadDurations through grpc-js", () => {
  test("rules 1, 2 and 7: Opened, a cumulative Ack, the receipt, and OK", async () => {
    const carrierId = await newCarrier(exchange);
    const records = someRecords(0, 3_000);
    const stream = await openDurations(carrierId);
    stream.open("u");
    expect(await stream.until((frame) => frame.case === "opened")).toMatchObject({
      value: { committedOffset: 0n, sendLimitOffset: 4_000n },
    });
    for (let first = 0; first < 3_000; first += 500) stream.batch(first, records.slice(first, first + 500));
    stream.finish(records);
    expect(await stream.ended).toBeUndefined();
    expect(stream.frames.at(-1)).toMatchObject({
      case: "finished",
      value: { receipt: { finalOffset: 3_000n, totals: totalsOf(records), counts: { accepted: 3_000n } } },
    });
    expect(await storedIds(exchange, durationUpload, carrierId)).toEqual(records.map(({ id }) => id));
    stream.call.end();
    await untilNoStreams(exchange.app);
  });

  test("rules 1 and 3: cut by the client, it goes on from its committed offset, and a replay gets the stored verdicts", async () => {
    const carrierId = await newCarrier(exchange);
    const records = [...someRecords(0, 9), { id: "bad", isBroken: true }];
    const first = await openDurations(carrierId);
    first.open("u");
    await first.until((frame) => frame.case === "opened");
    first.batch(0, records);
    await first.committed(10);
    first.call.cancel();
    expect((await first.ended)?.code).toBe(status.CANCELLED);
    const second = await openDurations(carrierId);
    second.open("u", 10n);
    expect(await second.until((frame) => frame.case === "opened")).toMatchObject({ value: { committedOffset: 10n } });
    second.batch(0, records);
    expect(await second.committed(10)).toMatchObject({
      value: {
        counts: { accepted: 9n, rejected: 1n },
        outcomes: [{ recordOffset: 9n, recordId: "bad", verdict: Verdict.REJECTED, fieldPath: "direction" }],
      },
    });
    second.call.cancel();
    await second.ended;
    await expectSound(exchange, carrierId);
  });

  test("rule 3: a gap is one Rewind, and the stream goes on", async () => {
    const carrierId = await newCarrier(exchange);
    const stream = await openDurations(carrierId);
    stream.open("u");
    await stream.until((frame) => frame.case === "opened");
    stream.batch(5, someRecords(5, 10));
    stream.batch(10, someRecords(10, 15));
    expect(await stream.until((frame) => frame.case === "rewind")).toMatchObject({
      value: { expectedOffset: 0n, reason: UploadRewindReason.GAP },
    });
    stream.batch(0, someRecords(0, 15));
    await stream.committed(15);
    expect(stream.frames.filter((frame) => frame.case === "rewind")).toHaveLength(1);
    stream.call.cancel();
    await stream.ended;
  });

  test("rule 5: opened again, the older call ends with ABORTED and exactly one ErrorInfo, UPLOAD_SUPERSEDED", async () => {
    const carrierId = await newCarrier(exchange);
    const older = await openDurations(carrierId);
    older.open("u");
    await older.until((frame) => frame.case === "opened");
    const newer = await openDurations(carrierId);
    newer.open("u");
    await newer.until((frame) => frame.case === "opened");
    const error = await older.ended;
    expect(error?.code).toBe(status.ABORTED);
    // The epoch is the older call's own.
    const expected = { domain: "tandem", reason: "UPLOAD_SUPERSEDED", metadata: { writer_epoch: "1" } };
    expect(errorInfoOf(error as ServiceError)).toMatchObject(expected);
    newer.call.cancel();
    await newer.ended;
  });

  test("a client that half-closes without Finish gets its last Ack, then OK, and the upload stays open", async () => {
    const carrierId = await newCarrier(exchange);
    const stream = await openDurations(carrierId);
    stream.open("u");
    await stream.until((frame) => frame.case === "opened");
    stream.batch(0, someRecords(0, 100));
    stream.call.end();
    expect(await stream.ended).toBeUndefined();
    expect(stream.frames.at(-1)).toMatchObject({ case: "ack", value: { committedOffset: 100n } });
    const again = await openDurations(carrierId);
    again.open("u", 100n);
    expect(await again.until((frame) => frame.case === "opened")).toMatchObject({ value: { committedOffset: 100n } });
    again.call.cancel();
    await again.ended;
    await untilNoStreams(exchange.app);
  });
});

test("IngestCdrs through grpc-js: records of one carrier, to the receipt", async () => {
  const carrierId = await newCarrier(exchange);
  const records = someRecords(0, 50);
  const method = (cdrs as unknown as Record<string, (metadata: unknown) => Call>)["ingestCdrs"];
  if (!method) throw new Error("no such method");
  const stream = follow(method.call(cdrs, bearer(await exchange.platformToken(["cdrs.write"]))));
  const send = (frame: MessageInitShape<typeof IngestCdrsRequestSchema>["frame"]) =>
    stream.call.write(create(IngestCdrsRequestSchema, { frame } as never));
  send({ case: "open", value: { carrierId, open: { uploadId: "u" } } });
  await stream.until((frame) => frame.case === "opened");
  send({ case: "batch", value: { firstOffset: 0n, records: records.map(cdrOf) } });
  send({ case: "finish", value: { finalOffset: 50n, totals: totalsOf(records) } });
  expect(await stream.ended).toBeUndefined();
  expect(stream.frames.at(-1)).toMatchObject({ case: "finished", value: { receipt: { counts: { accepted: 50n } } } });
  expect(await storedIds(exchange, cdrUpload, carrierId)).toEqual(records.map(({ id }) => id));
});
