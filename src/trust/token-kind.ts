import type { JWTHeaderParameters, JWTPayload } from "jose";
import { unauthenticated } from "../domain/errors.ts";

/** The types that an access token may say it has (RFC 7519, 5.1; RFC 9068, 2.1), in lower case. */
const ACCESS_TYPES: ReadonlySet<unknown> = new Set([undefined, "jwt", "at+jwt", "application/at+jwt"]);
/**
 * Claims that only ID tokens (OpenID Connect Core) and security events such as logout tokens have.
 */
const OTHER_KINDS = ["at_hash", "c_hash", "s_hash", "events"] as const;

/**
 * Refuses a genuine token that was not made to call with: an ID token, a logout token, a proof.
 * They are signed with the same keys, and some name the same audience.
 * @throws TandemError UNAUTHENTICATED
 */
export function assertAccessToken(header: JWTHeaderParameters, payload: JWTPayload): void {
  const typ: unknown = header.typ;
  if (!ACCESS_TYPES.has(typeof typ === "string" ? typ.toLowerCase() : typ)) {
    throw unauthenticated("the token's header typ is neither JWT nor at+jwt: an access token is required");
  }
  const claim = OTHER_KINDS.find((name) => payload[name] !== undefined);
  if (claim) throw unauthenticated(`the token has the claim ${claim}: an access token is required`);
}
