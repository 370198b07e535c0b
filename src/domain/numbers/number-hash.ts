import { createHmac } from "node:crypto";

/**
 * What stands for a telephone number where one must be told from another and none may be kept:
 * HMAC-SHA-256 (RFC 2104), 64 hexadecimal digits. Who has the secret can try every number, so a
 * hash goes when its number is erased.
 * @param secret the installation's.
 */
export function numberHash(secret: Buffer, e164: string): string {
  return createHmac("sha256", secret).update("tandem number\0").update(e164).digest("hex");
}
