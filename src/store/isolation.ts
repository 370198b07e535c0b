import { carrierTransaction, type Database, ownerTransaction } from "./database.ts";

const PROBE_CARRIERS = ["isolation-probe-a", "isolation-probe-b"] as const;

/**
 * Proves that row-level security holds on this connection: a transaction as one carrier must not see another's probe row. A superuser, or a
 * role that bypasses row security, would see it; then the process must not serve.
 */
export async function proveIsolation(db: Database): Promise<void> {
  const [mine, other] = PROBE_CARRIERS;
  await ownerTransaction(db, async (tx) => {
    await tx
      .insertInto("isolation_probe")
      .values([{ carrier_id: mine }, { carrier_id: other }])
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
  const seen = await carrierTransaction(db, mine, (tx) =>
    tx.selectFrom("isolation_probe").select("carrier_id").execute(),
  );
  if (seen.length !== 1 || seen[0]?.carrier_id !== mine) {
    throw new Error(
      `row-level security does not hold on this database: as carrier ${mine}, ${seen.length} of the 2 probe rows are visible; Tandem refuses to serve`,
    );
  }
}
