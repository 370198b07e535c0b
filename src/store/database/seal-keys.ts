import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import type { SealSecret } from "../../domain/seals.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { appendAuditEvent } from "../audit/audit-log.ts";
import { type Database, ownerTransaction } from "./database.ts";
import { readClock, readRows, readValue, run, type Tx } from "./run.ts";

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
    const rows = await readRows(tx)`SELECT FROM seal_key LIMIT 1`;
    if (rows.length === 0) await insertKey(tx);
  });
}

/** Reads all keys, the one that seals last. In a system transaction. */
export function readSealSecrets(tx: Tx): Promise<SealSecret[]> {
  return readRows(tx)<SealSecret>`SELECT key_id::float8, secret FROM seal_key ${NEWEST_LAST}`;
}

/** Lists the keys, the one that seals last. In a system transaction. */
export function listSealKeys(tx: Tx): Promise<SealKeyInfo[]> {
  return readRows(tx)<SealKeyInfo>`SELECT key_id::float8, create_time, retire_time FROM seal_key ${NEWEST_LAST}`;
}

/**
 * Makes a new key, which every process uses within seconds. What older keys sealed still opens,
 * until retention deletes them.
 * @param forgetOld deletes all old keys at once: others may have them.
 * @param actor who does so, for the audit log.
 */
export async function rotateSealKey(
  db: Database,
  { forgetOld, actor }: { forgetOld: boolean; actor: string },
): Promise<{ keyId: number; forgotten: number }> {
  return ownerTransaction(db, async (tx) => {
    const now = isoFromMicros(await readClock(tx));
    await run(tx)`UPDATE seal_key SET retire_time = ${now} WHERE retire_time IS NULL`;
    const forgotten = forgetOld ? (await run(tx)`DELETE FROM seal_key`).count : 0;
    const keyId = await insertKey(tx);
    const resource = `seal key/${keyId}`;
    await appendAuditEvent(tx, { actor, method: "cli/keys rotate", resource, details: { forgotten } });
    return { keyId, forgotten };
  });
}

/** Deletes keys that were replaced before an instant: what they sealed no longer opens. */
export async function deleteSealKeys(db: Database, before: Micros): Promise<number> {
  return ownerTransaction(db, async (tx) => {
    const { count } = await run(tx)`DELETE FROM seal_key WHERE retire_time < ${isoFromMicros(before)}::timestamptz`;
    return count;
  });
}

const NEWEST_LAST = sql`ORDER BY retire_time NULLS LAST, key_id`;

// An index allows one key without an end: if two processes make one at once, one of them makes
// none, and both get the other's.
async function insertKey(tx: Tx): Promise<number> {
  // Chosen, not counted: after a restore, the next key must not have a lost key's id.
  const keyId = BigInt(randomBytes(4).readUInt32BE(0) || 1);
  await run(tx)`
    INSERT INTO seal_key (key_id, secret, create_time) VALUES (${keyId}, ${randomBytes(32)}, clock_timestamp())
    ON CONFLICT DO NOTHING`;
  return readValue(tx)<number>`SELECT key_id::float8 FROM seal_key WHERE retire_time IS NULL`;
}
