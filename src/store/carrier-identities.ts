import { sql } from "kysely";
import type { Tx } from "./database.ts";

/** An identity that is or was a carrier's. */
export interface KnownIdentity {
  readonly identity: string;
  /** The carrier that had it first. */
  readonly carrierId: string;
}

/** Keeps for ever that these identities were a carrier's. In a system transaction. */
export async function keepIdentities(tx: Tx, carrierId: string, identities: readonly string[]): Promise<void> {
  if (identities.length === 0) return;
  // Sorted, so that two writers of the same identities wait for each other in one order.
  const rows = identities.toSorted().map((identity) => ({ identity, carrier_id: carrierId }));
  await tx
    .insertInto("carrier_identity")
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Finds which of these identities are or ever were a carrier's. In a system transaction. */
export async function findKnownIdentities(tx: Tx, identities: readonly string[]): Promise<KnownIdentity[]> {
  const rows = await tx
    .selectFrom("carrier_identity")
    .select(["identity", "carrier_id"])
    .where("identity", "=", sql<string>`ANY(${identities}::text[])`)
    .orderBy("identity")
    .execute();
  return rows.map((row) => ({ identity: row.identity, carrierId: row.carrier_id }));
}
