import type { CallTruth } from "../../src/simulator/reconciliation/truth.ts";
import {
  alignResults,
  type FoundResult,
  isRight,
  type ScoredCall,
} from "../../src/simulator/reconciliation/wrong-calls.ts";

/** How often something was found rightly, wrongly, or not at all. A ratio of nothing is 1. */
export interface Accuracy {
  readonly right: number;
  readonly wronglyFound: number;
  readonly overlooked: number;
  readonly precision: number;
  readonly recall: number;
}

export const NOTHING = "(nothing)";

/** How well the results fit the truth. */
export type Score = ReturnType<typeof scoreResults>;

/** Scores results. All but `ambiguous` is of unambiguous calls. */
export function scoreResults(truths: readonly CallTruth[], found: readonly FoundResult[]) {
  const pairs = alignResults(truths, found);
  const sure = pairs.filter(({ isAmbiguous }) => !isAmbiguous);
  const unsure = pairs.filter(({ isAmbiguous }) => isAmbiguous);
  return {
    callCount: pairs.length,
    byStatus: accuracies(sure, statusesOf),
    byCause: accuracies(sure, ({ causes }) => causes),
    /** How many calls of each status were found as which; NOTHING: one side has none. */
    confusion: confusionOf(sure),
    /** Calls wrongly said to be missing. */
    falseMissing: sure.filter(isFalseMissing).length,
    /** Pairs of the right status with a record of another call. */
    wrongPartner: sure.filter((pair) => isStatusRight(pair) && !isPartnerRight(pair)).length,
    wrong: sure.filter((pair) => !isRight(pair)),
    ambiguous: {
      count: unsure.length,
      /** Of all calls. */
      share: unsure.length / Math.max(1, truths.length),
      /** Of them, those that were right nevertheless. */
      right: unsure.filter(isRight).length,
      falseMissing: unsure.filter(isFalseMissing).length,
      byStatus: accuracies(unsure, statusesOf),
    },
  };
}

function accuracies(
  pairs: readonly ScoredCall[],
  namesOf: (call: { status: string; causes: readonly string[] }) => readonly string[],
): Map<string, Accuracy> {
  const counts = new Map<string, { right: number; wronglyFound: number; overlooked: number }>();
  for (const { truth, found } of pairs) {
    const expected = new Set(namesOf(truth ?? ABSENT));
    const told = new Set(namesOf(found ?? ABSENT));
    for (const name of expected.union(told)) {
      const count = counts.get(name) ?? { right: 0, wronglyFound: 0, overlooked: 0 };
      if (!told.has(name)) count.overlooked += 1;
      else if (!expected.has(name)) count.wronglyFound += 1;
      else count.right += 1;
      counts.set(name, count);
    }
  }
  return new Map([...counts].sort().map(([name, count]) => [name, withRatios(count)]));
}

const ABSENT = { status: NOTHING, causes: [] };

function statusesOf({ status }: { status: string }): string[] {
  return [status];
}

function withRatios(count: { right: number; wronglyFound: number; overlooked: number }): Accuracy {
  const ratio = (whole: number) => (whole === 0 ? 1 : count.right / whole);
  return {
    ...count,
    precision: ratio(count.right + count.wronglyFound),
    recall: ratio(count.right + count.overlooked),
  };
}

function confusionOf(pairs: readonly ScoredCall[]): Map<string, Map<string, number>> {
  const rows = new Map<string, Map<string, number>>();
  for (const { truth, found } of pairs) {
    const row = rows.get(truth?.status ?? NOTHING) ?? new Map<string, number>();
    rows.set(truth?.status ?? NOTHING, row);
    const column = found?.status ?? NOTHING;
    row.set(column, (row.get(column) ?? 0) + 1);
  }
  return rows;
}

function isFalseMissing({ truth, found }: ScoredCall): boolean {
  return found?.status.startsWith("MISSING") === true && found.status !== truth?.status;
}

function isStatusRight({ truth, found }: ScoredCall): boolean {
  return truth !== undefined && truth.status === found?.status;
}

function isPartnerRight({ truth, found }: ScoredCall): boolean {
  if (!truth || !found) return false;
  return truth.carrierRecordIds.join() === found.carrierRecordIds.join();
}
