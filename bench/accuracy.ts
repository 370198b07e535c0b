// npm run accuracy: what reconciliation finds of 100,000 calls whose truth is known, three times:
// with correlation ids on none, half and all of them. Ends with 1 when a bound does not hold.
// --store has the job reconcile them in PostgreSQL; without it the matcher is given all of them at
// once. --traffic measures the worlds of traffic instead, 50,000 calls each: see
// docs/reconciliation.md.
import { parseArgs } from "node:util";
import { addDays } from "../src/domain/time/instant.ts";
import { createReconciliationWorld, type ReconciliationWorld } from "../src/simulator/reconciliation/world.ts";
import type { FoundResult } from "../src/simulator/reconciliation/wrong-calls.ts";
import { createWorld } from "../src/simulator/world.ts";
import * as inMemory from "../test/support/in-memory-reconciler.ts";
import { readAllResults, reconcileFully } from "../test/support/reconcile.ts";
import { addWorldCarrier, deliveriesOf, foundResult } from "../test/support/reconciliation-world.ts";
import { scoreResults } from "../test/support/score.ts";
import { findShortfalls, formatScore } from "../test/support/score-tables.ts";
import { measureTraffic } from "./traffic.ts";
import { openBenchWorld } from "./world.ts";

const { values: options } = parseArgs({
  options: {
    /** Default: 100,000, of traffic 50,000. */
    calls: { type: "string" },
    seed: { type: "string", default: "1" },
    /** Shares of the calls with correlation ids. */
    shares: { type: "string", default: "0,0.5,1" },
    store: { type: "boolean", default: false },
    /** How many of the calls that came out wrong to print. */
    wrong: { type: "string", default: "0" },
    traffic: { type: "boolean", default: false },
    /** Of traffic: names of worlds, all by default. */
    worlds: { type: "string", default: "" },
  },
});
const shares = options.shares.split(",").map(Number);
const callCount = Number(options.calls ?? (options.traffic ? 50_000 : 100_000));

/**
 * The store keeps records by the week in which they came, from last week on: a world of five days
 * is over by now.
 */
const DAYS_AGO = 6;
/** Each status and cause is planted in so many of the calls, unambiguous ones: 500 in 100,000. */
const LEAST_PLANTED_SHARE = 0.005;

if (options.traffic) {
  const worlds = options.worlds.split(",").filter((name) => name !== "");
  const holds = measureTraffic({ seed: options.seed, callCount, shares, worlds, wrong: Number(options.wrong) });
  if (!holds) process.exitCode = 1;
} else {
  for (const share of shares) await measureFaults(share);
}

async function measureFaults(share: number): Promise<void> {
  const world = worldOf(share);
  print(`\n== ${world.truths.length} calls, correlation ids on ${share * 100} % of them ==\n`);
  const counts = [...world.plantedCounts].sort().map(([fault, count]) => `${fault} ${count}`);
  print(`planted: ${counts.join(", ")}\n`);
  const found = options.store ? await reconcileInStore(world) : reconcileInMemory(world);
  const score = scoreResults(world.truths, found);
  print(formatScore(score));
  for (const wrong of score.wrong.slice(0, Number(options.wrong))) print(JSON.stringify(wrong));
  const shortfalls = findShortfalls(score, { leastPlanted: callCount * LEAST_PLANTED_SHARE });
  print(shortfalls.length === 0 ? "\nevery bound holds" : `\nBELOW A BOUND: ${shortfalls.join("; ")}`);
  if (shortfalls.length > 0) process.exitCode = 1;
}

function worldOf(correlatedShare: number): ReconciliationWorld {
  const [, carrier] = createWorld({ seed: options.seed, numbersPerCarrier: 900 }).carriers;
  if (carrier === undefined) throw new Error("the world has no second carrier");
  const startDay = addDays(new Date().toISOString().slice(0, 10), -DAYS_AGO);
  return createReconciliationWorld({ seed: options.seed, carrier, callCount, correlatedShare, startDay });
}

function reconcileInMemory(world: ReconciliationWorld): FoundResult[] {
  return inMemory.reconcileInMemory(world).map(inMemory.foundResult);
}

async function reconcileInStore(world: ReconciliationWorld): Promise<FoundResult[]> {
  await using bench = await openBenchWorld({ reconcileIntervalMs: 0, synchronousCommit: "off" });
  const { db } = bench.app.services;
  const carrierId = world.carrier.carrierId;
  await addWorldCarrier(db, carrierId, world);
  for (const delivery of deliveriesOf(world)) await delivery.run(db, carrierId);
  await reconcileFully(db, carrierId, { nowMs: world.nowMs });
  const rows = await readAllResults(db, carrierId);
  return rows.filter(({ isMerged }) => !isMerged).map(foundResult);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
