import { createHmac } from "node:crypto";

/**
 * Stands for a number where numbers must be told apart but not kept: HMAC-SHA-256 (RFC 2104), 64
 * hexadecimal digits. Whoever has the secret can try all numbers, so the hash goes when its number
 * is erased.
 */
export function numberHash(secret: Buffer, e164: string): string {
  return createHmac("sha256", secret).update("tandem number\0").update(e164).digest("hex");
}
