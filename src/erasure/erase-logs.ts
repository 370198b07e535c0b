import { findAnswersOf, rewriteAnswer } from "../store/privacy/erase-copies.ts";
import { eraseDisclosedNumber } from "../store/privacy/erasure-recipients.ts";
import type { CarrierRun } from "./carrier-run.ts";

/**
 * Erases a number from stored answers at the same length, unless it is in service, and its hash
 * from logged requests: with the secret it would reveal the number.
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
