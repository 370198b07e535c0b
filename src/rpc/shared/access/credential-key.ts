import { identityText } from "../../../domain/carriers/principal.ts";
import type { ClientCertificate } from "../../../trust/client-certificate.ts";
import type { VerifiedToken } from "../../../trust/tokens.ts";

/**
 * What a call shows, as the key of its refusals: all that decides which answer it gets. Two calls
 * that may be answered differently never have the same key, so that none is refused for the other.
 * A bound token must have been found with its certificate before.
 */
export function credentialKey(token: VerifiedToken | undefined, certificate: ClientCertificate | undefined): string {
  // Whoever calls can make any number of certificates that are not believed; none of them decides
  // anything.
  const shown = certificate?.isTrusted ? digestOf(certificate) : null;
  return JSON.stringify([token ? wordsOf(token) : null, shown]);
}

/** The key of a token whose time is over, whatever comes with it. */
export function expiredTokenKey(token: Pick<VerifiedToken, "issuer" | "subject">): string {
  return `expired ${tokenIdentity(token)}`;
}

/**
 * The key of a certificate whose time is over, whatever comes with it: the next one of its names
 * has another digest.
 */
export function expiredCertificateKey(certificate: ClientCertificate): string {
  return `expired ${digestOf(certificate)}`;
}

/**
 * The key of a bound token that comes without its certificate: whoever has stolen one is refused
 * for themselves, and a client of the owner that lacks its certificate is told so all the same.
 */
export function unboundKey(token: VerifiedToken, address: string): string {
  return `unbound ${tokenIdentity(token)} ${address}`;
}

/** Whose a token is. */
export function tokenIdentity({ issuer, subject }: Pick<VerifiedToken, "issuer" | "subject">): string {
  return identityText({ kind: "jwt", issuer, subject });
}

// That a token says no scopes is something else than that it says none that are known.
function wordsOf(token: VerifiedToken): unknown[] {
  const { carrierId, scopes, isForCarriers, isForPlatform } = token;
  return [tokenIdentity(token), carrierId ?? null, scopes ? [...scopes].sort() : null, isForCarriers, isForPlatform];
}

function digestOf({ sha256 }: ClientCertificate): string {
  return sha256.toString("base64");
}
