import { textArray } from "../database/binary-array.ts";
import { run, type Tx } from "../database/run.ts";

/** Keeps for ever that these identities were a carrier's. In a system transaction. */
export async function keepIdentities(tx: Tx, carrierId: string, identities: readonly string[]): Promise<void> {
  if (identities.length === 0) return;
  // Sorted, so that two writers of the same identities wait for each other in one order.
  await run(tx)`
    INSERT INTO carrier_identity (identity, carrier_id)
    SELECT i, ${carrierId} FROM unnest(${textArray(identities.toSorted())}::text[]) AS i ON CONFLICT DO NOTHING`;
}
