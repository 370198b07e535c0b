import { createHmac } from "node:crypto";
import { mayHoldNumber } from "./masking.ts";

declare const audited: unique symbol;

export type AuditedRequestId = string & { readonly [audited]: true };

/**
 * The request_id that the audit log may keep for ever: the id itself, or a keyed hash of it if it
 * may contain a telephone number, since no erasure may change a chain.
 */
export function auditedRequestId(secret: Buffer, requestId: string): AuditedRequestId {
  if (!mayHoldNumber(requestId)) return requestId as AuditedRequestId;
  const hash = createHmac("sha256", secret).update("tandem audited request\0").update(requestId).digest("hex");
  return `${PREFIX}${hash.slice(0, HASH_DIGITS)}` as AuditedRequestId;
}

const PREFIX = "hash:";
/** 128 bits. */
const HASH_DIGITS = 32;
