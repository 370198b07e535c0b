import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import type { SealSecret } from "../../domain/seals.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { AuditOutcome } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import { appendAuditEvent } from "../audit/audit-log.ts";
import { type Database, ownerTransaction } from "./database.ts";
import { readClock, run, type Tx } from "./run.ts";

/** A key of seals as it is listed: without its secret. */
export interface SealKeyInfo {
  readonly keyId: number;
  readonly createTime: Micros;
  /** When the next one took over; undefined: it seals. */
  readonly retireTime: Micros | undefined;
}

/** Makes the first key if there is none. */
export async function ensureSealKey(db: Database): Promise<void> {
  await ownerTransaction(db, async (tx) => {
    const { rows: found } = await run(tx, tx.selectFrom("seal_key").select("key_id").limit(1));
    if (found.length === 0) await insertKey(tx);
  });
}

/** Reads all keys, the one that seals last. In a system transaction. */
export async function readSealSecrets(tx: Tx): Promise<SealSecret[]> {
  const { rows } = await run(tx, inOrder(tx).select(["key_id", "secret"]));
  return rows.map((row) => ({ keyId: Number(row.keyId), secret: row.secret }));
}

/** Lists the keys, the one that seals last. In a system transaction. */
export async function listSealKeys(tx: Tx): Promise<SealKeyInfo[]> {
  const { rows } = await run(tx, inOrder(tx).select(["key_id", "create_time", "retire_time"]));
  return rows.map((row) => ({
    keyId: Number(row.keyId),
    createTime: row.createTime,
    retireTime: row.retireTime,
  }));
}

/**
 * Makes a new key, with which every process seals within seconds. What the one before it has sealed
 * still opens, until retention forgets it.
 * @param forgetOld whether all old keys go at once: for keys that others may have.
 * @param actor who does so, for the audit log.
 */
export async function rotateSealKey(
  db: Database,
  { forgetOld, actor }: { forgetOld: boolean; actor: string },
): Promise<{ keyId: number; forgotten: number }> {
  return ownerTransaction(db, async (tx) => {
    const now = isoFromMicros(await readClock(tx));
    await run(tx, tx.updateTable("seal_key").set({ retire_time: now }).where("retire_time", "is", null));
    const forgotten = forgetOld ? (await run(tx, tx.deleteFrom("seal_key"))).count : 0;
    const keyId = await insertKey(tx);
    await appendAuditEvent(tx, {
      carrierId: undefined,
      actor,
      method: "cli/keys rotate",
      resource: `seal key/${keyId}`,
      outcome: AuditOutcome.DONE,
      details: { forgotten },
    });
    return { keyId, forgotten };
  });
}

/**
 * Deletes the keys that had been replaced before an instant, with the owner's rights. What they
 * sealed no longer opens. @returns how many.
 */
export async function deleteSealKeys(db: Database, before: Micros): Promise<number> {
  return ownerTransaction(db, async (tx) => {
    const { count } = await run(
      tx,
      tx.deleteFrom("seal_key").where("retire_time", "<", sql<Micros>`${isoFromMicros(before)}::timestamptz`),
    );
    return count;
  });
}

function inOrder(tx: Tx) {
  return tx
    .selectFrom("seal_key")
    .orderBy("retire_time", (order) => order.asc().nullsLast())
    .orderBy("key_id");
}

// At most one key has no end, which an index holds: of two processes that make one at once, one
// makes none, and both have the other's.
async function insertKey(tx: Tx): Promise<number> {
  // Chosen, and not counted up: after a restore, the next key must not have the id of one that was
  // lost.
  const keyId = BigInt(randomBytes(4).readUInt32BE(0) || 1);
  const insert = tx
    .insertInto("seal_key")
    .values({ key_id: keyId, secret: randomBytes(32), create_time: sql`clock_timestamp()`, retire_time: null })
    .onConflict((conflict) => conflict.doNothing());
  await run(tx, insert);
  const { rows: current } = await run(tx, tx.selectFrom("seal_key").select("key_id").where("retire_time", "is", null));
  return Number(current[0]?.keyId ?? keyId);
}
