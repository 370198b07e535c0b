import { createHmac } from "node:crypto";
import { mayHoldNumber } from "./masking.ts";

declare const audited: unique symbol;

/** A call's request_id as the audit log keeps it. */
export type AuditedRequestId = string & { readonly [audited]: true };

/**
 * A call's request_id as the audit log may keep it for ever: as it is, unless a telephone number
 * may be in it. Then a keyed hash of it stands in its place, the same for the same id, because no
 * erasure may touch a chain of hashes.
 * @param secret the installation's.
 */
export function auditedRequestId(secret: Buffer, requestId: string): AuditedRequestId {
  if (!mayHoldNumber(requestId)) return requestId as AuditedRequestId;
  const hash = createHmac("sha256", secret).update("tandem audited request\0").update(requestId).digest("hex");
  return `${PREFIX}${hash.slice(0, HASH_DIGITS)}` as AuditedRequestId;
}

const PREFIX = "hash:";
/** 128 bits. */
const HASH_DIGITS = 32;
