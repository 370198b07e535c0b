import type { Micros } from "../time/instant.ts";
import type { PlatformScope } from "./scopes.ts";

/** Who calls, as a verified token or client certificate showed. */
export type Principal = CarrierPrincipal | PlatformPrincipal;

/** A carrier: it reaches its own data only. */
export interface CarrierPrincipal {
  readonly kind: "carrier";
  readonly carrierId: string;
  /** The name that the credential showed; see {@link CredentialIdentity}. */
  readonly identity: string;
  /**
   * Why the identity is the carrier's. `registered`: the platform has registered it
   * (carrier_credential), and may take it back. `claimed`: a token of the server's own key names
   * the carrier in its claim, and the identity was never registered.
   */
  readonly standing: "registered" | "claimed";
  /**
   * A person of the platform acts as the carrier, with a token that the platform's own key signed
   * for that. It reaches what the carrier reaches, and the logs say that the platform did.
   */
  readonly byPlatform?: true;
  /** When the credential expires; undefined: it does not. */
  readonly expiresAt?: Micros;
}

/** The platform: it reaches what its scopes allow. */
export interface PlatformPrincipal {
  readonly kind: "platform";
  readonly identity: string;
  readonly scopes: ReadonlySet<PlatformScope>;
  readonly expiresAt?: Micros;
}

/**
 * Whether a credential that is judged again still shows who it showed before: the same kind,
 * carrier and identity. A registered carrier must still be registered, and the platform must have
 * every scope that it had.
 */
export function isSamePrincipal(before: Principal, now: Principal): boolean {
  if (before.identity !== now.identity) return false;
  if (before.kind === "platform") return now.kind === "platform" && before.scopes.isSubsetOf(now.scopes);
  if (now.kind !== "carrier" || before.carrierId !== now.carrierId) return false;
  if (before.byPlatform !== now.byPlatform) return false;
  return before.standing === "claimed" || now.standing === "registered";
}

/** A name that a credential can show. */
export type CredentialIdentity =
  | { readonly kind: "jwt"; readonly issuer: string; readonly subject: string }
  | { readonly kind: "spiffe"; readonly uri: string }
  | { readonly kind: "dns"; readonly name: string };

/**
 * An identity as one text, the key of carrier_credential: `jwt:issuer:subject` (both
 * percent-encoded), `spiffe://...` or `dns:name`.
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

/** The identity that a text made by {@link identityText} names; undefined if it is none. */
export function parseIdentityText(text: string): CredentialIdentity | undefined {
  if (text.startsWith("spiffe://")) return { kind: "spiffe", uri: text };
  if (text.startsWith("dns:")) return { kind: "dns", name: text.slice(4) };
  const [scheme, issuer, subject] = text.split(":");
  if (scheme !== "jwt" || !issuer || !subject) return undefined;
  return { kind: "jwt", issuer: decodeURIComponent(issuer), subject: decodeURIComponent(subject) };
}
