import { readFile } from "node:fs/promises";
import { fromJson } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { QualityReason, QualityVerdict } from "../../src/gen/tandem/type/v1/stream_quality_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { ingest } from "../support/feed.ts";

const DAY_MS = 86_400_000;
/** The day on which a softphone made the calls of the fixture. */
const MADE_ON = "2026-11-29";
/** The day that they are moved to. */
const DAY = new Date(Date.now() - 3 * DAY_MS).toISOString().slice(0, 10);
const { GOOD, POOR, UNCLASSIFIED } = QualityVerdict;

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

/**
 * Eleven calls of a softphone, and what the far end did in each. The figures are those of the
 * summary that the softphone printed: packets, lost packets and jitter, no ratio.
 */
const CALLS: [id: string, farEnd: string, verdict: QualityVerdict, reasons: QualityReason[]][] = [
  ["bs-good", "sends and hears everything", GOOD, []],
  ["bs-lossy", "leaves out every fifth packet", POOR, [QualityReason.PACKET_LOSS]],
  ["bs-silent", "sends nothing", POOR, [QualityReason.SILENT, QualityReason.ONE_WAY]],
  ["bs-no_rtcp", "sends no reports", UNCLASSIFIED, [QualityReason.NOT_MEASURED]],
  ["bs-dies", "sends nothing any more after 3 of 12 s", POOR, [QualityReason.ONE_WAY]],
  ["bs-doubled", "leaves out every fifth packet and sends the others twice", POOR, [QualityReason.PACKET_LOSS]],
  ["bs-short", "hangs up after 3.2 s", GOOD, []],
  ["bs-pauses", "sends only in every other second, for it suppresses silence", GOOD, []],
  ["bs-muted", "hears silence after 3 s", GOOD, []],
  ["bs-held", "is put on hold after 3 s and hears nothing", GOOD, []],
  ["bs-far_says_loss", "says that it lost 50 of 576 packets", GOOD, []],
];

test("every call of a real softphone is kept, and judged by what was heard in it", async () => {
  const carrierId = "softphone";
  await exchange.addCarrier(carrierId);
  await exchange.assignNumbers(carrierId, ["+441632960001"]);
  await ingest(exchange.app, carrierId, await softphoneCalls());
  const client = await exchange.carrierClient(CdrService, carrierId);
  const { records } = await client.listCdrs(period());
  const judged = records.map(({ recordId, qualityVerdict, qualityReasons }) => [
    recordId,
    QualityVerdict[qualityVerdict],
    qualityReasons.map((reason) => QualityReason[reason]),
  ]);
  expect(judged.sort()).toEqual(
    CALLS.map(([id, , verdict, reasons]) => [
      id,
      QualityVerdict[verdict],
      reasons.map((reason) => QualityReason[reason]),
    ]).sort(),
  );
});

/** The fixture's calls, moved by whole days. */
async function softphoneCalls(): Promise<CallDetailRecord[]> {
  const lines = (await readFile(new URL("../fixtures/softphone-calls.jsonl", import.meta.url), "utf8")).trim();
  return lines.split("\n").map((line) => fromJson(CallDetailRecordSchema, JSON.parse(line.replaceAll(MADE_ON, DAY))));
}

function period() {
  const start = BigInt(Date.parse(DAY) / 1_000);
  return { startTime: { seconds: start }, endTime: { seconds: start + 86_400n }, pageSize: 100 };
}
