import { join } from "node:path";
import type { Config } from "../../config/config.ts";
import { utcDay } from "../../domain/time/instant.ts";
import { wallMicros } from "../../domain/time/wall-clock.ts";
import { type Database, openDatabase, systemTransaction } from "../../store/database/database.ts";
import { readInstallation } from "../../store/database/installation.ts";
import { findExcessRights, proveIsolation } from "../../store/database/isolation.ts";
import { readSchemaState } from "../../store/database/migrate.ts";
import { countPartitionWeeksAhead, PARTITION_WEEKS_AHEAD } from "../../store/database/partitions.ts";
import {
  findMissingRoles,
  findUnguardedTables,
  measureDistance,
  readServerFacts,
  type ServerFacts,
} from "../../store/doctor/server-facts.ts";
import { listFeedsAhead } from "../../store/feeds/feed-clock.ts";
import { startEmbeddedPostgres } from "../../store/postgres/embedded-postgres.ts";
import { assertClusterThere } from "../../store/postgres/postgres-cluster.ts";
import { databaseUsed } from "../shared/used.ts";
import { describeConnectFailure } from "./connect-failure.ts";
import { examine, type Finding } from "./finding.ts";

/** Oldest PostgreSQL that Tandem runs on, as server_version_num. */
const LEAST_VERSION = 150_000;
/** A database that is further away slows every batch and page down, milliseconds. */
const FAR_MS = 20;
/** Clocks may differ by so much unnoticed, and by so much before writes are refused, ms. */
const CLOCK_WARN_MS = 2_000;
const CLOCK_FAIL_MS = 60_000;

/** Opens the database with two connections: beside a server, or starts the embedded one. */
export async function openForDoctor(
  config: Config,
  closers: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Database> {
  let url = config.databaseUrl;
  if (url === undefined) {
    const dataDir = join(config.dataDir, "postgres");
    await assertClusterThere(dataDir);
    ({ url } = closers.use(await startEmbeddedPostgres({ dataDir, signal })));
  }
  return closers.use(openDatabase({ url, maxConnections: 2 }));
}

/** Looks at the server. Undefined facts: it does not answer, so nothing in it can be looked at. */
export async function checkServer(
  config: Config,
  open: () => Promise<Database>,
): Promise<{ db?: Database; findings: readonly Finding[] }> {
  let db: Database | undefined;
  const findings = await examine("database", async (found) => {
    const place = databaseUsed(config.databaseUrl, config.dataDir);
    let facts: ServerFacts;
    try {
      const opened = await open();
      facts = await readServerFacts(opened);
      db = opened;
    } catch (error) {
      const { why, remedy } = describeConnectFailure(error, config);
      found.fail(`${place}: ${why}`, remedy);
      return;
    }
    const { roundTripMs } = await measureDistance(db);
    const answer = `${place}: PostgreSQL ${facts.version} answers in ${roundTripMs.toFixed(1)} ms`;
    if (roundTripMs > FAR_MS)
      found.warn(
        answer,
        "run the process nearer to its database, or see what keeps either busy: each batch and page asks several times",
      );
    else found.ok(answer);
    for (const [severity, what, remedy] of judgeServer(facts, config)) found[severity](what, remedy);
  });
  return { ...(db && { db }), findings };
}

function* judgeServer(facts: ServerFacts, config: Config): Generator<["fail" | "warn" | "note", string, string]> {
  const { encoding, extensions } = facts;
  if (facts.versionNumber < LEAST_VERSION)
    yield ["fail", `PostgreSQL ${facts.version} is older than 15`, "update the server to 15 or later"];
  if (encoding !== "UTF8")
    yield [
      "fail",
      `the database has the encoding ${encoding}, which cannot hold every text`,
      "make a new one: CREATE DATABASE tandem ENCODING 'UTF8' TEMPLATE template0",
    ];
  if (facts.isStandby)
    yield [
      "fail",
      "the server is a standby, which takes no writes",
      "point TANDEM_DATABASE_URL at the primary, or promote this one",
    ];
  else if (facts.isReadOnly)
    yield [
      "fail",
      "sessions begin read-only (default_transaction_read_only is on)",
      "ALTER DATABASE … RESET default_transaction_read_only, or ALTER ROLE … for the login",
    ];
  if (!facts.isCrashSafe)
    yield [
      "warn",
      "fsync or full_page_writes is off: a crash of the machine can ruin the database",
      "set both to on and restart PostgreSQL",
    ];
  if (!facts.hasAutovacuum)
    yield [
      "warn",
      "autovacuum is off: statistics grow old and deleted rows stay",
      "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()",
    ];
  if (config.databasePool > facts.connections)
    yield [
      "warn",
      `TANDEM_DATABASE_POOL is ${config.databasePool}, and the server has ${facts.connections} connections for all its logins`,
      "raise max_connections, or set a smaller pool: each process opens as many",
    ];
  if (config.synchronousCommit === "remote_apply" && !facts.hasSynchronousReplica)
    yield [
      "warn",
      "TANDEM_SYNCHRONOUS_COMMIT is remote_apply, and synchronous_standby_names is empty: records are acknowledged as DURABILITY_DISK",
      "name a synchronous replica in synchronous_standby_names, or set on",
    ];
  const named = extensions.filter((extension) => !extension.startsWith("plpgsql"));
  yield ["note", `extensions: ${named.join(", ") || "none"}; Tandem needs none`, ""];
}

/** Looks at the schema. False: most of what comes next cannot be looked at. */
export async function checkMigrations(db: Database): Promise<{ isUsable: boolean; findings: readonly Finding[] }> {
  let isUsable = false;
  const findings = await examine("migrations", async (found) => {
    const { missing, unknown, isEmpty } = await readSchemaState(db);
    if (isEmpty) found.fail("the database has nothing of Tandem", "run `tandem migrate`, or name the right database");
    else if (missing.length > 0)
      found.fail(`the schema is older than this build: it lacks ${missing.join(", ")}`, "run `tandem migrate`");
    else if (unknown.length > 0)
      found.fail(
        `the schema is of a newer Tandem: it has ${unknown.join(", ")}`,
        "run the version that made it, or a later one: a schema never goes back",
      );
    else found.ok("the schema is the newest");
    isUsable = !isEmpty && missing.length === 0;
  });
  return { isUsable, findings };
}

/** Looks at what the login may. */
export function checkRoles(db: Database): Promise<readonly Finding[]> {
  return examine("roles", async (found) => {
    const missing = await findMissingRoles(db);
    const excess = await findExcessRights(db);
    for (const role of missing)
      found.fail(
        `the login is no member of ${role}`,
        `as an administrator: CREATE ROLE ${role} NOLOGIN NOINHERIT, if it is not there; GRANT ${role} TO the login`,
      );
    for (const right of excess)
      found.warn(
        `the login has ${right}: row-level security does not bind it`,
        "make the login that docs/operations.md describes, and name it in TANDEM_DATABASE_URL",
      );
    if (missing.length + excess.length === 0) found.ok("the login may what it needs, and no more");
  });
}

/** Tries whether one carrier sees another's rows. */
export function checkIsolation(db: Database): Promise<readonly Finding[]> {
  return examine("isolation", async (found) => {
    const unguarded = await findUnguardedTables(db);
    for (const table of unguarded)
      found.fail(
        `row-level security is off on ${table}`,
        `as its owner: ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY; then find out who switched it off`,
      );
    try {
      await proveIsolation(db);
      if (unguarded.length === 0) found.ok("a carrier's transaction sees no other carrier's rows");
    } catch (error) {
      found.failFor(error, "compare the policies with src/store/database/schema.sql, and restore what is missing");
    }
  });
}

/** Looks at how far ahead the weekly partitions are made. */
export function checkPartitions(db: Database): Promise<readonly Finding[]> {
  return examine("partitions", async (found) => {
    const weeks = await countPartitionWeeksAhead(db, utcDay(wallMicros()));
    const told = `partitions are made for ${weeks} weeks ahead`;
    const remedy =
      "run `tandem migrate`: it makes them; a running server does so every six hours, so look into its log";
    if (weeks < 1) found.fail(`${told}: ingest stops when the week ends`, remedy);
    else if (weeks < PARTITION_WEEKS_AHEAD - 1) found.warn(`${told}, of ${PARTITION_WEEKS_AHEAD}`, remedy);
    else found.ok(told);
  });
}

/** Holds the clock of this machine, and the feeds' newest times, against the database's clock. */
export function checkClock(db: Database): Promise<readonly Finding[]> {
  return examine("clock", async (found) => {
    const { clockAheadMs } = await measureDistance(db);
    const apart = Math.abs(clockAheadMs);
    const told = `the database's clock is ${(apart / 1_000).toFixed(1)} s ${clockAheadMs > 0 ? "ahead of" : "behind"} this machine's`;
    const remedy = "set both by NTP, and look at the one that is wrong: tokens and windows of time go by these clocks";
    if (apart > CLOCK_FAIL_MS) found.fail(told, remedy);
    else if (apart > CLOCK_WARN_MS) found.warn(told, remedy);
    else found.ok(`this machine's and the database's agree to ${Math.max(1, Math.round(apart))} ms`);
    const feeds = await systemTransaction(db, listFeedsAhead);
    const carriers = new Map(feeds.filter(({ isAccepted }) => !isAccepted).map((feed) => [feed.carrierId, feed]));
    for (const [carrierId, { aheadSeconds }] of [...carriers].slice(0, 20))
      found.fail(
        `writes of ${carrierId} wait: its feed is ${aheadSeconds} s ahead of the database's clock`,
        `correct the clock first; if it is right by now: tandem clock accept --carrier ${carrierId} --yes`,
      );
  });
}

/** Whether it is the server, and the history, that were confirmed. */
export function checkTimeline(db: Database): Promise<readonly Finding[]> {
  return examine("timeline", async (found) => {
    const { serverChanged } = await readInstallation(db);
    if (serverChanged)
      found.warn(
        "the database is on another server or timeline than was confirmed: it was restored, or failed over",
        "if it lost data: tandem epoch rotate --yes; if not: tandem epoch confirm --yes",
      );
    else found.ok("the server and its timeline are the confirmed ones");
  });
}
