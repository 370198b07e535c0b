// npm run accuracy: what reconciliation finds of 100,000 calls whose truth is known, with correlation ids on none, half and all of them. Ends with 1 when
// a bound does not hold.
import { parseArgs } from "node:util";
import { formatScore } from "../src/simulator/reconciliation/format-score.ts";
import { findShortfalls, scoreResults } from "../src/simulator/reconciliation/score.ts";
import { createReconciliationWorld, type ReconciliationWorld } from "../src/simulator/reconciliation/world.ts";
import { createWorld } from "../src/simulator/world.ts";
import { foundResult, reconcileInMemory } from "../test/support/in-memory-reconciler.ts";

const { values: options } = parseArgs({
  options: {
    calls: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    shares: { type: "string", default: "0,0.5,1" },
    wrong: { type: "string", default: "0" },
  },
});

for (const share of options.shares.split(",").map(Number)) {
  const world = worldOf(share);
  const found = reconcileInMemory(world).map(foundResult);
  const score = scoreResults(world.truths, found);
  print(`\n== correlation ids on ${share * 100} % of the calls ==\n`);
  print(
    `planted: ${[...world.plantedCounts]
      .sort()
      .map(([fault, count]) => `${fault} ${count}`)
      .join(", ")}\n`,
  );
  print(formatScore(score));
  for (const wrong of score.wrong.slice(0, Number(options.wrong))) print(JSON.stringify(wrong));
  const shortfalls = findShortfalls(score);
  print(shortfalls.length === 0 ? "\nevery bound holds" : `\nBELOW A BOUND: ${shortfalls.join("; ")}`);
  if (shortfalls.length > 0) process.exitCode = 1;
}

function worldOf(correlatedShare: number): ReconciliationWorld {
  const [, carrier] = createWorld({ seed: options.seed, numbersPerCarrier: 900 }).carriers;
  if (carrier === undefined) throw new Error("the world has no second carrier");
  const callCount = Number(options.calls);
  return createReconciliationWorld({
    seed: options.seed,
    carrier,
    callCount,
    correlatedShare,
    startDay: "2026-01-12",
  });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
