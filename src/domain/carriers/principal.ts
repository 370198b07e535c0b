import type { Micros } from "../time/instant.ts";
import type { PlatformScope } from "./scopes.ts";

/** Who calls, by a verified token or client certificate. */
export type Principal = CarrierPrincipal | PlatformPrincipal;

export interface CarrierPrincipal {
  readonly kind: "carrier";
  readonly carrierId: string;
  /** The credential's name; see {@link CredentialIdentity}. */
  readonly identity: string;
  /**
   * `registered`: in carrier_credential, and revocable there. `claimed`: a token of the server's
   * own key names the carrier, and the identity was never registered.
   */
  readonly standing: "registered" | "claimed";
  /**
   * A person of the platform acts as the carrier, with a token of the platform's own key. It
   * reaches what the carrier reaches, and logs name the platform.
   */
  readonly byPlatform?: true;
  /** Undefined: never. */
  readonly expiresAt?: Micros;
}

export interface PlatformPrincipal {
  readonly kind: "platform";
  readonly identity: string;
  readonly scopes: ReadonlySet<PlatformScope>;
  readonly expiresAt?: Micros;
}

/**
 * Whether a credential still shows the same kind, carrier and identity. A registered carrier must
 * still be registered, and the platform must still have all its scopes.
 */
export function isSamePrincipal(before: Principal, now: Principal): boolean {
  if (before.identity !== now.identity) return false;
  if (before.kind === "platform") return now.kind === "platform" && before.scopes.isSubsetOf(now.scopes);
  if (now.kind !== "carrier" || before.carrierId !== now.carrierId) return false;
  if (before.byPlatform !== now.byPlatform) return false;
  return before.standing === "claimed" || now.standing === "registered";
}

export type CredentialIdentity =
  | { readonly kind: "jwt"; readonly issuer: string; readonly subject: string }
  | { readonly kind: "spiffe"; readonly uri: string }
  | { readonly kind: "dns"; readonly name: string };

/**
 * The key of carrier_credential: `jwt:issuer:subject` (both percent-encoded), `spiffe://...` or
 * `dns:name`.
 */
export function identityText(identity: CredentialIdentity): string {
  switch (identity.kind) {
    case "jwt":
      return `jwt:${encodeURIComponent(identity.issuer)}:${encodeURIComponent(identity.subject)}`;
    case "spiffe":
      return identity.uri;
    case "dns":
      return `dns:${identity.name.toLowerCase()}`;
    default:
      return identity satisfies never;
  }
}

/** Reverses {@link identityText}; undefined: not an identity. */
export function parseIdentityText(text: string): CredentialIdentity | undefined {
  if (text.startsWith("spiffe://")) return { kind: "spiffe", uri: text };
  if (text.startsWith("dns:")) return { kind: "dns", name: text.slice(4) };
  const [scheme, issuer, subject] = text.split(":");
  if (scheme !== "jwt" || !issuer || !subject) return undefined;
  return { kind: "jwt", issuer: decodeURIComponent(issuer), subject: decodeURIComponent(subject) };
}
