import { createHmac } from "node:crypto";
import { mayHoldNumber } from "./masking.ts";

declare const audited: unique symbol;

export type AuditedRequestId = string & { readonly [audited]: true };

/** What the audit log keeps of a request_id: a keyed hash if it may hold a telephone number. */
export function auditedRequestId(secret: Buffer, requestId: string): AuditedRequestId {
  if (!mayHoldNumber(requestId)) return requestId as AuditedRequestId;
  const hash = createHmac("sha256", secret).update("tandem audited request\0").update(requestId).digest("hex");
  return `${PREFIX}${hash.slice(0, HASH_DIGITS)}` as AuditedRequestId;
}

const PREFIX = "hash:";
/** 128 bits. */
const HASH_DIGITS = 32;
