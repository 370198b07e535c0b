import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { carrierCall, e164, HOUR_MS, MINUTE_MS, platformCall, TEN } from "../../../test/support/matching-calls.ts";
import { effectiveOffset, judgeVotes, type VoteCounts, voteBucket, zoneShiftVotes } from "./clock-offset.ts";
import type { ClockOffset } from "./facts.ts";

function votesOf(differencesMs: readonly number[]): VoteCounts {
  const votes: Record<string, number> = {};
  for (const bucket of differencesMs.map(voteBucket)) votes[bucket] = (votes[bucket] ?? 0) + 1;
  return votes;
}

function repeat(count: number, differenceMs: number): number[] {
  return Array.from({ length: count }, (_, index) => differenceMs + (index % 5) * 100);
}

describe("the votes of a trunk and hour", () => {
  test.each([1, 5.5, -3.25, 14, -14].map((hours) => hours * HOUR_MS))("show a zone shift of %d ms", (offsetMs) => {
    const votes = votesOf([...repeat(16, offsetMs), ...repeat(4, 0)]);
    expect(judgeVotes(votes)).toEqual({ kind: "ZONE_SHIFT", offsetMs, pairCount: 20, ratio: 0.8 });
  });

  test("show a skew that they share, to less than a second", () => {
    const judged = judgeVotes(votesOf(repeat(30, 7_300)));
    expect(judged).toMatchObject({ kind: "CLOCK_SKEW", pairCount: 30, ratio: 1 });
    expect(Math.abs((judged?.offsetMs ?? 0) - 7_500)).toBeLessThan(500);
  });

  test("show none where the clocks agree to 2 s, or the differences have nothing in common", () => {
    expect(judgeVotes(votesOf(repeat(30, 1_200)))).toMatchObject({ kind: "NONE", offsetMs: 0, ratio: 1 });
    const scattered = Array.from({ length: 30 }, (_, index) => (index - 15) * 4_000);
    expect(judgeVotes(votesOf(scattered))).toMatchObject({ kind: "NONE", offsetMs: 0 });
    expect(judgeVotes(votesOf([...repeat(15, HOUR_MS), ...repeat(5, 0)]))).toMatchObject({ kind: "NONE" });
  });

  test("show two offsets where a clock was set back within the hour, each by the votes that the other leaves", () => {
    const judged = judgeVotes(votesOf([...repeat(40, HOUR_MS), ...repeat(30, 300), ...repeat(4, 5 * HOUR_MS)]));
    expect(judged).toMatchObject({ kind: "NONE", offsetMs: 0, pairCount: 34 });
    expect(judged?.second).toMatchObject({ kind: "ZONE_SHIFT", offsetMs: HOUR_MS, pairCount: 44 });
    expect(judgeVotes(votesOf([...repeat(40, HOUR_MS), ...repeat(19, 0)]))?.second).toBeUndefined();
  });

  test("say nothing when there are fewer than 20", () => {
    expect(judgeVotes(votesOf(repeat(19, HOUR_MS)))).toBeUndefined();
  });

  test("come out the same whatever the order in which they were counted", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -4_000_000, max: 4_000_000 }), { minLength: 20 }), (differences) => {
        expect(judgeVotes(votesOf(differences.toReversed()))).toEqual(judgeVotes(votesOf(differences)));
      }),
    );
  });

  test("have one bucket a second near 0 and each multiple of 15 minutes, and one for all others", () => {
    expect([0, 499, -60_000, HOUR_MS + 60_499].map(voteBucket)).toEqual(["0", "0", "-60", "3660"]);
    expect([61_000, 7 * MINUTE_MS, 15 * HOUR_MS].map(voteBucket)).toEqual(["other", "other", "other"]);
  });
});

describe("the offset of an hour", () => {
  const offset = (offsetMs: number): ClockOffset => ({ offsetMs, kind: "ZONE_SHIFT", pairCount: 30, ratio: 0.9 });

  test("is its own, else that of the hour before, else of the hour after", () => {
    expect(effectiveOffset(offset(1), offset(2), offset(3))).toEqual(offset(1));
    expect(effectiveOffset(undefined, offset(2), offset(2))).toEqual({ ...offset(2), pairCount: 0 });
    expect(effectiveOffset(undefined, undefined, offset(3))).toEqual({ ...offset(3), pairCount: 0 });
    expect(effectiveOffset(undefined, undefined, undefined)).toBeUndefined();
  });

  test("is both neighbours' where a clock was set between them, the one nearer to 0 first", () => {
    const second = { ...offset(HOUR_MS), pairCount: 0 };
    expect(effectiveOffset(undefined, offset(HOUR_MS), offset(0))).toEqual({ ...offset(0), pairCount: 0, second });
  });

  test("is not a neighbour's that the few pairs of its own speak against", () => {
    const own = votesOf([0, 100, HOUR_MS]);
    expect(effectiveOffset(undefined, offset(HOUR_MS), offset(0), own)).toMatchObject({ offsetMs: 0 });
    expect(effectiveOffset(undefined, offset(HOUR_MS), undefined, own)).toBeUndefined();
  });
});

describe("calls that have no pair", () => {
  test("vote for the zone in which they would have one, by trunk and hour of the carrier's clock", () => {
    const pairs = [0, 5, 20, 70].map((minutes, index) => {
      const called = e164(`+463300${1_000 + index}`);
      const startMs = TEN + minutes * MINUTE_MS;
      const carrier = carrierCall(`c${index}`, { startMs: startMs + 5.5 * HOUR_MS }, { called, trunkId: "trunk-2" });
      return { platform: platformCall(`p${index}`, { startMs }, { called }), carrier };
    });
    const hourMs = TEN + 5 * HOUR_MS;
    const votes = zoneShiftVotes(
      pairs.map(({ platform }) => platform),
      pairs.map(({ carrier }) => carrier),
    );
    expect(votes).toEqual([
      { trunkId: "trunk-2", hourMs, votes: { "19800": 3 } },
      { trunkId: "trunk-2", hourMs: hourMs + HOUR_MS, votes: { "19800": 1 } },
    ]);
  });

  test("do not vote when another of the same numbers is within 14 h, unless their durations tell them apart", () => {
    const carrier = [carrierCall("c", { startMs: TEN + HOUR_MS })];
    const platform = [platformCall("p1"), platformCall("p2", { startMs: TEN - 10 * HOUR_MS })];
    expect(zoneShiftVotes(platform, carrier)).toEqual([]);
    expect(zoneShiftVotes(platform.slice(0, 1), carrier)).toHaveLength(1);
    const more = [...carrier, carrierCall("c2", { startMs: TEN + 2 * HOUR_MS })];
    expect(zoneShiftVotes(platform.slice(0, 1), more)).toEqual([]);
    const other = platformCall("p2", { startMs: TEN - 10 * HOUR_MS, connectedMs: 5_000 });
    expect(zoneShiftVotes([...platform.slice(0, 1), other], carrier)).toMatchObject([{ votes: { "3600": 1 } }]);
  });
});
