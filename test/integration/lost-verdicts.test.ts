import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { uploadDurations } from "../../src/client/upload-durations.ts";
import { arraySource } from "../../src/client/upload-source.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { ErrorReason } from "../../src/gen/tandem/type/v1/error_reason_pb.js";
import { RecordIssue, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { durationOf, durationUpload, NOON_MS, type RecordSpec, someRecords } from "../support/upload-kinds.ts";
import { expectSound, newCarrier } from "../support/upload-store.ts";
import { UploadStream } from "../support/upload-stream.ts";

/** In an hour: accepted, with a warning. */
const EARLY_MS = Date.now() + 3_600_000;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

/** One record of every verdict, after the two records that they meet. */
function oneOfEach(): RecordSpec[] {
  return [
    { id: "first", connectedMs: 1_000 },
    { id: "revised", revision: 2 },
    { id: "first", connectedMs: 1_000 },
    { id: "first", connectedMs: 2_000 },
    { id: "revised", revision: 1 },
    { id: "broken", isBroken: true },
    { id: "strange", calling: "+441632960777" },
    { id: "early", startMs: EARLY_MS },
  ];
}

/** What is said of them, by offset: verdict, issue, reason. */
const OF_EACH = [
  [2n, "first", Verdict.DUPLICATE, 0, ErrorReason.UNSPECIFIED],
  [3n, "first", Verdict.CONFLICT, 0, ErrorReason.RECORD_REFUSED],
  [4n, "revised", Verdict.SUPERSEDED, 0, ErrorReason.RECORD_REFUSED],
  [5n, "broken", Verdict.REJECTED, RecordIssue.FIELD_REQUIRED, ErrorReason.RECORD_REFUSED],
  [6n, "strange", Verdict.QUARANTINED, RecordIssue.NOT_ATTRIBUTABLE, ErrorReason.RECORD_QUARANTINED],
  [7n, "early", Verdict.ACCEPTED, RecordIssue.CLOCK_AHEAD, ErrorReason.UNSPECIFIED],
];

async function listed(carrierId: string, uploadId: string) {
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const { rejects, totalCount } = await client.listRejects({ uploadId, pageSize: 1_000 });
  return { rejects, totalCount };
}

const inShort = ({ rejects }: Awaited<ReturnType<typeof listed>>) =>
  rejects.map(({ outcome, reason }) => [
    outcome?.recordOffset,
    outcome?.recordId,
    outcome?.verdict,
    outcome?.issue,
    reason,
  ]);

test("after Finish the list has every verdict that was not plainly accepted, though every Ack was lost", async () => {
  const carrierId = await newCarrier(exchange);
  {
    await using stream = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "u" });
    await stream.next("opened");
    stream.batch(0, oneOfEach());
    await stream.committed(8);
    stream.cut();
  }
  await using again = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "u" });
  expect(await again.next("opened")).toMatchObject({ committedOffset: 8n });
  again.finish(oneOfEach());
  await again.next("finished");

  const found = await listed(carrierId, "u");
  expect(inShort(found)).toEqual(OF_EACH);
  expect(found.totalCount).toBe(5n);
  const json = new Map(found.rejects.map(({ outcome, recordJson }) => [outcome?.verdict, recordJson]));
  expect(json.get(Verdict.CONFLICT)).toContain("2000");
  // What is stored is not kept twice.
  const day = new Date(NOON_MS).toISOString().slice(0, 10);
  expect(json.get(Verdict.DUPLICATE)).toBe(`{"recordDate":"${day}"}`);
  await expectSound(exchange, carrierId);
});

test("AppendDurations has the same list, and tells the verdicts again to who asks again, also after its finish", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const records = oneOfEach().map(durationOf);
  const totals = {
    recordCount: 8n,
    connectedDurationMs: records.reduce((sum, record) => sum + (record.connectedDurationMs ?? 0n), 0n),
  };
  const call = { uploadId: "u", records, finish: { finalOffset: 8n, totals } };
  const { outcomes } = await client.appendDurations(call);
  expect((await client.appendDurations(call)).outcomes).toEqual(outcomes);
  expect(inShort(await listed(carrierId, "u"))).toEqual(OF_EACH);
});

test("a client that comes back may send from before the committed offset, and is told those verdicts again", async () => {
  const carrierId = await newCarrier(exchange);
  {
    await using stream = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "u" });
    await stream.next("opened");
    stream.batch(0, oneOfEach());
    await stream.committed(8);
    stream.cut();
  }
  await using again = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "u" });
  await again.next("opened");
  again.batch(3, oneOfEach().slice(3));
  const { outcomes, counts, committedOffset } = await again.next("ack");
  expect(committedOffset).toBe(8n);
  expect(counts).toMatchObject({ conflict: 1n, superseded: 1n, rejected: 1n, quarantined: 1n, accepted: 1n });
  expect(outcomes.map(({ recordOffset, verdict }) => [recordOffset, verdict])).toEqual(
    OF_EACH.slice(1).map(([offset, , verdict]) => [offset, verdict]),
  );
});

test("duplicates and warnings take half of the list at most: what was not applied has the other half", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const batch = someRecords(0, 2_000).map(durationOf);
  await client.appendDurations({ uploadId: "first", records: batch });
  for (let firstOffset = 0n; firstOffset < 8_000n; firstOffset += 2_000n)
    await client.appendDurations({ uploadId: "u", firstOffset, records: batch });
  const other = durationOf({ id: "r7", connectedMs: 123 });
  await client.appendDurations({ uploadId: "u", firstOffset: 8_000n, records: [other] });

  const seen: unknown[] = [];
  let pageToken = "";
  do {
    const page = await client.listRejects({ uploadId: "u", pageSize: 1_000, pageToken });
    seen.push(...page.rejects.map(({ outcome }) => outcome?.verdict));
    expect(page.totalCount).toBe(8_001n);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(seen).toHaveLength(5_001);
  expect(seen.at(-1)).toBe(Verdict.CONFLICT);
  await expectSound(exchange, carrierId);
});

test("the client asks for what it was not told of an upload that was sealed before", async () => {
  const carrierId = await newCarrier(exchange);
  const client = createClient(DurationService, await exchange.carrierTransport(carrierId));
  const options = { uploadId: "u", source: arraySource(oneOfEach().map(durationOf)) };
  const first = await uploadDurations(client, options);
  expect(first.outcomes).toHaveLength(6);
  const second = await uploadDurations(client, options);
  expect(second.outcomes).toEqual(first.outcomes);
});
