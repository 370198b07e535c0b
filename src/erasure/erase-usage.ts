import { reachesSubscriber } from "../domain/privacy/erasure.ts";
import { eraseLines, findPeriodsOf, findRestatementsOf, rewriteRestatement } from "../store/privacy/erase-usage.ts";
import type { CarrierRun } from "./carrier-run.ts";
import { eraseRestatement } from "./messages-codec.ts";

/** Erases a subscriber's number from closed periods: its calls stay counted, under no number. */
export async function eraseUsage(run: CarrierRun): Promise<void> {
  const { scope } = run;
  if (!reachesSubscriber(scope.role)) return;
  for (const phoneNumber of scope.number.forms) await eraseUsageOf(run, phoneNumber);
}

async function eraseUsageOf(run: CarrierRun, phoneNumber: string): Promise<void> {
  const { scope, carrierId } = run;
  const { number } = scope;
  const periods = await run.transact((tx) => findPeriodsOf(tx, phoneNumber, scope));
  for (const days of periods) {
    run.signal.throwIfAborted();
    await run.transact(async (tx) => {
      await eraseLines(tx, carrierId, phoneNumber, days);
      for (const { number: restatement, payload } of await findRestatementsOf(tx, days.periodId, number.pattern)) {
        const erased = eraseRestatement(payload, number, days);
        if (erased) await rewriteRestatement(tx, days.periodId, restatement, erased);
      }
    });
  }
}
