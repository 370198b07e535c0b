import { randomBytes } from "node:crypto";
import pg from "pg";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";

/** What a base backup needs besides the files that were copied. */
export interface BaseBackup {
  /** The contents of `backup_label`: where recovery has to begin. */
  readonly label: string;
  /** The backup has all that was committed before this time of the database's clock. RFC 3339. */
  readonly throughTime: string;
  readonly systemIdentifier: string;
}

/** The names of the first and last file of the write-ahead log that a backup needs. */
export interface WalRange {
  readonly first: string;
  readonly last: string;
}

export interface BackupCopies {
  /** Copies the cluster's files as they are, while the server writes them. */
  readonly copyFiles: (signal: AbortSignal) => Promise<void>;
  /** Copies the write-ahead log; the server keeps it until then. */
  readonly copyWal: (range: WalRange, signal: AbortSignal) => Promise<void>;
}

/**
 * Has a running server's files copied between pg_backup_start and pg_backup_stop. The copies are of
 * many moments; the log between the two brings them to the second. The server goes on serving. If
 * the connection is lost, so is the backup, and the server has nothing to undo.
 */
export async function takeBaseBackup(
  adminUrl: string,
  { copyFiles, copyWal }: BackupCopies,
  outer: AbortSignal,
): Promise<BaseBackup> {
  const lost = new AbortController();
  const signal = AbortSignal.any([outer, lost.signal]);
  const client = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: 5_000, keepAlive: true });
  client.on("error", (cause) => lost.abort(new Error("the database was lost while it was copied", { cause })));
  await client.connect();
  try {
    await refuseTablespaces(client);
    // The slot keeps the log from its creation on, and goes with the connection.
    const slot = `tandem_backup_${process.pid}_${randomBytes(4).toString("hex")}`;
    await client.query("SELECT pg_create_physical_replication_slot($1, true, true)", [slot]);
    await client.query("SELECT pg_backup_start($1, true)", ["tandem backup"]);
    await copyFiles(signal);
    signal.throwIfAborted();
    const stopped = await stopBackup(client);
    await copyWal(stopped.range, signal);
    return stopped;
  } finally {
    await client.end().catch(() => {});
  }
}

async function stopBackup(client: pg.Client): Promise<BaseBackup & { range: WalRange }> {
  // Asked before: what is committed by then lies before the end of the backup.
  const { rows: before } = await client.query<{ now: string; system: string }>(
    `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text AS now, system_identifier::text AS system
     FROM pg_control_system()`,
  );
  const { rows } = await client.query<{ label: string; last: string }>(
    "SELECT labelfile AS label, pg_walfile_name(lsn) AS last FROM pg_backup_stop(false)",
  );
  const { label = "", last = "" } = rows[0] ?? {};
  const first = /^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)$/m.exec(label)?.[1];
  if (first === undefined || last === "") throw new Error("PostgreSQL did not say which part of its log belongs to it");
  const through: Micros = BigInt(before[0]?.now ?? 0);
  return {
    label,
    throughTime: isoFromMicros(through),
    systemIdentifier: before[0]?.system ?? "",
    range: { first, last },
  };
}

// Their files lie outside of the folder that is copied. Tandem makes none.
async function refuseTablespaces(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT spcname AS name FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')",
  );
  if (rows[0]) throw new Error(`the database has a tablespace, ${rows[0].name}, which this command does not copy`);
}
