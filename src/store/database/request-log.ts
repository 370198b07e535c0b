import { TandemError } from "../../domain/errors.ts";
import type { AuditedRequestId } from "../../domain/privacy/audited-request-id.ts";
import { readRow, run, type Tx } from "./run.ts";

/** A call that may be repeated: for 24 hours, the same content gets the first answer (AIP-155). */
export interface RepeatableCall {
  readonly method: string;
  readonly requestId: string;
  /** The same as the audit log may keep it. */
  readonly auditedId: AuditedRequestId;
  /** Keyed hash of the request. */
  readonly contentHash: bigint;
}

/**
 * Finds the answer that a call got before.
 * @throws TandemError REQUEST_ID_REUSED when the id came with other content.
 */
export async function findResponse(tx: Tx, carrierId: string, call: RepeatableCall): Promise<Buffer | undefined> {
  const row = await readRow(tx)<{ contentHash: bigint; response: Buffer }>`
    SELECT content_hash, response FROM request_log
    WHERE carrier_id = ${carrierId} AND method = ${call.method} AND request_id = ${call.requestId}
      AND create_time > clock_timestamp() - interval '24 hours'`;
  if (!row) return undefined;
  if (row.contentHash === call.contentHash) return row.response;
  const message = "request_id: it was used before with a different request; choose a new one";
  throw new TandemError("REQUEST_ID_REUSED", message, { request_id: call.requestId });
}

/**
 * Keeps the answer to a call, in the call's transaction. The caller holds a lock that keeps a
 * repeat out, and has looked for an answer under it.
 */
export async function insertResponse(
  tx: Tx,
  carrierId: string,
  call: RepeatableCall,
  response: Uint8Array,
): Promise<void> {
  await run(tx)`
    INSERT INTO request_log (carrier_id, method, request_id, content_hash, response, create_time)
    VALUES (${carrierId}, ${call.method}, ${call.requestId}, ${call.contentHash}, ${Buffer.from(response)}, clock_timestamp())
    ON CONFLICT (carrier_id, method, request_id) DO UPDATE
    SET content_hash = EXCLUDED.content_hash, response = EXCLUDED.response, create_time = EXCLUDED.create_time`;
}

/** Deletes some answers that no repeat can ask for. In a system transaction. @returns how many. */
export async function deleteOldResponses(tx: Tx, limit: number): Promise<number> {
  const { count } = await run(tx)`
    DELETE FROM request_log WHERE (carrier_id, method, request_id) IN (
      SELECT carrier_id, method, request_id FROM request_log
      WHERE create_time < clock_timestamp() - interval '25 hours' ORDER BY create_time LIMIT ${limit})`;
  return count;
}
