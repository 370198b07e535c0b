import { identityText } from "../../../domain/carriers/principal.ts";
import type { ClientCertificate } from "../../../trust/client-certificate.ts";
import type { VerifiedToken } from "../../../trust/tokens.ts";

/**
 * The key under which refusals of a call's credential are counted: everything that decides which
 * answer it gets. Two calls that may be answered differently never have the same key, so that
 * neither is refused for the other. A bound token must have been checked against its certificate
 * before.
 */
export function credentialKey(token: VerifiedToken | undefined, certificate: ClientCertificate | undefined): string {
  // A caller can make any number of certificates that are not trusted; none of them decides
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
 * The key of a bound token that comes without its certificate: a thief is counted apart from the
 * owner, and an owner's client that lacks its certificate is still told so.
 */
export function unboundKey(token: VerifiedToken, address: string): string {
  return `unbound ${tokenIdentity(token)} ${address}`;
}

/** The identity of a token. */
export function tokenIdentity({ issuer, subject }: Pick<VerifiedToken, "issuer" | "subject">): string {
  return identityText({ kind: "jwt", issuer, subject });
}

// A token without scopes differs from one without known scopes.
function wordsOf(token: VerifiedToken): unknown[] {
  const { carrierId, scopes, isForCarriers, isForPlatform } = token;
  return [tokenIdentity(token), carrierId ?? null, scopes ? [...scopes].sort() : null, isForCarriers, isForPlatform];
}

function digestOf({ sha256 }: ClientCertificate): string {
  return sha256.toString("base64");
}
