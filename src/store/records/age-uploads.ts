import { sql } from "kysely";
import { kindOfUpload } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { clockFrom } from "../database/clock-from.ts";
import { readRows, run, type Tx, unnest } from "../database/run.ts";
import { isUpload } from "./upload-key.ts";

/**
 * Seals uploads that were idle for 30 days, and forgets the verdicts of those sealed 30 days ago;
 * at most `limit` of each, in a system transaction.
 */
export async function ageUploads(tx: Tx, limit: number): Promise<{ sealed: number; forgotten: number }> {
  return { sealed: await sealIdle(tx, limit), forgotten: await forgetVerdicts(tx, limit) };
}

interface UploadName {
  readonly carrierId: string;
  readonly kind: number;
  readonly uploadId: string;
}

async function sealIdle(tx: Tx, limit: number): Promise<number> {
  const rows = await readRows(tx)<UploadName & { readonly idleSince: Micros }>`
    SELECT carrier_id, kind, upload_id, clock_timestamp() - interval '30 days' AS idle_since FROM upload
    WHERE NOT sealed AND update_time < clock_timestamp() - interval '30 days' ORDER BY carrier_id, kind, upload_id LIMIT ${limit}`;
  let sealed = 0;
  for (const [carrierId, idle] of Map.groupBy(rows, (row) => row.carrierId))
    sealed += await sealThose(tx, carrierId, idle, idle[0]?.idleSince ?? 0n);
  return sealed;
}

// An upload that was used since it was found is left.
async function sealThose(tx: Tx, carrierId: string, idle: readonly UploadName[], idleSince: Micros): Promise<number> {
  const { count } = await run(tx)`
    UPDATE upload u SET sealed = true, seal_time = ${clockFrom("u.seal_time")}
    FROM ${unnest("i", idle, { kind: "int2", uploadId: "text" })}
    WHERE u.carrier_id = ${carrierId} AND u.kind = i.kind AND u.upload_id = i.upload_id
      AND NOT u.sealed AND u.update_time < ${isoFromMicros(idleSince)}::timestamptz`;
  return count;
}

async function forgetVerdicts(tx: Tx, limit: number): Promise<number> {
  const rows = await readRows(tx)<UploadName>`
    SELECT u.carrier_id, u.kind, u.upload_id FROM upload u
    WHERE sealed AND seal_time < clock_timestamp() - interval '30 days'
      AND EXISTS (SELECT FROM upload_batch b WHERE b.carrier_id = u.carrier_id AND b.kind = u.kind AND b.upload_id = u.upload_id)
    LIMIT ${limit}`;
  for (const { carrierId, kind, uploadId } of rows) {
    const key = { carrierId, kind: kindOfUpload(kind), uploadId };
    for (const table of ["upload_batch", "upload_reject"])
      await run(tx)`DELETE FROM ${sql.table(table)} WHERE ${isUpload(key)}`;
  }
  return rows.length;
}
