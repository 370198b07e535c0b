import { randomBytes, randomUUID } from "node:crypto";
import { sql } from "kysely";
import { type Database, ownerTransaction } from "./database.ts";
import { run, type Tx } from "./run.ts";
import { mayReadTimeline, readTimeline } from "./timeline.ts";

const UNKNOWN = "unknown";

/** What is one and the same for every process on this database. */
export interface Installation {
  installationId: string;
  /**
   * 32 random bytes, made with the database: they key cursors, page tokens and content hashes.
   * Never logged.
   */
  secret: Buffer;
  /**
   * Whether the server beneath is another, or on another timeline, than when the installation was
   * last confirmed: the sign of a restore or a failover. Feeds may then lack entries that clients
   * have seen; `tandem epoch rotate` says so to the clients.
   */
  serverChanged: boolean;
}

/** Makes the installation row if there is none. */
export async function ensureInstallation(db: Database): Promise<void> {
  await ownerTransaction(db, async (tx) => {
    const server = await readServer(tx);
    const insert = tx
      .insertInto("installation")
      .values({
        singleton: true,
        installation_id: randomUUID(),
        secret: randomBytes(32),
        system_identifier: server.systemIdentifier,
        timeline: server.timeline,
        create_time: sql`clock_timestamp()`,
      })
      .onConflict((conflict) => conflict.doNothing());
    await run(tx, insert);
  });
}

/**
 * Reads the installation, and whether the database server is still the one that it was confirmed
 * on.
 */
export async function readInstallation(db: Database): Promise<Installation> {
  return ownerTransaction(db, async (tx) => {
    const {
      rows: [row],
    } = await run(tx, tx.selectFrom("installation").selectAll());
    if (!row) throw new Error("the database has no installation yet");
    const server = await readServer(tx);
    return {
      installationId: row.installationId,
      secret: row.secret,
      serverChanged: isOther(row, server),
    };
  });
}

/** Confirms the server beneath. */
export async function confirm(tx: Tx): Promise<{ timeline: bigint }> {
  const { systemIdentifier, timeline } = await readServer(tx);
  await run(tx, tx.updateTable("installation").set({ system_identifier: systemIdentifier, timeline }));
  return { timeline };
}

// A managed PostgreSQL may not let us ask; then a restore is noticed by cursors only (entries that
// differ or are missing).
async function readServer(tx: Tx): Promise<{ systemIdentifier: string; timeline: bigint }> {
  const { rows: may } = await run(tx)<{ may: boolean }>`
    SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS may`;
  const timeline = (await mayReadTimeline(tx)) ? await readTimeline(tx) : undefined;
  if (!may[0]?.may) return { systemIdentifier: UNKNOWN, timeline: timeline ?? 0n };
  const { rows } = await run(tx)<{ systemIdentifier: bigint }>`SELECT system_identifier FROM pg_control_system()`;
  return { systemIdentifier: String(rows[0]?.systemIdentifier ?? UNKNOWN), timeline: timeline ?? 0n };
}

// What is not known says nothing.
function isOther(
  row: { systemIdentifier: string; timeline: bigint },
  now: { systemIdentifier: string; timeline: bigint },
) {
  const known = row.systemIdentifier !== UNKNOWN && now.systemIdentifier !== UNKNOWN;
  if (known && row.systemIdentifier !== now.systemIdentifier) return true;
  return row.timeline !== 0n && now.timeline !== 0n && row.timeline !== now.timeline;
}
