import { describe, expect, it } from "vitest";
import { createReconciliationWorld } from "../../src/simulator/reconciliation/world.ts";
import { createWorld, type SimulatedCarrier } from "../../src/simulator/world.ts";
import { foundResult, reconcileInMemory } from "../support/in-memory-reconciler.ts";
import { scoreResults } from "../support/score.ts";
import { findShortfalls } from "../support/score-tables.ts";

// The same at 100,000 calls: `npm run accuracy`.
describe("6,000 calls whose truth is known", () => {
  it.for([
    ["none", 0],
    ["half", 0.5],
    ["all", 1],
  ] as const)("are told for what they are, each status and cause, with correlation ids on %s of them", ([, share]) => {
    const carrier = createWorld({ seed: "world", numbersPerCarrier: 900 }).carriers[1] as SimulatedCarrier;
    const options = { seed: "world", carrier, callCount: 6_000, correlatedShare: share, startDay: "2026-01-12" };
    const world = createReconciliationWorld(options);
    const score = scoreResults(world.truths, reconcileInMemory(world).map(foundResult));
    expect(findShortfalls(score)).toEqual([]);
    expect(score.byStatus.size).toBe(12);
    expect(score.ambiguous.byStatus.get("AMBIGUOUS")).toMatchObject({ precision: 1, recall: 1 });
    expect(score.byCause.size).toBe(8);
    expect(score.wrongPartner).toBe(0);
  });

  it("are told as well on the days on which a summer begins or ends", () => {
    for (const startDay of ["2026-03-28", "2026-10-24"]) {
      const carrier = createWorld({ seed: "summer", numbersPerCarrier: 900 }).carriers[0] as SimulatedCarrier;
      const options = { seed: "summer", carrier, callCount: 2_000, correlatedShare: 0, startDay };
      const world = createReconciliationWorld(options);
      const score = scoreResults(world.truths, reconcileInMemory(world).map(foundResult));
      expect(score.falseMissing).toBe(0);
      // Each class is planted a dozen times: a ratio would say little.
      expect(score.wrong.length).toBeLessThanOrEqual(3);
    }
  });
});
