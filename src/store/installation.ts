import { randomBytes, randomUUID } from "node:crypto";
import { sql } from "kysely";
import { AuditOutcome } from "../domain/audit.ts";
import { appendAuditEvent } from "./audit-log.ts";
import { type Database, ownerTransaction } from "./database.ts";

/** What is one and the same for every process on this database. */
export interface Installation {
  installationId: string;
  /** 32 random bytes, made with the database: they key cursors, page tokens and content hashes. Never logged. */
  secret: Buffer;
  /**
   * Whether the server beneath is another, or on another timeline, than when the installation was last confirmed: the sign of a restore or a
   * failover. Feeds may then lack entries that clients have seen; `tandem epoch rotate` says so to the clients.
   */
  serverChanged: boolean;
}

/** Makes the installation row if there is none. */
export async function ensureInstallation(db: Database): Promise<void> {
  await ownerTransaction(db, async (tx) => {
    const server = await readServer(tx);
    await tx
      .insertInto("installation")
      .values({
        singleton: true,
        installation_id: randomUUID(),
        secret: randomBytes(32),
        system_identifier: server.systemIdentifier,
        timeline: server.timeline,
        create_time: sql`clock_timestamp()`,
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
}

/** Reads the installation, and whether the database server is still the one that it was confirmed on. */
export async function readInstallation(db: Database): Promise<Installation> {
  return ownerTransaction(db, async (tx) => {
    const row = await tx.selectFrom("installation").selectAll().executeTakeFirstOrThrow();
    const server = await readServer(tx);
    return {
      installationId: row.installation_id,
      secret: row.secret,
      serverChanged: row.system_identifier !== server.systemIdentifier || row.timeline !== server.timeline,
    };
  });
}

/**
 * Starts a new epoch of every feed and confirms the server beneath: the last step of every restore and of every lossy failover.
 * @param actor who does so, for the audit log.
 */
export async function rotateEpochs(db: Database, actor: string): Promise<{ carriers: number }> {
  return ownerTransaction(db, async (tx) => {
    const server = await readServer(tx);
    await tx
      .updateTable("installation")
      .set({ system_identifier: server.systemIdentifier, timeline: server.timeline })
      .execute();
    await tx
      .updateTable("feed_head")
      .set({ epoch: sql`epoch + 1`, payload_generation: sql`payload_generation + 1` })
      .execute();
    const { rows } = await sql<{
      carriers: bigint;
    }>`SELECT count(DISTINCT carrier_id) AS carriers FROM feed_head`.execute(tx);
    const carriers = Number(rows[0]?.carriers ?? 0n);
    await appendAuditEvent(tx, {
      carrierId: undefined,
      actor,
      method: "cli/epoch rotate",
      resource: "feeds",
      outcome: AuditOutcome.DONE,
      details: { carriers },
    });
    return { carriers };
  });
}

// A managed PostgreSQL may not let us ask; then a restore is noticed by cursors only (entries that differ or are missing).
async function readServer(tx: Parameters<Parameters<typeof ownerTransaction>[1]>[0]) {
  const { rows: may } = await sql<{ may: boolean }>`
    SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE') AS may`.execute(
    tx,
  );
  if (!may[0]?.may) return { systemIdentifier: "unknown", timeline: 0n };
  const { rows } = await sql<{ system_identifier: bigint; timeline: number }>`
    SELECT s.system_identifier, c.timeline_id AS timeline FROM pg_control_system() s, pg_control_checkpoint() c`.execute(
    tx,
  );
  return {
    systemIdentifier: String(rows[0]?.system_identifier ?? "unknown"),
    timeline: BigInt(rows[0]?.timeline ?? 0),
  };
}
