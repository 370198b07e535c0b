import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import {
  MeasuringEdge,
  QualityReason,
  QualityVerdict,
  StreamDirection,
  StreamQualitySchema,
} from "../../src/gen/tandem/type/v1/stream_quality_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { ingest } from "../support/feed.ts";
import { REAL_DAY, readFixture, realCdrs } from "../support/real-switch.ts";

const { GOOD, POOR, UNCLASSIFIED } = QualityVerdict;

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

type Call = [id: string, farEnd: string, verdict: QualityVerdict, reasons: QualityReason[]];

/**
 * Eleven calls of a softphone, and what the far end did in each. The figures are those of the
 * summary that the softphone printed: packets, lost packets and jitter, no ratio.
 */
const CALLS: Call[] = [
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
  expect(await judgedAt("softphone", await realCdrs("softphone"))).toEqual(sorted(CALLS));
});

test("the same calls are judged alike by what a capture of them shows, in which all packets are counted", async () => {
  const captured = CALLS.map((call): Call => (call[0] === "bs-no_rtcp" ? ["bs-no_rtcp", call[1], GOOD, []] : call));
  expect(await judgedAt("capture", await capturedCalls())).toEqual(sorted(captured));
});

test("a stream that lost a twentieth, by the counts and scores of a media proxy, is good", async () => {
  const [record] = await realCdrs("softphone");
  if (record === undefined) throw new Error("no calls");
  // rtpengine 10.5.3: 381 of 400 packets came of the one stream, all of the other.
  const relayed = { edge: MeasuringEdge.SBC, packetsSent: 400n, jitterAvgMs: 1, roundTripAvgMs: 6.7 };
  record.streamQualities = [
    create(StreamQualitySchema, {
      ...relayed,
      direction: StreamDirection.TO_CARRIER,
      packetsReceived: 381n,
      mosLq: 4.3,
    }),
    create(StreamQualitySchema, {
      ...relayed,
      direction: StreamDirection.FROM_CARRIER,
      packetsReceived: 400n,
      mosLq: 4.1,
    }),
  ];
  expect(await judgedAt("proxy", [record])).toEqual([["bs-good", "GOOD", []]]);
});

async function judgedAt(carrierId: string, calls: readonly CallDetailRecord[]) {
  await exchange.addCarrier(carrierId);
  await exchange.assignNumbers(carrierId, ["+441632960001"]);
  await ingest(exchange, carrierId, calls);
  const client = await exchange.carrierClient(CdrService, carrierId);
  const { records } = await client.listCdrs(period());
  const judged = records.map(({ recordId, qualityVerdict, qualityReasons }) => [
    recordId,
    QualityVerdict[qualityVerdict],
    qualityReasons.map((reason) => QualityReason[reason]),
  ]);
  return judged.sort();
}

function sorted(calls: readonly Call[]) {
  return calls
    .map(([id, , verdict, reasons]) => [id, QualityVerdict[verdict], reasons.map((reason) => QualityReason[reason])])
    .sort();
}

/**
 * What tshark counted of the same calls, from the capture: the stream of a call in which nothing
 * was heard is not in it.
 */
async function capturedCalls(): Promise<CallDetailRecord[]> {
  const [, ...lines] = (await readFixture("tshark-streams.csv")).split("\n");
  const streams = Map.groupBy(
    lines.map((line) => line.split(",")),
    ([name]) => name,
  );
  const calls = await realCdrs("softphone");
  for (const record of calls) {
    const rows = streams.get(record.recordId.replace("bs-", "")) ?? [];
    const [heard, said] = ["far-end", "phone"].map((from) => rows.find((row) => row[1] === from));
    const [packets = "0", lost = "0", jitter] = heard?.slice(2) ?? [];
    record.streamQualities = [
      create(StreamQualitySchema, {
        direction: StreamDirection.FROM_CARRIER,
        edge: MeasuringEdge.PLATFORM,
        packetsReceived: BigInt(packets),
        packetsLost: BigInt(lost),
        ...(jitter !== undefined && { jitterAvgMs: Number(jitter) }),
      }),
      create(StreamQualitySchema, {
        direction: StreamDirection.TO_CARRIER,
        edge: MeasuringEdge.PLATFORM,
        packetsSent: BigInt(said?.[2] ?? "0"),
      }),
    ];
  }
  return calls;
}

function period() {
  const start = BigInt(Date.parse(REAL_DAY) / 1_000);
  return { startTime: { seconds: start }, endTime: { seconds: start + 86_400n }, pageSize: 100 };
}
