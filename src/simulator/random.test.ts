import { describe, expect, it } from "vitest";
import { createRandom } from "./random.ts";

describe("createRandom", () => {
  it("draws the same for the same seed, and something else for another", () => {
    const draw = (seed: string) => createRandom(seed).hex(32);
    expect(draw("1")).toBe(draw("1"));
    expect(draw("1")).not.toBe(draw("2"));
  });

  it("stays the same from version to version, so that a seed in a report keeps its meaning", () => {
    expect(createRandom("tandem").hex(16)).toMatchInlineSnapshot(`"ad92c63e53ff2c48"`);
  });

  it("draws evenly, both ends included", () => {
    const random = createRandom("even");
    const draws = Array.from({ length: 40_000 }, () => random.int(0, 3));
    for (const value of [0, 1, 2, 3]) {
      const count = draws.filter((draw) => draw === value).length;
      expect(Math.abs(count - 10_000)).toBeLessThan(400);
    }
    expect(new Set(draws).size).toBe(4);
  });

  it("keeps weights and medians", () => {
    const random = createRandom("weights");
    const draws = Array.from({ length: 20_000 }, () => random.weighted({ often: 9, seldom: 1, never: 0 }));
    expect(draws.filter((draw) => draw === "often").length / draws.length).toBeCloseTo(0.9, 1);
    expect(draws).not.toContain("never");
    const lengths = Array.from({ length: 20_000 }, () => random.logNormal(100, 1)).sort((a, b) => a - b);
    expect(lengths[10_000]).toBeGreaterThan(95);
    expect(lengths[10_000]).toBeLessThan(105);
  });

  it("gives a fork a stream of its own, whatever was drawn before", () => {
    const first = createRandom("fork");
    const second = createRandom("fork");
    second.next();
    expect(first.fork("a").hex(16)).toBe(second.fork("a").hex(16));
    expect(first.fork("a").hex(16)).not.toBe(first.fork("b").hex(16));
  });
});
