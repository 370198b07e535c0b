import { sql } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import * as exchange from "../migrations/0001-exchange.ts";
import * as reconciliation from "../migrations/0002-reconciliation.ts";
import * as usage from "../migrations/0003-usage.ts";
import * as audit from "../migrations/0004-audit.ts";
import * as disclosure from "../migrations/0005-disclosure.ts";
import * as retention from "../migrations/0006-retention.ts";
import * as erasure from "../migrations/0007-erasure.ts";
import * as reconcileKeys from "../migrations/0008-reconcile-keys.ts";
import * as carrierIdentities from "../migrations/0009-carrier-identities.ts";
import * as limits from "../migrations/0010-limits.ts";
import * as seals from "../migrations/0011-seals.ts";
import * as failover from "../migrations/0012-failover.ts";
import * as explain from "../migrations/0013-explain.ts";
import * as sharedFiles from "../migrations/0014-shared-files.ts";
import * as clockEvidence from "../migrations/0015-clock-evidence.ts";
import * as clockLengths from "../migrations/0016-clock-lengths.ts";
import * as zoneDays from "../migrations/0017-zone-days.ts";
import * as statements from "../migrations/0018-statements.ts";
import * as usageSums from "../migrations/0020-usage-sums.ts";
import * as keptFigures from "../migrations/0021-kept-figures.ts";
import { leaveCarriersOut } from "./carrier-statistics.ts";
import { type Database, isSqlState, ownerTransaction } from "./database.ts";
import { ensureInstallation } from "./installation.ts";
import { ensurePartitions } from "./partitions.ts";
import { readColumn, readValue, run } from "./run.ts";
import { ensureSealKey } from "./seal-keys.ts";

const MIGRATIONS: Record<string, Migration> = {
  "0001-exchange": exchange,
  "0002-reconciliation": reconciliation,
  "0003-usage": usage,
  "0004-audit": audit,
  "0005-disclosure": disclosure,
  "0006-retention": retention,
  "0007-erasure": erasure,
  "0008-reconcile-keys": reconcileKeys,
  "0009-carrier-identities": carrierIdentities,
  "0010-limits": limits,
  "0011-seals": seals,
  "0012-failover": failover,
  "0013-explain": explain,
  "0014-shared-files": sharedFiles,
  "0015-clock-evidence": clockEvidence,
  "0016-clock-lengths": clockLengths,
  "0017-zone-days": zoneDays,
  "0018-statements": statements,
  "0020-usage-sums": usageSums,
  "0021-kept-figures": keptFigures,
};

/**
 * Brings the database to the newest schema, with its roles, its installation row and the partitions
 * of the weeks to come. Two processes may do so at once: Kysely's Migrator takes a lock, and the
 * rest can be repeated.
 * @param makePartitions in place of the weekly ones: tests make fewer, for speed.
 * @returns the names of the migrations that this call applied.
 */
export async function migrate(
  db: Database,
  makePartitions: (db: Database) => Promise<unknown> = ensurePartitions,
): Promise<string[]> {
  using _patience = db.waitWithoutLimit();
  await createRoles(db);
  await forbidTemporaryTables(db);
  const migrator = new Migrator({ db: db.kysely, provider: { getMigrations: async () => MIGRATIONS } });
  const { error, results } = await migrator.migrateToLatest();
  if (error) throw error;
  await ensureInstallation(db);
  await ensureSealKey(db);
  await makePartitions(db);
  await leaveCarriersOut(db);
  return (results ?? []).filter((result) => result.status === "Success").map((result) => result.migrationName);
}

/** How a database's schema stands to the newest one that this build knows. */
export interface SchemaState {
  /** Migrations that it lacks. */
  readonly missing: readonly string[];
  /** Migrations that it had, and that this build does not know: a newer build's. */
  readonly unknown: readonly string[];
  /** Whether it has nothing of Tandem. */
  readonly isEmpty: boolean;
}

/** Compares the database's schema with the newest one. Nothing is made. */
export async function readSchemaState(db: Database): Promise<SchemaState> {
  const migrator = new Migrator({ db: db.kysely, provider: { getMigrations: async () => MIGRATIONS } });
  const migrations = await migrator.getMigrations();
  const missing = migrations.filter(({ executedAt }) => executedAt === undefined).map(({ name }) => name);
  if (missing.length === migrations.length) return { missing, unknown: [], isEmpty: true };
  const applied = await ownerTransaction(
    db,
    (tx) => readColumn(tx)<string>`SELECT name FROM kysely_migration ORDER BY name`,
  );
  return { missing, unknown: applied.filter((name) => !(name in MIGRATIONS)), isEmpty: false };
}

/** @throws Error when the database lacks the newest schema; nothing is made. */
export async function assertMigrated(db: Database): Promise<void> {
  const { missing, isEmpty } = await readSchemaState(db);
  if (missing.length === 0) return;
  const what = isEmpty ? "has nothing of Tandem" : `has an older schema, without ${missing.join(", ")}`;
  throw new Error(`the database ${what}: \`tandem migrate\` or \`tandem serve\` brings it to the newest schema`);
}

// Roles belong to the whole server: another database or process may be making them just now.
async function createRoles(db: Database): Promise<void> {
  for (const role of ["tandem_carrier", "tandem_system"]) {
    await ownerTransaction(db, async (tx) => {
      const isReady = await readValue(tx)<boolean | undefined>`
        SELECT pg_has_role(current_user, oid, 'MEMBER') AS ready FROM pg_roles WHERE rolname = ${role}`;
      if (isReady === undefined) await run(tx, sql.raw(`CREATE ROLE ${role} NOLOGIN NOINHERIT`));
      if (!isReady) await run(tx, sql.raw(`GRANT ${role} TO CURRENT_USER`));
    }).catch((error) => {
      // 42710 duplicate_object, 23505 unique_violation, XX000 "tuple concurrently updated": another
      // process made it at the same moment.
      if (!isSqlState(error, "42710", "23505", "XX000")) throw error;
    });
  }
}

// A temporary table hides one of the schema with the same name. If the database is not ours to
// rule, its maker decides.
async function forbidTemporaryTables(db: Database): Promise<void> {
  await ownerTransaction(db, async (tx) => {
    const revoke = await readValue(tx)<string | undefined>`
      SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', datname) AS revoke FROM pg_database
      WHERE datname = current_database() AND pg_get_userbyid(datdba) = current_user
        AND has_database_privilege('tandem_system', oid, 'TEMPORARY')`;
    if (revoke) await run(tx, sql.raw(revoke));
  }).catch((error) => {
    // "tuple concurrently updated": by another process, at the same moment.
    if (!isSqlState(error, "XX000")) throw error;
  });
}
