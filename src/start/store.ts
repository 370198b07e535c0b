import { join } from "node:path";
import type { Logger } from "pino";
import { makeOpenFolder } from "../backup/open-folder.ts";
import { refuseHalfRestored } from "../backup/restoring.ts";
import type { Config } from "../config/config.ts";
import { type Database, openDatabase } from "../store/database/database.ts";
import { proveIsolation } from "../store/database/isolation.ts";
import { assertMigrated, migrate } from "../store/database/migrate.ts";
import { guardEmbeddedPostgres } from "../store/postgres/embedded-guard.ts";
import { type EmbeddedServer, startEmbeddedPostgres } from "../store/postgres/embedded-postgres.ts";
import { assertClusterThere } from "../store/postgres/postgres-cluster.ts";

interface StoreLife {
  /**
   * Told once when the embedded PostgreSQL does not start any more. Without it there are no
   * restarts: a command that lost its database has failed anyway.
   */
  readonly onLost?: (error: Error) => void;
  /** False: the database must be there, with the newest schema. Default: makes what is missing. */
  readonly mayMake?: boolean;
  /** Ends the start. */
  readonly signal?: AbortSignal | undefined;
}

/** Opens a database with the newest schema and proven isolation; returns the applied migrations. */
export async function openStore(
  config: Config,
  log: Logger,
  closers: AsyncDisposableStack,
  { onLost, mayMake = true, signal }: StoreLife = {},
): Promise<{ db: Database; applied: string[] }> {
  if (config.databaseUrl === undefined) await refuseHalfRestored(config.dataDir);
  if (!mayMake && config.databaseUrl === undefined) await assertClusterThere(join(config.dataDir, "postgres"));
  const postgres =
    config.databaseUrl === undefined ? await openEmbeddedPostgres(config, log, closers, signal) : undefined;
  const url = config.databaseUrl ?? postgres?.url ?? "";
  let isClosing = false;
  const db = closers.use(
    openDatabase({
      url,
      maxConnections: config.databasePool,
      // A client within its limits is not refused for a burst.
      maxWaiting: Math.max(MIN_LINE, config.limits.maxLiveCalls),
      synchronousCommit: config.synchronousCommit,
      onIdleError: (error) => {
        if (!isClosing) log.warn({ err: error }, "a database connection was lost");
      },
    }),
  );
  // Ignore connection errors while closing: PostgreSQL reports its own shutdown on them.
  closers.defer(() => {
    isClosing = true;
  });
  if (postgres && onLost) closers.use(guardPostgres(postgres, { config, db, log, onLost }));
  if (!mayMake) await assertMigrated(db);
  const applied = mayMake ? await migrate(db) : [];
  if (applied.length > 0) log.info({ applied }, "the schema is up to date");
  await proveIsolation(db);
  return { db, applied };
}

/** Least length of a caller's line, however few calls may live: one call may ask for several. */
const MIN_LINE = 1_000;

async function openEmbeddedPostgres(
  config: Config,
  log: Logger,
  closers: AsyncDisposableStack,
  signal: AbortSignal | undefined,
): Promise<EmbeddedServer> {
  await makeOpenFolder(config.dataDir);
  const dataDir = join(config.dataDir, "postgres");
  const postgres = closers.use(await startEmbeddedPostgres({ dataDir, ...(signal && { signal }) }));
  log.info({ dataDir: config.dataDir, isAdopted: postgres.isAdopted }, "PostgreSQL runs in the data folder");
  return postgres;
}

interface Guarded {
  readonly config: Config;
  readonly db: Database;
  readonly log: Logger;
  readonly onLost: (error: Error) => void;
}

function guardPostgres(postgres: EmbeddedServer, { config, db, log, onLost }: Guarded): AsyncDisposable {
  return guardEmbeddedPostgres(postgres, {
    maxStarts: config.embeddedRestarts,
    onEnded: () => log.error("PostgreSQL in the data folder has ended"),
    onStarted: () => {
      db.connectTo(postgres.url);
      log.warn("PostgreSQL in the data folder runs again");
    },
    onFailed: (error, pauseMs) => log.error({ err: error, pauseMs }, "PostgreSQL in the data folder did not start"),
    onLost,
  });
}
