import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { DurationState } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordIssue, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EVENTUALLY_MS } from "../support/limits.ts";
import {
  BOTH_UPLOADS,
  durationUpload,
  NOON_MS,
  type RecordSpec,
  someRecords,
  type TestedUpload,
} from "../support/upload-kinds.ts";
import { expectSound, newCarrier, query, storedIds } from "../support/upload-store.ts";
import { UploadStream } from "../support/upload-stream.ts";

const HOUR_MS = 3_600_000;
const STRANGE = "+441632960777";
const OTHER = "+441632960778";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

/** Uploads records and returns their verdicts and issues. */
async function verdictsOf(upload: TestedUpload, carrierId: string, records: readonly RecordSpec[], uploadId = "u") {
  await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId });
  const { committedOffset } = await stream.next("opened");
  stream.batch(committedOffset, records);
  const acks = await stream.committed(Number(committedOffset) + records.length);
  return acks.flatMap((ack) => ack.outcomes.map(({ recordId, verdict, issue }) => [recordId, verdict, issue]));
}

/** Assigns a number as the number services do: the holding and the numbers feed move together. */
async function assign(carrierId: string, number: string): Promise<void> {
  await exchange.assignNumbers(carrierId, [number], "customer-9");
  await query(exchange, "UPDATE feed_head SET next_sequence = next_sequence + 1 WHERE carrier_id = $1 AND feed = 1", [
    carrierId,
  ]);
}

/**
 * Judges what waits, and returns how much was released. The numbers feed has no entries of its own
 * here.
 */
async function release(carrierId: string): Promise<number> {
  const released = await exchange.services.uploads.release(carrierId, AbortSignal.timeout(EVENTUALLY_MS));
  await query(exchange, "UPDATE feed_head SET earliest_sequence = next_sequence WHERE carrier_id = $1 AND feed = 1", [
    carrierId,
  ]);
  await expectSound(exchange, carrierId);
  return released;
}

async function waiting(carrierId: string): Promise<number> {
  const [row] = await query<{ count: bigint }>(exchange, "SELECT count(*) FROM quarantine WHERE carrier_id = $1", [
    carrierId,
  ]);
  return Number(row?.count);
}

const NOT_ATTRIBUTABLE = RecordIssue.NOT_ATTRIBUTABLE;

describe.each(BOTH_UPLOADS)("rule 4, quarantine, $method", ({ upload }) => {
  test("a call of a number that was not assigned then is QUARANTINED: kept, told, and not in the feed", async () => {
    const carrierId = await newCarrier(exchange);
    const records = [...someRecords(0, 2), { id: "q", calling: STRANGE }];
    expect(await verdictsOf(upload, carrierId, records)).toEqual([["q", Verdict.QUARANTINED, NOT_ATTRIBUTABLE]]);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(["r0", "r1"]);
    expect(await waiting(carrierId)).toBe(1);
    await expectSound(exchange, carrierId);
  });

  test("when the number is assigned, the record is released into its feed with its attribution; its verdict stays", async () => {
    const carrierId = await newCarrier(exchange);
    await verdictsOf(upload, carrierId, [
      { id: "q", calling: STRANGE },
      { id: "p", calling: OTHER },
    ]);
    await assign(carrierId, STRANGE);
    expect(await release(carrierId)).toBe(1);
    expect(
      await query(
        exchange,
        `SELECT record_id, sequence, phone_number, customer_id FROM ${upload.recordTable} WHERE carrier_id = $1`,
        [carrierId],
      ),
    ).toEqual([{ record_id: "q", sequence: 1n, phone_number: STRANGE, customer_id: "customer-9" }]);
    expect(await waiting(carrierId)).toBe(1);
    const [row] = await query(exchange, "SELECT accepted, quarantined FROM upload WHERE carrier_id = $1", [carrierId]);
    expect(row).toEqual({ accepted: 0n, quarantined: 2n });
    expect(await release(carrierId)).toBe(0);
  });

  test("the release job finds it by itself when another process has changed the numbers", async () => {
    const carrierId = await newCarrier(exchange);
    await verdictsOf(upload, carrierId, [{ id: "q", calling: STRANGE }]);
    await assign(carrierId, STRANGE);
    exchange.services.onNumbersChanged(carrierId);
    await expect.poll(() => storedIds(exchange, upload, carrierId)).toEqual(["q"]);
  });

  test("a record that is sent again once its number is known is taken at once, and not released as well", async () => {
    const carrierId = await newCarrier(exchange);
    const record = { id: "q", calling: STRANGE };
    expect(await verdictsOf(upload, carrierId, [record, record])).toEqual([
      ["q", Verdict.QUARANTINED, NOT_ATTRIBUTABLE],
      ["q", Verdict.DUPLICATE, 0],
    ]);
    await assign(carrierId, STRANGE);
    expect(await verdictsOf(upload, carrierId, [record, record], "again")).toEqual([["q", Verdict.DUPLICATE, 0]]);
    expect(await waiting(carrierId)).toBe(0);
    expect(await release(carrierId)).toBe(0);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(["q"]);
  });

  test("other content for an identity in quarantine is a CONFLICT", async () => {
    const carrierId = await newCarrier(exchange);
    expect(
      await verdictsOf(upload, carrierId, [
        { id: "q", calling: STRANGE },
        { id: "q", calling: STRANGE, connectedMs: 5 },
      ]),
    ).toEqual([
      ["q", Verdict.QUARANTINED, NOT_ATTRIBUTABLE],
      ["q", Verdict.CONFLICT, 0],
    ]);
  });

  test("a later revision that is applied overtakes an earlier one in quarantine, which is never released", async () => {
    const carrierId = await newCarrier(exchange);
    const record = { id: "q", calling: STRANGE };
    await verdictsOf(upload, carrierId, [record]);
    await verdictsOf(upload, carrierId, [{ id: "q", revision: 2 }]);
    await assign(carrierId, STRANGE);
    expect(await verdictsOf(upload, carrierId, [record], "again")).toEqual([["q", Verdict.SUPERSEDED, 0]]);
    expect(await release(carrierId)).toBe(0);
    expect(await waiting(carrierId)).toBe(0);
    expect(
      await query(exchange, `SELECT revision FROM ${upload.recordTable} WHERE carrier_id = $1`, [carrierId]),
    ).toEqual([{ revision: 2 }]);
  });

  test("a VOID takes back a record in quarantine: it is never released", async () => {
    const carrierId = await newCarrier(exchange);
    await verdictsOf(upload, carrierId, [
      { id: "q", calling: STRANGE },
      { id: "q", revision: 2, isVoid: true, calling: STRANGE },
    ]);
    await assign(carrierId, STRANGE);
    expect(await release(carrierId)).toBe(0);
    expect(await waiting(carrierId)).toBe(0);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(["q"]);
  });

  test("a revision in quarantine does not hide an earlier one that is good", async () => {
    const carrierId = await newCarrier(exchange);
    expect(await verdictsOf(upload, carrierId, [{ id: "q", revision: 2, calling: STRANGE }, { id: "q" }])).toEqual([
      ["q", Verdict.QUARANTINED, NOT_ATTRIBUTABLE],
    ]);
    await assign(carrierId, STRANGE);
    expect(await release(carrierId)).toBe(1);
    expect(
      await query(exchange, `SELECT revision FROM ${upload.recordTable} WHERE carrier_id = $1 ORDER BY sequence`, [
        carrierId,
      ]),
    ).toEqual([{ revision: 1 }, { revision: 2 }]);
  });

  test("two revisions that wait are released lower first", async () => {
    const carrierId = await newCarrier(exchange);
    await verdictsOf(upload, carrierId, [
      { id: "q", revision: 2, calling: STRANGE, connectedMs: 2 },
      { id: "q", revision: 1, calling: STRANGE },
    ]);
    await assign(carrierId, STRANGE);
    expect(await release(carrierId)).toBe(2);
    expect(
      await query(exchange, `SELECT revision FROM ${upload.recordTable} WHERE carrier_id = $1 ORDER BY sequence`, [
        carrierId,
      ]),
    ).toEqual([{ revision: 1 }, { revision: 2 }]);
  });

  test("POSSIBLY_REDATED is not released when the numbers change", async () => {
    const carrierId = await newCarrier(exchange);
    const records = [{ id: "a" }, { id: "a", startMs: NOON_MS - 13 * HOUR_MS }];
    expect(await verdictsOf(upload, carrierId, records)).toEqual([
      ["a", Verdict.QUARANTINED, RecordIssue.POSSIBLY_REDATED],
    ]);
    await assign(carrierId, STRANGE);
    expect(await release(carrierId)).toBe(0);
    expect(await waiting(carrierId)).toBe(1);
  });

  test("of two that wait on neighbouring days only one is released", async () => {
    const carrierId = await newCarrier(exchange);
    await verdictsOf(upload, carrierId, [
      { id: "a", calling: STRANGE },
      { id: "a", calling: STRANGE, startMs: NOON_MS - 13 * HOUR_MS },
    ]);
    await assign(carrierId, STRANGE);
    expect(await release(carrierId)).toBe(1);
    expect(await waiting(carrierId)).toBe(1);
  });

  test("a release beside uploads that send the same records again appends each once", async () => {
    const carrierId = await newCarrier(exchange);
    const records = someRecords(0, 600, { calling: STRANGE });
    await verdictsOf(upload, carrierId, records);
    await assign(carrierId, STRANGE);
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "again" });
    await stream.next("opened");
    const { uploads } = exchange.services;
    const signal = AbortSignal.timeout(EVENTUALLY_MS);
    for (let first = 0; first < 600; first += 20) stream.batch(first, records.slice(first, first + 20));
    const [acks, ...released] = await Promise.all([
      stream.committed(600),
      uploads.release(carrierId, signal),
      uploads.release(carrierId, signal),
    ]);
    const accepted = acks.reduce((sum, ack) => sum + Number(ack.counts?.accepted), 0);
    // The server releases by itself, too.
    expect(released.reduce((sum, count) => sum + count, accepted)).toBeLessThanOrEqual(600);
    await expect.poll(() => waiting(carrierId)).toBe(0);
    expect((await storedIds(exchange, upload, carrierId)).sort()).toEqual(records.map(({ id }) => id).sort());
    expect(await waiting(carrierId)).toBe(0);
    stream.cut();
    await release(carrierId);
  });
});

test("rule 4, quarantine: its uploader sees what waits in ListDurations and ListRejects; once released it is APPLIED", async () => {
  const carrierId = await newCarrier(exchange);
  await verdictsOf(durationUpload, carrierId, [{ id: "q", calling: STRANGE }, { id: "r" }]);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const list = async (state: DurationState) => {
    const { durations } = await client.listDurations({
      startTime: { seconds: BigInt(NOON_MS / 1_000 - 3_600) },
      endTime: { seconds: BigInt(NOON_MS / 1_000 + 3_600) },
      state,
    });
    return durations.map(({ recordId, state: of, sequence }) => [recordId, of, sequence]);
  };
  expect(await list(DurationState.QUARANTINED)).toEqual([["q", DurationState.QUARANTINED, undefined]]);
  expect(await list(DurationState.APPLIED)).toEqual([["r", DurationState.APPLIED, 1n]]);
  const rejects = await client.listRejects({ uploadId: "u" });
  expect(rejects).toMatchObject({
    totalCount: 1n,
    rejects: [{ outcome: { recordId: "q", verdict: Verdict.QUARANTINED, issue: NOT_ATTRIBUTABLE } }],
  });
  expect(rejects.rejects[0]?.recordJson).not.toContain(STRANGE);
  await assign(carrierId, STRANGE);
  await release(carrierId);
  expect(await list(DurationState.QUARANTINED)).toEqual([]);
  expect(await list(DurationState.APPLIED)).toEqual([
    ["q", DurationState.APPLIED, 2n],
    ["r", DurationState.APPLIED, 1n],
  ]);
  expect((await client.listRejects({ uploadId: "u" })).totalCount).toBe(1n);
});
