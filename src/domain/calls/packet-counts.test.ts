import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { QualityReason, QualityVerdict } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { hearingOf, lossOf, type PacketCounts } from "./packet-counts.ts";
import { judgeCall, judgeStreams } from "./quality.ts";

const [TO_CARRIER, FROM_CARRIER] = [1, 2];
const [PLATFORM, SBC] = [1, 2];

function stream(direction: number, counts: Partial<PacketCounts>, edge = PLATFORM): PacketCounts {
  return { direction, edge, ...counts };
}
const from = (packetsReceived: bigint, edge = PLATFORM) => stream(FROM_CARRIER, { packetsReceived }, edge);
const to = (packetsSent: bigint, edge = PLATFORM) => stream(TO_CARRIER, { packetsSent }, edge);

describe("the share of lost packets by the counts", () => {
  test.each<[string, Partial<PacketCounts>, number | undefined]>([
    ["lost and received", { packetsReceived: 461n, packetsLost: 115n }, 115 / 576],
    ["lost and sent", { packetsSent: 576n, packetsLost: 50n }, 50 / 576],
    ["sent and received", { packetsSent: 576n, packetsReceived: 461n }, 115 / 576],
    ["all three: those of the receiver count", { packetsSent: 600n, packetsReceived: 90n, packetsLost: 10n }, 0.1],
    ["nothing of 576", { packetsSent: 576n, packetsReceived: 0n }, 1],
    ["every packet twice, a fifth lost", { packetsReceived: 920n, packetsLost: -346n }, 1 - 460 / 574],
    ["every packet twice, none lost", { packetsReceived: 1_000n, packetsLost: -500n }, 0],
    ["some packets twice", { packetsReceived: 1_100n, packetsLost: -100n }, undefined],
    ["received alone", { packetsReceived: 1_000n }, undefined],
    ["lost alone", { packetsLost: 10n }, undefined],
    ["none expected", { packetsReceived: 0n, packetsLost: 0n }, undefined],
    ["more than all lost", { packetsSent: 5n, packetsLost: 10n }, 1],
  ])("of %s", (_, counts, expected) => {
    expect(lossOf(stream(FROM_CARRIER, counts), undefined)).toBe(expected);
  });

  test("is a share, whatever the counts are", () => {
    const count = fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { nil: undefined });
    const counts = fc.record({ packetsSent: count, packetsReceived: count, packetsLost: count });
    fc.assert(
      fc.property(counts, (any) => {
        const share = lossOf(stream(FROM_CARRIER, any), undefined);
        expect(share === undefined || (share >= 0 && share <= 1)).toBe(true);
      }),
    );
  });
});

describe("the share of lost packets where a ratio stands beside the counts", () => {
  test.each<[string, Partial<PacketCounts>, number, number]>([
    ["the ratio", { packetsReceived: 995n, packetsLost: 5n }, 0.006, 0.006],
    ["the ratio, though the counts say less", { packetsReceived: 950n, packetsLost: 50n }, 0.15, 0.15],
    ["the ratio, where nothing was lost by the counts", { packetsReceived: 1_000n, packetsLost: 0n }, 0.3, 0.3],
    ["the ratio, where nothing was counted", {}, 0.5, 0.5],
    ["the counts, where the ratio is in percent (case 31)", { packetsReceived: 995n, packetsLost: 5n }, 0.5, 0.005],
  ])("is %s", (_, counts, ratio, expected) => {
    expect(lossOf(stream(FROM_CARRIER, counts), ratio)).toBe(expected);
  });
});

describe("a stream", () => {
  const heard = (streams: PacketCounts[], connectedMs: number | undefined = 12_000) => hearingOf(streams, connectedMs);
  const [FINE, SILENT, ONE_WAY] = [
    { silent: false, oneWay: false },
    { silent: true, oneWay: false },
    { silent: false, oneWay: true },
  ];

  test("of which nothing came is silent, and one-way where packets went the other way", () => {
    expect(heard([from(0n)])).toEqual([SILENT]);
    expect(heard([from(0n)], undefined)).toEqual([SILENT]);
    expect(heard([from(0n), to(601n)])[0]).toEqual({ silent: true, oneWay: true });
    expect(heard([from(0n), to(0n)])[0]).toEqual(SILENT);
  });

  test("of which fewer packets came than the call has seconds is silent", () => {
    expect(heard([from(11n)])).toEqual([SILENT]);
    expect(heard([from(12n)])).toEqual([FINE]);
  });

  test("from the carrier that is less than a third of what goes the other way is one-way", () => {
    expect(heard([from(149n), to(576n)])[0]).toEqual(ONE_WAY);
    expect(heard([from(192n), to(576n)])[0]).toEqual(FINE);
  });

  test("to the carrier may be little, for the platform itself put the call on hold", () => {
    expect(heard([from(576n), stream(TO_CARRIER, { packetsSent: 156n, packetsReceived: 156n })])).toEqual([FINE, FINE]);
  });

  test("that goes on in another after the media changed is heard", () => {
    expect(heard([from(0n), from(500n), to(500n)])).toEqual([FINE, FINE, FINE]);
  });

  test("is compared only with what the same edge saw", () => {
    expect(heard([from(100n), to(600n, SBC)])[0]).toEqual(FINE);
    expect(heard([from(100n, SBC), stream(TO_CARRIER, { packetsReceived: 600n }, SBC)])[0]).toEqual(ONE_WAY);
  });

  test("of which nobody counted what came says nothing", () => {
    expect(heard([to(576n)])).toEqual([FINE]);
  });

  test("that was not heard makes the call POOR, whatever else was measured", () => {
    const streams = [{ ...from(0n), jitterAvgMs: 0, lossRatioAvg: 0 }, to(576n)];
    expect(judgeCall(judgeStreams(streams, false, 12_000), false)).toEqual({
      verdict: QualityVerdict.POOR,
      reasons: [QualityReason.SILENT, QualityReason.ONE_WAY],
      classifiedStreams: 1,
      poorStreams: 1,
    });
    expect(judgeCall(judgeStreams(streams, true, 900), true).verdict).toBe(QualityVerdict.UNCLASSIFIED);
  });
});
