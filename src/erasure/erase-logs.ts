import { findAnswersOf, rewriteAnswer } from "../store/privacy/erase-copies.ts";
import { eraseDisclosedNumber } from "../store/privacy/erasure-recipients.ts";
import type { CarrierRun } from "./carrier-run.ts";

/**
 * Takes a number out of the answers that are kept for a day, so that a call can be repeated. In
 * place and of the same length, whatever message it is; a number that is in service stays, as in
 * the inventory. And takes its hash out of what was asked for in disclosures: who has the
 * installation's secret could find the number by it.
 */
export async function eraseLogs(run: CarrierRun): Promise<void> {
  const { scope, carrierId } = run;
  const { number } = scope;
  for (const hash of run.numberHashes)
    await run.transactAsOwner((tx) => eraseDisclosedNumber(tx, carrierId, hash, scope.start));
  if (run.exceptions.list().length > 0) return;
  await run.transact(async (tx) => {
    const search = { pattern: number.pattern, start: scope.start, end: scope.end };
    for (const answer of await findAnswersOf(tx, carrierId, search)) {
      const response = number.maskBytes(answer.response);
      await rewriteAnswer(tx, carrierId, { ...answer, response });
    }
  });
}
