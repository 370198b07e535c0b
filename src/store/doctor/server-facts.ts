import { type Micros, msFromMicros } from "../../domain/time/instant.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { type Database, ownerTransaction } from "../database/database.ts";
import { readClock, readColumn, readRow } from "../database/run.ts";

/** What a PostgreSQL is like, as far as Tandem rests on it. */
export interface ServerFacts {
  /** As `18.4`. */
  readonly version: string;
  /** As 180004. */
  readonly versionNumber: number;
  readonly encoding: string;
  /** A standby, which takes no writes. */
  readonly isStandby: boolean;
  /** Whether sessions begin as READ ONLY. */
  readonly isReadOnly: boolean;
  /** Whether what is committed outlives a crash of the machine: fsync and full_page_writes. */
  readonly isCrashSafe: boolean;
  readonly hasAutovacuum: boolean;
  /** How many connections there are for logins that are no superusers. */
  readonly connections: number;
  /** Whether a synchronous replica is named. */
  readonly hasSynchronousReplica: boolean;
  /** Those that are installed, with their versions. */
  readonly extensions: readonly string[];
  readonly databaseBytes: bigint;
}

export function readServerFacts(db: Database): Promise<ServerFacts> {
  return ownerTransaction(db, async (tx) => {
    const row = await readRow(tx)<ServerFacts>`
      SELECT split_part(current_setting('server_version'), ' ', 1) AS version, current_setting('server_version_num')::int4 AS version_number,
        pg_encoding_to_char(d.encoding) AS encoding, pg_is_in_recovery() AS is_standby,
        COALESCE((SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only'), false) AS is_read_only,
        current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS is_crash_safe,
        current_setting('autovacuum') = 'on' AS has_autovacuum,
        current_setting('max_connections')::int4 - current_setting('superuser_reserved_connections')::int4 AS connections,
        current_setting('synchronous_standby_names') <> '' AS has_synchronous_replica,
        ARRAY(SELECT extname || ' ' || extversion FROM pg_extension ORDER BY extname)::text[] AS extensions,
        pg_database_size(d.oid) AS database_bytes
      FROM pg_database d WHERE d.datname = current_database()`;
    if (!row) throw new Error("the database does not know itself");
    return row;
  });
}

/** How far a database is, and what its clock says. */
export interface Distance {
  /** The shortest way there and back of several, milliseconds. */
  readonly roundTripMs: number;
  /** How far its clock is ahead of this process's; negative: behind. Milliseconds. */
  readonly clockAheadMs: number;
}

/** Asks the database for the time, several times; the shortest answer says most. */
export function measureDistance(db: Database): Promise<Distance> {
  return ownerTransaction(db, async (tx) => {
    let best: Distance | undefined;
    for (let attempt = 0; attempt < PROBES; attempt++) {
      const began = performance.now();
      const clock: Micros = await readClock(tx);
      const roundTripMs = performance.now() - began;
      if (best && best.roundTripMs <= roundTripMs) continue;
      best = { roundTripMs, clockAheadMs: msFromMicros(clock) - (wallMs() - roundTripMs / 2) };
    }
    return best ?? { roundTripMs: 0, clockAheadMs: 0 };
  });
}

const PROBES = 5;

/**
 * Which roles of transactions are missing, or not given to the login: `migrate` makes them, or an
 * administrator.
 */
export function findMissingRoles(db: Database): Promise<string[]> {
  return ownerTransaction(
    db,
    (tx) => readColumn(tx)<string>`
      SELECT wanted FROM unnest(ARRAY['tandem_carrier', 'tandem_system']) AS wanted
      WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted AND pg_has_role(current_user, oid, 'MEMBER'))`,
  );
}

/** Tables with carriers' rows on which row-level security is switched off. */
export function findUnguardedTables(db: Database): Promise<string[]> {
  return ownerTransaction(
    db,
    (tx) => readColumn(tx)<string>`
      SELECT c.relname FROM pg_class c
      WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT c.relrowsecurity
        AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'carrier_id' AND NOT a.attisdropped)
      ORDER BY c.relname`,
  );
}
