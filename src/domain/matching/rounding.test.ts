import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RoundingRule } from "../carriers/carrier.ts";
import { applyRule, judgeRounding, roundingVotes } from "./rounding.ts";

function votesOf(pairs: readonly (readonly [number, number])[]): Record<string, number> {
  const votes: Record<string, number> = {};
  const keys = pairs.flatMap((pair) => roundingVotes(...pair));
  for (const key of keys) votes[key] = (votes[key] ?? 0) + 1;
  return votes;
}

const lengths = Array.from({ length: 40 }, (_, index) => 7_000 + index * 13_731);

test.each([6, 30, 60])("durations that are all rounded up to %d s show the rule", (incrementS) => {
  const pairs = lengths.map((ms) => [ms, applyRule({ incrementS, minimumS: 0 }, ms) * 1_000] as const);
  expect(judgeRounding(votesOf(pairs))).toEqual({
    rule: { incrementS, minimumS: 0 },
    isInferred: true,
    pairCount: 40,
    ratio: 1,
  });
});

test("a rule needs 20 pairs, and 95 % of them", () => {
  const rounded = lengths.map((ms) => [ms, applyRule({ incrementS: 60, minimumS: 0 }, ms) * 1_000] as const);
  const honest = lengths.map((ms) => [ms, ms + 250] as const);
  expect(judgeRounding(votesOf(rounded.slice(0, 19)))).toBeUndefined();
  expect(judgeRounding(votesOf([...rounded.slice(0, 38), ...honest.slice(0, 2)]))).toMatchObject({ ratio: 0.95 });
  expect(judgeRounding(votesOf([...rounded.slice(0, 37), ...honest.slice(0, 3)]))).toBeUndefined();
  expect(judgeRounding(votesOf(honest))).toBeUndefined();
});

test("a multiple that is not the platform's duration rounded up is no vote for a rule", () => {
  expect(roundingVotes(100_000, 120_000)).toEqual(["pairs", "60", "30"]);
  expect(roundingVotes(100_000, 102_500)).toEqual(["pairs"]);
  expect(roundingVotes(120_900, 120_000)).toEqual(["pairs", "60", "30", "6"]);
});

test("a pair that no increment can explain says nothing of rounding", () => {
  expect(roundingVotes(121_001, 120_000)).toEqual([]);
  expect(roundingVotes(100_000, 180_000)).toEqual([]);
});

test("a rule bills at least the minimum and the duration, and never a whole increment more", () => {
  fc.assert(
    fc.property(fc.nat(10_000_000), fc.integer({ min: 1, max: 3_600 }), fc.nat(3_600), (ms, incrementS, minimumS) => {
      const billedS = applyRule({ incrementS, minimumS }, ms);
      const leastS = Math.max(ms / 1_000, minimumS);
      expect((billedS - minimumS) % incrementS).toBe(0);
      expect(billedS).toBeGreaterThanOrEqual(leastS);
      expect(billedS).toBeLessThan(leastS + incrementS);
    }),
  );
});

test.each([
  [
    90,
    60,
    [
      [45, 90],
      [91, 150],
      [151, 210],
    ],
  ],
  [
    30,
    6,
    [
      [3, 30],
      [32, 36],
      [57, 60],
      [75, 78],
    ],
  ],
  [
    6,
    6,
    [
      [1, 6],
      [7, 12],
    ],
  ],
  [
    60,
    1,
    [
      [12, 60],
      [61, 61],
    ],
  ],
  [
    0,
    60,
    [
      [0, 0],
      [60, 60],
      [61, 120],
    ],
  ],
] as const)("a minimum of %d s goes before increments of %d s", (minimumS, incrementS, bills) => {
  for (const [lengthS, billedS] of bills) expect(applyRule({ incrementS, minimumS }, lengthS * 1_000)).toBe(billedS);
});

describe("bills alone", () => {
  const billed = (rule: RoundingRule, count: number, shortShare = 0.5) =>
    Array.from({ length: count }, (_, index) => {
      const isShort = index < count * shortShare;
      const platformMs = isShort ? 2_000 + ((index * 3_331) % 26_000) : 31_000 + ((index * 13_731) % 400_000);
      return { platformMs, billedS: applyRule(rule, platformMs) };
    });
  const count = (pairs: readonly { platformMs: number; carrierMs?: number; billedS: number }[]) => {
    const votes: Record<string, number> = {};
    const keys = pairs.flatMap(({ platformMs, carrierMs, billedS }) => roundingVotes(platformMs, carrierMs, billedS));
    for (const key of keys) votes[key] = (votes[key] ?? 0) + 1;
    return votes;
  };

  test.each([
    [0, 1],
    [0, 6],
    [30, 6],
    [0, 30],
    [0, 60],
    [90, 60],
    [60, 1],
  ])("show a minimum of %d s and increments of %d s, by calls of which most are short", (minimumS, incrementS) => {
    const rule = { incrementS, minimumS };
    for (const share of [0.2, 0.5, 0.7]) {
      expect(judgeRounding(count(billed(rule, 190, share)))).toMatchObject({ rule, isInferred: true, pairCount: 190 });
    }
  });

  test("show a rule although clocks measure a call a little differently", () => {
    const rule = { incrementS: 6, minimumS: 30 };
    const pairs = billed(rule, 190).map((pair, index) => ({
      ...pair,
      platformMs: pair.platformMs + ((index * 211) % 500) - 250,
    }));
    expect(judgeRounding(count(pairs))).toMatchObject({ rule });
  });

  test("show no rule where they are fewer than 20, or free", () => {
    expect(judgeRounding(count(billed({ incrementS: 6, minimumS: 30 }, 19)))).toBeUndefined();
    expect(roundingVotes(4_000, undefined, 0)).toEqual([]);
  });

  test("stand beside connected durations that were rounded by another rule, and each is told of its own", () => {
    const pairs = billed({ incrementS: 60, minimumS: 0 }, 60).map((pair) => ({
      ...pair,
      carrierMs: applyRule({ incrementS: 6, minimumS: 0 }, pair.platformMs) * 1_000,
    }));
    expect(judgeRounding(count(pairs))).toMatchObject({
      rule: { incrementS: 60, minimumS: 0 },
      ofConnected: { rule: { incrementS: 6, minimumS: 0 } },
    });
  });
});
