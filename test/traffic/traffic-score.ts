import type { FoundResult } from "../../src/simulator/reconciliation/wrong-calls.ts";
import { type Accuracy, NOTHING, type Score, scoreResults } from "../support/score.ts";
import type { TrafficWorld } from "./traffic-world.ts";

/** How a world came out. Shares are 0..1 of the decidable calls; `undecidable` is of all. */
export interface TrafficScore {
  readonly score: Score;
  readonly right: number;
  readonly undecidable: number;
  readonly falseMissing: number;
  /** Pairs with a record of another call. */
  readonly wrongPairs: number;
  /** The furthest off of a customer's day: share of its truth. */
  readonly usageError: number;
  /** Records that are in two results or in none. */
  readonly misplaced: readonly string[];
}

export interface FoundTraffic {
  readonly results: readonly FoundResult[];
  /** As the world's usage. */
  readonly usage: ReadonlyMap<string, number>;
}

/** What must hold of a world; shares, 0..1. */
const BOUNDS = {
  right: 0.995,
  undecidable: 0.03,
  falseMissing: 0.0005,
  wrongPairs: 0.001,
  usageError: 0.001,
  ofClass: 0.98,
} as const;

/** Compares what was found of a world with its truth. */
export function scoreTraffic(world: TrafficWorld, { results, usage }: FoundTraffic): TrafficScore {
  const score = scoreResults(world.truths, results);
  const decidable = Math.max(1, score.callCount - score.ambiguous.count);
  return {
    score,
    right: 1 - (score.wrong.length + score.wrongPartner) / decidable,
    undecidable: score.ambiguous.share,
    falseMissing: score.falseMissing / decidable,
    wrongPairs: countWrongPairs(world, results) / decidable,
    usageError: usageErrorOf(world.usage, usage),
    misplaced: misplacedOf(world, results),
  };
}

/** What of the bounds does not hold. `leastPlanted`: how often each status and cause must occur. */
export function findTrafficShortfalls(found: TrafficScore, { leastPlanted = 0, hasAllIds = false } = {}): string[] {
  const shortfalls: string[] = [];
  const atMost = (name: "falseMissing" | "wrongPairs" | "usageError" | "undecidable", most: number) => {
    if (found[name] > most) shortfalls.push(`${name} is ${percent(found[name])}, over ${percent(most)}`);
  };
  if (found.right < BOUNDS.right) shortfalls.push(`only ${percent(found.right)} are right`);
  atMost("undecidable", hasAllIds ? 0 : BOUNDS.undecidable);
  atMost("falseMissing", BOUNDS.falseMissing);
  atMost("wrongPairs", BOUNDS.wrongPairs);
  atMost("usageError", BOUNDS.usageError);
  for (const [name, accuracy] of classesOf(found)) {
    const planted = accuracy.right + accuracy.overlooked;
    if (worstOf(accuracy) < BOUNDS.ofClass) shortfalls.push(`${name} comes to ${percent(worstOf(accuracy))}`);
    if (planted > 0 && planted < leastPlanted) shortfalls.push(`${name} is planted only ${planted} times`);
  }
  if (found.misplaced.length > 0)
    shortfalls.push(`in two results or in none: ${found.misplaced.slice(0, 5).join(", ")}`);
  return shortfalls;
}

export function formatTraffic(name: string, found: TrafficScore): string {
  const [worst, accuracy] = classesOf(found).sort(([, a], [, b]) => worstOf(a) - worstOf(b))[0] ?? ["none", undefined];
  return [
    name.padEnd(16),
    `right ${percent(found.right)}`,
    `undecidable ${percent(found.undecidable)}`,
    `false missing ${percent(found.falseMissing)}`,
    `wrong pairs ${percent(found.wrongPairs)}`,
    `usage off by ${percent(found.usageError)}`,
    `worst ${worst} ${accuracy ? percent(worstOf(accuracy)) : ""}`,
  ].join("  ");
}

function classesOf({ score }: TrafficScore): [string, Accuracy][] {
  return [...score.byStatus, ...score.byCause].filter(([name]) => name !== NOTHING);
}

function worstOf({ precision, recall }: Accuracy): number {
  return Math.min(precision, recall);
}

function countWrongPairs({ truths }: TrafficWorld, results: readonly FoundResult[]): number {
  const callOf = new Map<string, { call: number; isAmbiguous: boolean }>();
  for (const truth of truths) {
    if (truth.platformRecordId !== undefined) callOf.set(truth.platformRecordId, truth);
    for (const id of truth.carrierRecordIds) callOf.set(id, truth);
  }
  return results.filter(({ platformRecordId, carrierRecordIds }) => {
    const mine = platformRecordId === undefined ? undefined : callOf.get(platformRecordId);
    if (mine === undefined || mine.isAmbiguous) return false;
    return carrierRecordIds.some((id) => callOf.get(id)?.call !== mine.call);
  }).length;
}

function usageErrorOf(truth: ReadonlyMap<string, number>, found: ReadonlyMap<string, number>): number {
  const keys = [...new Set([...truth.keys(), ...found.keys()])];
  const errors = keys.map((key) => {
    const [expected = 0, told = 0] = [truth.get(key), found.get(key)];
    return Math.abs(told - expected) / Math.max(1, expected);
  });
  return Math.max(0, ...errors);
}

function misplacedOf({ cdrs, durations }: TrafficWorld, results: readonly FoundResult[]): string[] {
  const counts = new Map<string, number>();
  for (const { record } of [...cdrs, ...durations]) counts.set(record.recordId, 0);
  for (const { platformRecordId, carrierRecordIds } of results) {
    for (const id of [...(platformRecordId === undefined ? [] : [platformRecordId]), ...carrierRecordIds]) {
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }
  return [...counts].filter(([, count]) => count !== 1).map(([id, count]) => `${id} in ${count}`);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(3)} %`;
}
