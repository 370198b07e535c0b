import { carrierTransaction, type Database, ownerTransaction } from "./database.ts";
import { readColumn, readRow, run, type Tx } from "./run.ts";

const PROBE_CARRIERS = ["isolation-probe-a", "isolation-probe-b"] as const;

/**
 * Proves that row-level security holds on this connection: a transaction as one carrier must not
 * see another's probe row, and row security must bind the roles of transactions. If it does not
 * hold, the process must not serve.
 */
export async function proveIsolation(db: Database): Promise<void> {
  const [mine, other] = PROBE_CARRIERS;
  await ownerTransaction(db, async (tx) => {
    await run(tx)`INSERT INTO isolation_probe (carrier_id) VALUES (${mine}), (${other}) ON CONFLICT DO NOTHING`;
  });
  const seen = await carrierTransaction(
    db,
    mine,
    (tx) => readColumn(tx)<string>`SELECT carrier_id FROM isolation_probe`,
  );
  if (seen.length !== 1 || seen[0] !== mine) {
    throw new Error(
      `row-level security does not hold on this database: as carrier ${mine}, ${seen.length} of the 2 probe rows are visible; Tandem refuses to serve`,
    );
  }
  await ownerTransaction(db, assertRolesBound);
}

/** Throws when row security does not bind a role that transactions take on. */
export async function assertRolesBound(tx: Tx): Promise<void> {
  const unbound = await readRow(tx)<{ role: string }>`
    SELECT rolname AS role FROM pg_roles
    WHERE rolname IN ('tandem_carrier', 'tandem_system') AND (rolsuper OR rolbypassrls) ORDER BY 1`;
  if (unbound) {
    throw new Error(
      `row-level security does not hold on this database: role ${unbound.role} bypasses it; Tandem refuses to serve. As an administrator: ALTER ROLE ${unbound.role} NOSUPERUSER NOBYPASSRLS`,
    );
  }
}

/**
 * What the database's login may beyond what docs/operations.md grants. Row-level security binds a
 * carrier's transactions all the same. But whoever could send their own SQL would have everything.
 */
export async function findExcessRights(db: Database): Promise<string[]> {
  const login = await ownerTransaction(
    db,
    (tx) =>
      readRow(tx)<{ superuser: boolean; bypass: boolean }>`
      SELECT rolsuper AS superuser, rolbypassrls AS bypass FROM pg_roles WHERE rolname = session_user`,
  );
  if (login?.superuser) return ["SUPERUSER"];
  return login?.bypass ? ["BYPASSRLS"] : [];
}
