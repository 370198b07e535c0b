import { run, type Tx } from "../database/run.ts";

/** Keeps for ever that these identities were a carrier's. In a system transaction. */
export async function keepIdentities(tx: Tx, carrierId: string, identities: readonly string[]): Promise<void> {
  if (identities.length === 0) return;
  // Sorted, so that two writers of the same identities wait for each other in one order.
  const rows = identities.toSorted().map((identity) => ({ identity, carrier_id: carrierId }));
  const insert = tx
    .insertInto("carrier_identity")
    .values(rows)
    .onConflict((conflict) => conflict.doNothing());
  await run(tx, insert);
}
