import { timingSafeEqual } from "node:crypto";
import { unauthenticated } from "../domain/errors.ts";
import type { ClientCertificate } from "./client-certificate.ts";

/** What a token is bound to: the SHA-256 of a client certificate, in DER. */
export interface TokenBinding {
  readonly certificateSha256: Buffer;
}

const SHA256_BYTES = 32;

/**
 * Reads the claim `cnf` (RFC 7800). Undefined without one: whoever has the token may use it.
 * @throws TandemError UNAUTHENTICATED for anything but the one binding that Tandem knows, the
 *   certificate's digest of RFC 8705. A member that is not understood must not be ignored.
 */
export function readTokenBinding(cnf: unknown): TokenBinding | undefined {
  if (cnf === undefined) return undefined;
  const entries = typeof cnf === "object" && cnf !== null ? Object.entries(cnf) : [];
  const [[member, value] = [], ...others] = entries;
  if (member !== "x5t#S256" || others.length > 0) {
    throw unauthenticated("the token's claim cnf must have the member x5t#S256 and no other");
  }
  const certificateSha256 = typeof value === "string" ? Buffer.from(value, "base64url") : Buffer.alloc(0);
  // Compared after encoding it again, because Node skips characters that are not base64url.
  if (certificateSha256.length !== SHA256_BYTES || certificateSha256.toString("base64url") !== value) {
    throw unauthenticated("the token's claim cnf has no SHA-256 in x5t#S256");
  }
  return { certificateSha256 };
}

/**
 * Refuses a bound token that comes over a connection without its certificate. Checked with each
 * call: what is remembered of a token does not say over which connection it came.
 * @throws TandemError UNAUTHENTICATED
 */
export function assertBound(binding: TokenBinding | undefined, certificate: ClientCertificate | undefined): void {
  if (!binding) return;
  if (!certificate) throw unauthenticated("the token is bound to a client certificate, but the connection has none");
  if (!certificate.isTrusted) throw unauthenticated("the client certificate is not accepted here");
  if (!timingSafeEqual(binding.certificateSha256, certificate.sha256)) {
    throw unauthenticated("the token is bound to a client certificate other than the connection's");
  }
}
