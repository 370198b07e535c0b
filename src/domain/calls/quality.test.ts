import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { QualityReason, QualityVerdict } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { isTooShort, judgeCall, judgeStream } from "./quality.ts";

describe("a stream", () => {
  test.each([
    ["mosDegradation", 1, 1.01, QualityReason.MOS_DEGRADATION],
    ["roundTripAvgMs", 500, 500.1, QualityReason.ROUND_TRIP],
    ["lossRatioAvg", 0.1, 0.1001, QualityReason.PACKET_LOSS],
    ["jitterAvgMs", 30, 30.1, QualityReason.JITTER],
    ["concealedRatio", 0.07, 0.0701, QualityReason.CONCEALMENT],
  ] as const)("is GOOD with %s at %d and POOR above it", (measure, at, above, reason) => {
    expect(judgeStream({ [measure]: at }, false)).toEqual({ verdict: QualityVerdict.GOOD, reasons: [] });
    expect(judgeStream({ [measure]: above }, false)).toEqual({ verdict: QualityVerdict.POOR, reasons: [reason] });
  });

  test.each([
    ["mosLq", 3.1, 3.09, QualityReason.MOS_DEGRADATION],
    ["mosCq", 3.1, 3.09, QualityReason.MOS_DEGRADATION],
    ["rFactor", 60, 59.9, QualityReason.MOS_DEGRADATION],
  ] as const)(
    "whose degradation is not stated is GOOD with %s at %d and POOR below it",
    (measure, at, below, reason) => {
      expect(judgeStream({ [measure]: at }, false)).toEqual({ verdict: QualityVerdict.GOOD, reasons: [] });
      expect(judgeStream({ [measure]: below }, false)).toEqual({ verdict: QualityVerdict.POOR, reasons: [reason] });
      expect(judgeStream({ [measure]: below, mosDegradation: 1 }, false).verdict).toBe(QualityVerdict.GOOD);
    },
  );

  test("is POOR when more than a tenth of its packets came too late to be played", () => {
    const reasons = [QualityReason.PACKET_LOSS];
    expect(judgeStream({ lossRatioAvg: 0, discardRatio: 0.1 }, false).verdict).toBe(QualityVerdict.GOOD);
    expect(judgeStream({ lossRatioAvg: 0, discardRatio: 0.11 }, false)).toEqual({
      verdict: QualityVerdict.POOR,
      reasons,
    });
  });

  test("is UNCLASSIFIED when nothing was measured that the rule asks for, and GOOD when one was measured as 0", () => {
    expect(judgeStream({}, false)).toEqual({
      verdict: QualityVerdict.UNCLASSIFIED,
      reasons: [QualityReason.NOT_MEASURED],
    });
    expect(judgeStream({ jitterAvgMs: 0 }, false).verdict).toBe(QualityVerdict.GOOD);
  });

  test("is UNCLASSIFIED when the call was too short, whatever was measured", () => {
    expect(judgeStream({ jitterAvgMs: 99 }, true)).toEqual({
      verdict: QualityVerdict.UNCLASSIFIED,
      reasons: [QualityReason.TOO_SHORT],
    });
    expect(judgeStream({}, true).reasons).toEqual([QualityReason.TOO_SHORT, QualityReason.NOT_MEASURED]);
  });

  test("gives every reason, in the order of the rule", () => {
    const all = { concealedRatio: 1, jitterAvgMs: 99, lossRatioAvg: 1, roundTripAvgMs: 999, mosDegradation: 5 };
    expect(judgeStream(all, false).reasons).toEqual([1, 2, 3, 4, 5]);
  });
});

test("a call is too short below 3 s connected and when it was never answered, not while its length is unknown", () => {
  expect([isTooShort(true, 2_999), isTooShort(true, 3_000), isTooShort(true, undefined)]).toEqual([true, false, false]);
  expect([isTooShort(false, undefined), isTooShort(false, 9_000)]).toEqual([true, true]);
});

describe("a call", () => {
  const good = { verdict: QualityVerdict.GOOD, reasons: [] };
  const silent = { verdict: QualityVerdict.UNCLASSIFIED, reasons: [QualityReason.NOT_MEASURED] };
  const poor = (...reasons: QualityReason[]) => ({ verdict: QualityVerdict.POOR, reasons });

  test("is POOR if any stream is, with the reasons of the poor ones, each once and in order", () => {
    const judged = judgeCall([poor(4, 5), good, silent, poor(2, 4)], false);
    expect(judged).toEqual({ verdict: QualityVerdict.POOR, reasons: [2, 4, 5], classifiedStreams: 3, poorStreams: 2 });
  });

  test("is else GOOD if any stream is, without reasons", () => {
    expect(judgeCall([silent, good], false)).toEqual({
      verdict: QualityVerdict.GOOD,
      reasons: [],
      classifiedStreams: 1,
      poorStreams: 0,
    });
  });

  test("is else UNCLASSIFIED, also without streams", () => {
    expect(judgeCall([silent], false)).toMatchObject({
      verdict: QualityVerdict.UNCLASSIFIED,
      reasons: [QualityReason.NOT_MEASURED],
    });
    expect(judgeCall([], false)).toMatchObject({
      verdict: QualityVerdict.UNCLASSIFIED,
      reasons: [QualityReason.NOT_MEASURED],
    });
    expect(judgeCall([], true).reasons).toEqual([QualityReason.TOO_SHORT, QualityReason.NOT_MEASURED]);
  });

  test("is never better than its worst classified stream, and counts only what was classified", () => {
    const measure = fc.option(fc.double({ min: 0, max: 1_000, noNaN: true }), { nil: undefined });
    const stream = fc.record({
      mosDegradation: measure,
      roundTripAvgMs: measure,
      lossRatioAvg: measure,
      jitterAvgMs: measure,
      concealedRatio: measure,
    });
    fc.assert(
      fc.property(fc.array(stream, { maxLength: 16 }), (streams) => {
        const judged = streams.map((measures) => judgeStream(measures, false));
        const call = judgeCall(judged, false);
        expect(call.verdict === QualityVerdict.POOR).toBe(judged.some((s) => s.verdict === QualityVerdict.POOR));
        expect(call.poorStreams <= call.classifiedStreams && call.classifiedStreams <= streams.length).toBe(true);
        expect(call.reasons).toEqual([...new Set(call.reasons)].sort());
      }),
    );
  });
});
