import { createHmac } from "node:crypto";

/**
 * HMAC-SHA-256 (RFC 2104) in hexadecimal, where numbers are told apart but not kept. With the
 * secret all numbers can be tried, so it goes when its number is erased.
 */
export function numberHash(secret: Buffer, e164: string): string {
  return createHmac("sha256", secret).update("tandem number\0").update(e164).digest("hex");
}
