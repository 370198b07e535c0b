import { decodeJwt } from "jose";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PlatformScope } from "../../src/domain/carriers/scopes.ts";
import { UploadClosingReason, UploadRewindReason } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { eventually, untilPassed } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { runSql, untilNoStreams } from "../support/feed.ts";
import { BOTH_UPLOADS, durationUpload, someRecords, type TestedUpload } from "../support/upload-kinds.ts";
import { awaitBlocked, expectSound, holdFeed, newCarrier, query, storedIds } from "../support/upload-store.ts";
import { UploadStream } from "../support/upload-stream.ts";

/** A token that a busy machine still has time to open an upload with, seconds. */
const TTL_S = 6;
/** So old may a stream become where the test waits for that; it has begun to work long before. */
const MAX_AGE_MS = 2_500;

/**
 * Opens an upload and sends it ten batches of a hundred while the store is held up, so that the end
 * comes with work under way.
 */
async function openBusy(exchange: Exchange, upload: TestedUpload, carrierId: string, stream: UploadStream) {
  await stream.next("opened");
  const hold = await holdFeed(exchange, upload, carrierId);
  for (let first = 0; first < 1_000; first += 100) stream.batch(first, someRecords(first, first + 100));
  await awaitBlocked(exchange);
  return hold;
}

/** What the last Ack said, and that it is what the database holds. */
async function expectAcknowledged(exchange: Exchange, upload: TestedUpload, carrierId: string, stream: UploadStream) {
  const acked = stream.frames.flatMap((frame) => (frame.case === "ack" ? [Number(frame.value.committedOffset)] : []));
  const stored = await storedIds(exchange, upload, carrierId);
  expect(stored.length).toBe(acked.at(-1));
  expect(stored.length).toBeGreaterThan(0);
  await expectSound(exchange, carrierId);
}

describe.each(BOTH_UPLOADS)("feed rule 8 and planned ends, $method", ({ upload }) => {
  test("at the credential's expiry what was read is committed and acknowledged, then Closing, then UNAUTHENTICATED", async () => {
    await using exchange = await startExchange();
    const carrierId = await newCarrier(exchange);
    const token = await shortToken(exchange, upload, carrierId, TTL_S);
    const issued = performance.now();
    const closingMs = (decodeJwt(token).exp ?? 0) * 1_000 - Date.now() - 1_000;
    const transport = await exchange.carrierTransport(carrierId, { token });
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u", transport });
    await using hold = await openBusy(exchange, upload, carrierId, stream);
    // Closing is due a second before the end, which a token names in whole seconds.
    await untilPassed(closingMs + 50, issued);
    await hold.release();
    expect(await stream.failure()).toMatchObject({ code: "Unauthenticated", reason: "CREDENTIAL_EXPIRED" });
    const closing = { case: "closing", value: { reason: UploadClosingReason.CREDENTIAL_EXPIRING } };
    expect(stream.frames.at(-1)).toMatchObject(closing);
    await expectAcknowledged(exchange, upload, carrierId, stream);
    await untilNoStreams(exchange);
  });

  test("at its age limit a stream ends with Closing MAX_AGE and UNAVAILABLE, what was read being acknowledged", async () => {
    await using exchange = await startExchange({ maxStreamAgeMs: MAX_AGE_MS });
    const carrierId = await newCarrier(exchange);
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
    await using hold = await openBusy(exchange, upload, carrierId, stream);
    await untilPassed(1.2 * MAX_AGE_MS, performance.now());
    await hold.release();
    expect(await stream.failure()).toMatchObject({ code: "Unavailable", reason: "STREAM_MAX_AGE" });
    expect(stream.frames.at(-1)).toMatchObject({ case: "closing", value: { reason: UploadClosingReason.MAX_AGE } });
    await expectAcknowledged(exchange, upload, carrierId, stream);
    await using again = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
    const { length } = await storedIds(exchange, upload, carrierId);
    expect(await again.next("opened")).toMatchObject({ committedOffset: BigInt(length) });
  });
});

test("feed rule 8: a suspension ends a live upload of the carrier, with Closing SUSPENDED", async () => {
  await using exchange = await startExchange();
  const carrierId = await newCarrier(exchange);
  await using stream = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "u" });
  await stream.next("opened");
  stream.batch(0, someRecords(0, 10));
  await stream.committed(10);
  await runSql(exchange, sql`UPDATE carrier SET suspended = true WHERE carrier_id = ${carrierId}`);
  expect(await stream.failure()).toMatchObject({ code: "PermissionDenied", reason: "CARRIER_SUSPENDED" });
  expect(stream.frames.at(-1)).toMatchObject({ case: "closing", value: { reason: UploadClosingReason.SUSPENDED } });
  await untilNoStreams(exchange);
});

describe.each(BOTH_UPLOADS)("a store that fails for a moment, $method", ({ upload }) => {
  let exchange: Exchange;
  beforeAll(async () => {
    exchange = await startExchange();
  });
  afterAll(() => exchange[Symbol.asyncDispose]());

  test("rule 3: it is a Rewind to the committed offset with the stream kept, and what is sent again is stored once", async () => {
    const carrierId = await newCarrier(exchange);
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
    await stream.next("opened");
    stream.batch(0, someRecords(0, 100));
    await stream.committed(100);
    await using hold = await holdFeed(exchange, upload, carrierId);
    for (let first = 100; first < 600; first += 100) stream.batch(first, someRecords(first, first + 100));
    await awaitBlocked(exchange);
    await killWriters();
    const rewind = await stream.next("rewind");
    expect(rewind).toMatchObject({ expectedOffset: 100n, reason: UploadRewindReason.STORE_UNAVAILABLE });
    expect(Number(rewind.retryAfter?.nanos)).toBeGreaterThan(0);
    await hold.release();
    // Discarded until a batch begins where it is expected.
    stream.batch(300, someRecords(300, 400));
    stream.batch(100, someRecords(100, 600));
    await stream.committed(600);
    expect(stream.frames.filter((frame) => frame.case === "rewind")).toHaveLength(1);
    const expected = someRecords(0, 600).map(({ id }) => id);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(expected);
    await expectSound(exchange, carrierId);
  });

  /** Ends the server's sessions that wait for a lock, as a database that goes down does. */
  async function killWriters() {
    await eventually(async () => {
      const killed = await query(
        exchange,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'tandem' AND wait_event_type = 'Lock'`,
      );
      expect(killed).toHaveLength(1);
    });
  }
});

async function shortToken(exchange: Exchange, upload: TestedUpload, carrierId: string, ttlSeconds: number) {
  if (upload === durationUpload) return await exchange.carrierToken(carrierId, { ttlSeconds });
  const scopes: PlatformScope[] = ["cdrs.write"];
  const { signingKey, services } = exchange;
  if (!signingKey) throw new Error("the exchange has no key of its own");
  const { issuer } = services.config.tokens;
  return await signingKey.issueToken({ issuer, audience: "tandem", identity: "test", ttlSeconds, scopes });
}
