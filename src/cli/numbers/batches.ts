import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";

/** The most that the contract takes in one call. */
const MAX_BATCH = 1_000;

/** Makes a call for each batch of the items, and gives all their outcomes. */
export async function inBatches<Item>(
  items: readonly Item[],
  call: (batch: readonly Item[]) => Promise<NumberOutcome[]>,
): Promise<NumberOutcome[]> {
  const outcomes: NumberOutcome[] = [];
  for (let start = 0; start < items.length; start += MAX_BATCH) {
    outcomes.push(...(await call(items.slice(start, start + MAX_BATCH))));
  }
  return outcomes;
}
