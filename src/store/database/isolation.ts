import { sql } from "kysely";
import { carrierTransaction, type Database, ownerTransaction, type Tx } from "./database.ts";

const PROBE_CARRIERS = ["isolation-probe-a", "isolation-probe-b"] as const;

/**
 * Proves that row-level security holds on this connection: a transaction as one carrier must not
 * see another's probe row, and the roles that transactions take on must be ones that it binds.
 * Where it does not hold, the process must not serve.
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
  await ownerTransaction(db, assertRolesBound);
}

/** Throws when a role that transactions take on is one that row security does not bind. */
export async function assertRolesBound(tx: Tx): Promise<void> {
  const { rows } = await sql<{ role: string }>`
    SELECT rolname AS role FROM pg_roles
    WHERE rolname IN ('tandem_carrier', 'tandem_system') AND (rolsuper OR rolbypassrls) ORDER BY 1`.execute(tx);
  const [unbound] = rows;
  if (unbound) {
    throw new Error(
      `row-level security does not hold on this database: role ${unbound.role} bypasses it; Tandem refuses to serve. As an administrator: ALTER ROLE ${unbound.role} NOSUPERUSER NOBYPASSRLS`,
    );
  }
}

/**
 * What the database's login may beyond what serving needs; empty when it is as docs/operations.md
 * has it. Row-level security holds all the same while a transaction is a carrier's; but whoever
 * found a way to send SQL of their own would have everything.
 */
export async function findExcessRights(db: Database): Promise<string[]> {
  const { rows } = await ownerTransaction(db, (tx) =>
    sql<{ superuser: boolean; bypass: boolean }>`
      SELECT rolsuper AS superuser, rolbypassrls AS bypass FROM pg_roles WHERE rolname = session_user`.execute(tx),
  );
  const [login] = rows;
  if (login?.superuser) return ["SUPERUSER"];
  return login?.bypass ? ["BYPASSRLS"] : [];
}
