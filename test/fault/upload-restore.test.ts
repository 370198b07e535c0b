import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  arraySource,
  CdrService,
  DurationService,
  TandemClientError,
  tandemReason,
  uploadDurations,
} from "../../src/client/index.ts";
import { rotateEpochs } from "../../src/store/feeds/epochs.ts";
import { backUpCarrier, restoreCarrier } from "../support/backup.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { BOTH_UPLOADS, cdrUpload, durationOf, durationUpload, someRecords } from "../support/upload-kinds.ts";
import { expectSound, newCarrier, storedIds } from "../support/upload-store.ts";
import { UploadStream } from "../support/upload-stream.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function restore(carrierId: string): Promise<void> {
  await restoreCarrier(exchange.databaseUrl, carrierId);
  await rotateEpochs(exchange.services.db, "test");
}

const LOST = { code: "FailedPrecondition", reason: "UPLOAD_HISTORY_LOST" };

describe.each(BOTH_UPLOADS)("$method, restored from an older backup", ({ upload }) => {
  const open = (carrierId: string, acknowledgedOffset = 0n, uploadId = "u") =>
    UploadStream.open(exchange, upload, carrierId, { uploadId, acknowledgedOffset });

  test("an upload that comes back is told UPLOAD_HISTORY_LOST; a new one from the source stores what was lost, once", async () => {
    const carrierId = await newCarrier(exchange);
    const records = someRecords(0, 60);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, records.slice(0, 20));
    await stream.committed(20);
    await backUpCarrier(exchange.databaseUrl, carrierId);
    stream.batch(20, records.slice(20, 60));
    await stream.committed(60);
    stream.cut();
    await restore(carrierId);
    await expectSound(exchange, carrierId);
    await using again = await open(carrierId, 60n);
    expect(await again.failure()).toMatchObject({ ...LOST, metadata: { committed_offset: "20" } });
    await using anew = await open(carrierId, 0n, "u-2");
    await anew.next("opened");
    anew.batch(0, records);
    expect(await anew.next("ack")).toMatchObject({ counts: { accepted: 40n, duplicate: 20n } });
    expect(await storedIds(exchange, upload, carrierId)).toEqual(records.map(({ id }) => id));
    await expectSound(exchange, carrierId);
  });

  test("a connection that lived through the restore is told so at its next batch", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    await backUpCarrier(exchange.databaseUrl, carrierId);
    stream.batch(0, someRecords(0, 20));
    await stream.committed(20);
    await restore(carrierId);
    stream.batch(20, someRecords(20, 40));
    expect(await stream.failure()).toMatchObject({ ...LOST, metadata: { committed_offset: "0" } });
    expect(await storedIds(exchange, upload, carrierId)).toEqual([]);
    await expectSound(exchange, carrierId);
  });

  test("so is one that was opened after the backup, whose epoch the restored upload has not reached", async () => {
    const carrierId = await newCarrier(exchange);
    await using first = await open(carrierId);
    await first.next("opened");
    await backUpCarrier(exchange.databaseUrl, carrierId);
    await using stream = await open(carrierId);
    await stream.next("opened");
    stream.batch(0, someRecords(0, 20));
    await stream.committed(20);
    await restore(carrierId);
    stream.batch(20, someRecords(20, 40));
    expect(await stream.failure()).toMatchObject(LOST);
  });

  test("who opens the upload after the restore is its writer, though the epoch of one before was higher", async () => {
    const carrierId = await newCarrier(exchange);
    await backUpCarrier(exchange.databaseUrl, carrierId);
    await using first = await open(carrierId);
    await first.next("opened");
    await using stale = await open(carrierId);
    expect(await stale.next("opened")).toMatchObject({ writerEpoch: 2n });
    await restore(carrierId);
    await using stream = await open(carrierId);
    expect(await stream.next("opened")).toMatchObject({ writerEpoch: 1n });
    stale.batch(0, someRecords(0, 10));
    expect(await stale.failure()).toMatchObject(LOST);
    stream.batch(0, someRecords(0, 20));
    await stream.committed(20);
    await expectSound(exchange, carrierId);
  });

  test("so is one that would finish", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await open(carrierId);
    await stream.next("opened");
    await backUpCarrier(exchange.databaseUrl, carrierId);
    stream.batch(0, someRecords(0, 20));
    await stream.committed(20);
    await restore(carrierId);
    stream.finish(someRecords(0, 20));
    expect(await stream.failure()).toMatchObject(LOST);
  });
});

test("the client library gives up with UPLOAD_HISTORY_LOST, and a new upload of the same source makes it good", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const records = someRecords(0, 500).map(durationOf);
  await backUpCarrier(exchange.databaseUrl, carrierId);
  let restored: Promise<void> | undefined;
  const lost = await uploadDurations(client, {
    uploadId: "u",
    batchRecords: 50,
    source: {
      read: async (offset, limit) => {
        if (offset >= 300) restored ??= restore(carrierId);
        await restored;
        return records.slice(offset, offset + limit);
      },
    },
  }).catch((error: unknown) => error);
  expect(lost).toBeInstanceOf(TandemClientError);
  expect(tandemReason(lost)?.reason).toBe("UPLOAD_HISTORY_LOST");
  const { receipt } = await uploadDurations(client, { uploadId: "u-2", source: arraySource(records) });
  expect(receipt.totals?.recordCount).toBe(500n);
  expect((await storedIds(exchange, durationUpload, carrierId)).toSorted()).toEqual(
    records.map(({ recordId }) => recordId).toSorted(),
  );
  await expectSound(exchange, carrierId);
});

test("whoever follows the feed sees FEED_EPOCH_CHANGED, never a silent step back", async () => {
  const carrierId = await newCarrier(exchange);
  await using stream = await UploadStream.open(exchange, cdrUpload, carrierId, { uploadId: "u" });
  await stream.next("opened");
  stream.batch(0, someRecords(0, 10));
  await stream.committed(10);
  await backUpCarrier(exchange.databaseUrl, carrierId);
  stream.batch(10, someRecords(10, 20));
  await stream.committed(20);
  const carrier = createClient(CdrService, await exchange.carrierTransport(carrierId));
  const read = async (start: { case: "earliest"; value: object } | { case: "cursor"; value: string }) => {
    let cursor = "";
    for await (const message of carrier.streamCdrs({
      start: { position: start },
      end: { position: { case: "head", value: {} } },
    })) {
      cursor = message.cursor;
    }
    return cursor;
  };
  const cursor = await read({ case: "earliest", value: {} });
  await restore(carrierId);
  const refusal = await read({ case: "cursor", value: cursor }).catch((error: unknown) => error);
  expect(tandemReason(refusal)?.reason).toBe("FEED_EPOCH_CHANGED");
});
