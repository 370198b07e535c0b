import fc from "fast-check";
import { expect, test } from "vitest";
import { applyRule, judgeRounding, roundingVotes } from "./rounding.ts";

function votesOf(pairs: readonly (readonly [number, number])[]): Record<string, number> {
  const votes: Record<string, number> = {};
  for (const key of pairs.flatMap((pair) => roundingVotes(...pair))) votes[key] = (votes[key] ?? 0) + 1;
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
      expect(billedS % incrementS).toBe(0);
      expect(billedS).toBeGreaterThanOrEqual(leastS);
      expect(billedS).toBeLessThan(leastS + incrementS);
    }),
  );
});
