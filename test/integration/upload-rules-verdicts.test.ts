import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { RecordIssue, type UploadAck, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  BOTH_UPLOADS,
  cdrUpload,
  dayOf,
  durationOf,
  durationUpload,
  NOON_MS,
  type RecordSpec,
  someRecords,
} from "../support/upload-kinds.ts";
import { expectSound, newCarrier, query, storedIds } from "../support/upload-store.ts";
import { UploadStream } from "../support/upload-stream.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

describe.each(BOTH_UPLOADS)("$method", ({ upload }) => {
  /**
   * Uploads records in batches of one upload, and tells the verdict of each that was not plainly
   * accepted.
   */
  async function verdictsOf(carrierId: string, batches: readonly RecordSpec[][], uploadId = "u") {
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId });
    let offset = Number((await stream.next("opened")).committedOffset);
    const acks: UploadAck[] = [];
    for (const batch of batches) {
      stream.batch(offset, batch);
      offset += batch.length;
      acks.push(...(await stream.committed(offset)));
    }
    return acks.flatMap((ack) => ack.outcomes.map(({ recordId, verdict, issue }) => [recordId, verdict, issue]));
  }

  test("rule 4: one bad record in 2,000 is rejected with its reason, and the others are stored", async () => {
    const carrierId = await newCarrier(exchange);
    const records = someRecords(0, 2_000).map((record, index) =>
      index === 1_234 ? { ...record, isBroken: true } : record,
    );
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
    await stream.next("opened");
    stream.batch(0, records);
    const ack = await stream.next("ack");
    expect(ack).toMatchObject({ committedOffset: 2_000n, counts: { accepted: 1_999n, rejected: 1n } });
    expect(ack.outcomes).toMatchObject([
      {
        recordOffset: 1_234n,
        recordId: "r1234",
        verdict: Verdict.REJECTED,
        issue: RecordIssue.FIELD_REQUIRED,
        fieldPath: "direction",
        retryable: false,
      },
    ]);
    expect(ack.outcomes[0]?.message).toMatch(/direction/);
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(1_999);
    await expectSound(exchange, carrierId);
  });

  test("rule 4: a batch of nothing but bad records takes its offsets", async () => {
    const carrierId = await newCarrier(exchange);
    const outcomes = await verdictsOf(carrierId, [someRecords(0, 500, { isBroken: true }), someRecords(500, 502)]);
    expect(outcomes).toHaveLength(500);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(["r500", "r501"]);
    await expectSound(exchange, carrierId);
  });

  test("Identity: the same record again is a DUPLICATE, in a batch, in an upload and across uploads", async () => {
    const carrierId = await newCarrier(exchange);
    const [record] = someRecords(0, 1) as [RecordSpec];
    expect(await verdictsOf(carrierId, [[record, record], [record]])).toEqual([
      ["r0", Verdict.DUPLICATE, 0],
      ["r0", Verdict.DUPLICATE, 0],
    ]);
    expect(await verdictsOf(carrierId, [[record]], "other")).toEqual([["r0", Verdict.DUPLICATE, 0]]);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(["r0"]);
    await expectSound(exchange, carrierId);
  });

  test("Identity: the same id and revision with other content is a CONFLICT and not applied; the first offset wins", async () => {
    const carrierId = await newCarrier(exchange);
    const first = { id: "a", connectedMs: 1_000 };
    const second = { id: "a", connectedMs: 2_000 };
    expect(await verdictsOf(carrierId, [[first, second], [second]])).toEqual([
      ["a", Verdict.CONFLICT, 0],
      ["a", Verdict.CONFLICT, 0],
    ]);
    expect(await verdictsOf(carrierId, [[second]], "other")).toEqual([["a", Verdict.CONFLICT, 0]]);
    expect(
      await query(exchange, `SELECT connected_duration_ms FROM ${upload.recordTable} WHERE carrier_id = $1`, [
        carrierId,
      ]),
    ).toEqual([{ connected_duration_ms: 1_000n }]);
    await expectSound(exchange, carrierId);
  });

  test("Identity: carriers reuse ids: the same id on another day with other parties is another record", async () => {
    const carrierId = await newCarrier(exchange);
    const other = { id: "a", connectedMs: 2_000 };
    const outcomes = await verdictsOf(carrierId, [
      [{ id: "a", connectedMs: 1_000 }],
      [
        { ...other, startMs: NOON_MS - DAY_MS },
        { ...other, startMs: NOON_MS - 30 * DAY_MS },
      ],
    ]);
    expect(outcomes).toEqual([]);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(["a", "a", "a"]);
    await expectSound(exchange, carrierId);
  });

  test("Identity: two carriers' records never meet, whatever their ids", async () => {
    for (const carrierId of [await newCarrier(exchange), await newCarrier(exchange)]) {
      expect(await verdictsOf(carrierId, [someRecords(0, 2)])).toEqual([]);
    }
  });

  test("Identity: the highest revision wins: a higher one is taken, a late lower one is SUPERSEDED", async () => {
    const carrierId = await newCarrier(exchange);
    const revision = (number: number): RecordSpec => ({ id: "a", revision: number, connectedMs: 1_000 * number });
    expect(
      await verdictsOf(carrierId, [[revision(2), revision(1)], [revision(4)], [revision(3), revision(2)]]),
    ).toEqual([
      ["a", Verdict.SUPERSEDED, 0],
      ["a", Verdict.SUPERSEDED, 0],
      ["a", Verdict.DUPLICATE, 0],
    ]);
    expect(
      await query(exchange, `SELECT revision FROM ${upload.recordTable} WHERE carrier_id = $1 ORDER BY sequence`, [
        carrierId,
      ]),
    ).toEqual([{ revision: 2 }, { revision: 4 }]);
    await expectSound(exchange, carrierId);
  });

  test("Identity: a VOID is a revision: it enters the feed and supersedes what is lower", async () => {
    const carrierId = await newCarrier(exchange);
    const outcomes = await verdictsOf(carrierId, [
      [{ id: "a" }, { id: "a", revision: 2, isVoid: true }, { id: "a", revision: 2, isVoid: true }],
      [
        { id: "b", revision: 3, isVoid: true },
        { id: "b", revision: 2 },
        { id: "a", revision: 3 },
      ],
    ]);
    expect(outcomes).toEqual([
      ["a", Verdict.DUPLICATE, 0],
      ["b", Verdict.SUPERSEDED, 0],
    ]);
    expect(
      await query(exchange, `SELECT entry_kind FROM ${upload.recordTable} WHERE carrier_id = $1 ORDER BY sequence`, [
        carrierId,
      ]),
    ).toEqual([{ entry_kind: 1 }, { entry_kind: 2 }, { entry_kind: 2 }, { entry_kind: 1 }]);
    await expectSound(exchange, carrierId);
  });

  test("Identity: record_date is held against the times at revision 1 only", async () => {
    const carrierId = await newCarrier(exchange);
    const moved = { id: "a", day: dayOf(NOON_MS - DAY_MS) };
    expect(await verdictsOf(carrierId, [[moved, { ...moved, revision: 2 }]])).toEqual([
      ["a", Verdict.REJECTED, RecordIssue.RECORD_DATE_MISMATCH],
    ]);
    await expectSound(exchange, carrierId);
  });

  test.each([
    ["the day after", 13 * HOUR_MS],
    ["the day before", -13 * HOUR_MS],
  ])(
    "Identity: revision 1 of an id that exists with the same parties and duration on %s is POSSIBLY_REDATED",
    async (_, shiftMs) => {
      const carrierId = await newCarrier(exchange);
      const first = { id: "a", startMs: NOON_MS - DAY_MS };
      const again = { id: "a", startMs: first.startMs + shiftMs };
      expect(await verdictsOf(carrierId, [[first]])).toEqual([]);
      expect(await verdictsOf(carrierId, [[again]])).toEqual([
        ["a", Verdict.QUARANTINED, RecordIssue.POSSIBLY_REDATED],
      ]);
      expect(await verdictsOf(carrierId, [[again]])).toEqual([["a", Verdict.DUPLICATE, 0]]);
      expect(await verdictsOf(carrierId, [[{ ...again, revision: 2 }]])).toEqual([]);
      expect(await storedIds(exchange, upload, carrierId)).toEqual(["a", "a"]);
      await expectSound(exchange, carrierId);
    },
  );

  test("Identity: ids that count from 1 each day name other calls, be they as long and to the same number", async () => {
    const carrierId = await newCarrier(exchange);
    const days = [0, 1, 2].map((day) => ({ id: "000001", startMs: NOON_MS - (3 - day) * DAY_MS }));
    expect(await verdictsOf(carrierId, [days])).toEqual([]);
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(3);
    await expectSound(exchange, carrierId);
  });

  test("Identity: a call across midnight that is sent twice within a batch, each with a day of its own, is stored once", async () => {
    const carrierId = await newCarrier(exchange);
    const midnight = NOON_MS - DAY_MS / 2;
    const outcomes = await verdictsOf(carrierId, [
      [
        { id: "a", startMs: midnight - 1_000 },
        { id: "a", startMs: midnight + 1_000 },
      ],
    ]);
    expect(outcomes).toEqual([["a", Verdict.QUARANTINED, RecordIssue.POSSIBLY_REDATED]]);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(["a"]);
    await expectSound(exchange, carrierId);
  });

  test("rule 4: up to 15 h in the future is accepted with a warning, beyond is REJECTED", async () => {
    const carrierId = await newCarrier(exchange);
    const hours = (count: number): number => Date.now() + count * 3_600_000;
    const outcomes = await verdictsOf(carrierId, [
      [
        { id: "near", startMs: hours(14) },
        { id: "far", startMs: hours(16) },
        { id: "beyond", startMs: hours(72) },
      ],
    ]);
    expect(outcomes).toEqual([
      ["near", Verdict.ACCEPTED, RecordIssue.CLOCK_AHEAD],
      ["far", Verdict.REJECTED, RecordIssue.IN_FUTURE],
      ["beyond", Verdict.REJECTED, RecordIssue.IN_FUTURE],
    ]);
    await expectSound(exchange, carrierId);
  });

  test("rule 4: revision 1 may be 120 days old, later ones 400; older is REJECTED", async () => {
    const carrierId = await newCarrier(exchange);
    const daysAgo = (days: number): number => NOON_MS - days * DAY_MS;
    const outcomes = await verdictsOf(carrierId, [
      [
        { id: "a", startMs: daysAgo(118) },
        { id: "b", startMs: daysAgo(122) },
        { id: "c", startMs: daysAgo(398), revision: 2 },
        { id: "d", startMs: daysAgo(402), revision: 2 },
      ],
    ]);
    expect(outcomes).toEqual([
      ["b", Verdict.REJECTED, RecordIssue.TOO_OLD],
      ["d", Verdict.REJECTED, RecordIssue.TOO_OLD],
    ]);
    await expectSound(exchange, carrierId);
  });

  test("rule 4: the same record in two uploads of one carrier at once is accepted once", async () => {
    const carrierId = await newCarrier(exchange);
    const records = someRecords(0, 400);
    const uploads = await Promise.all(
      ["u1", "u2", "u3"].map((uploadId) => UploadStream.open(exchange, upload, carrierId, { uploadId })),
    );
    for (const stream of uploads) await stream.next("opened");
    const counts = await Promise.all(
      uploads.map(async (stream) => {
        for (let first = 0; first < 400; first += 40) stream.batch(first, records.slice(first, first + 40));
        const acks = await stream.committed(400);
        return acks.reduce((sum, { counts: added }) => sum + Number(added?.accepted), 0);
      }),
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(400);
    expect((await storedIds(exchange, upload, carrierId)).sort()).toEqual(records.map(({ id }) => id).sort());
    for (const stream of uploads) stream.cut();
    await expectSound(exchange, carrierId);
  });

  test("rule 4: a record that the database refuses hurts its own batch alone, also in a commit that is shared", async () => {
    const carrierId = await newCarrier(exchange);
    await query(
      exchange,
      `ALTER TABLE ${upload.recordTable} ADD CONSTRAINT poison CHECK (record_id <> 'poison') NOT VALID`,
    );
    const streams = await Promise.all(
      ["good", "poisoned", "better"].map((uploadId) => UploadStream.open(exchange, upload, carrierId, { uploadId })),
    );
    const [good, poisoned, better] = streams as [UploadStream, UploadStream, UploadStream];
    for (const stream of streams) await stream.next("opened");
    for (let first = 0; first < 100; first += 10) {
      good.batch(first, someRecords(first, first + 10));
      better.batch(first, someRecords(first + 1_000, first + 1_010));
      if (first === 20) poisoned.batch(0, [{ id: "poison" }]);
    }
    await good.committed(100);
    await better.committed(100);
    expect(await poisoned.failure()).toMatchObject({ code: "Internal", reason: "INTERNAL" });
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(200);
    for (const stream of streams) stream.cut();
    await query(exchange, `ALTER TABLE ${upload.recordTable} DROP CONSTRAINT poison`);
    await expectSound(exchange, carrierId);
  });
});

test("rule 4: uploads of the two kinds with one id do not meet, nor do their records", async () => {
  const carrierId = await newCarrier(exchange);
  for (const upload of [durationUpload, cdrUpload]) {
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "same" });
    expect(await stream.next("opened")).toMatchObject({ committedOffset: 0n, writerEpoch: 1n });
    stream.batch(0, someRecords(0, 3));
    expect(await stream.next("ack")).toMatchObject({ counts: { accepted: 3n } });
  }
  await expectSound(exchange, carrierId);
});

test("rule 4: AppendDurations gives the same verdicts as the stream, and the same again on replay", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const records = [{ id: "a" }, { id: "a" }, { id: "a", connectedMs: 1 }, { id: "b", isBroken: true }, { id: "c" }];
  const append = () => client.appendDurations({ uploadId: "u", firstOffset: 0n, records: records.map(durationOf) });
  const first = await append();
  expect(first.outcomes.map(({ verdict }) => verdict)).toEqual([Verdict.DUPLICATE, Verdict.CONFLICT, Verdict.REJECTED]);
  const second = await append();
  expect(second).toEqual(first);
  expect(await storedIds(exchange, durationUpload, carrierId)).toEqual(["a", "c"]);
  await expectSound(exchange, carrierId);
});
