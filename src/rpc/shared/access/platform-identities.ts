import type { Carrier } from "../../../domain/carriers/carrier.ts";
import { identityText } from "../../../domain/carriers/principal.ts";
import type { PlatformScope } from "../../../domain/carriers/scopes.ts";
import { type FieldViolation, unauthenticated } from "../../../domain/errors.ts";
import type { VerifiedToken } from "../../../trust/tokens.ts";

/** The settings that decide who is the platform. */
export interface PlatformRules {
  /** Whether the tokens are signed with the server's own key: its holder decides who is who. */
  readonly signsTokens: boolean;
  /** Identity text to scopes. */
  readonly platformIdentities: ReadonlyMap<string, ReadonlySet<PlatformScope>>;
}

/**
 * The subjects of tokens that the command line signs for the platform; older versions wrote
 * "command-line".
 */
function isCommandLineSubject(subject: string): boolean {
  return subject === "platform" || subject === "command-line" || subject.startsWith("cli:");
}

/**
 * The platform scopes of a token whose subject never was a carrier's.
 * @throws TandemError UNAUTHENTICATED if nothing makes it the platform's: then its subject is
 *   nobody.
 */
export function platformScopes(
  token: VerifiedToken,
  identity: string,
  rules: PlatformRules,
): ReadonlySet<PlatformScope> {
  if (rules.signsTokens) return token.scopes ?? new Set();
  const named = rules.platformIdentities.get(identity);
  // A token that names scopes gets none besides.
  if (named) return token.scopes ? named.intersection(token.scopes) : named;
  if (token.isForPlatform) return token.scopes ?? new Set();
  throw unauthenticated("the token's subject is neither a carrier's nor the platform's");
}

/**
 * The identities of a carrier that belong to the platform, by their path in
 * tandem.platform.v1.Carrier.
 */
export function findPlatformViolations(
  { credentials }: Carrier,
  {
    platformIdentities,
    tokens,
  }: {
    readonly platformIdentities: PlatformRules["platformIdentities"];
    readonly tokens: { readonly issuer: string; readonly keys: { readonly kind: string } };
  },
): FieldViolation[] {
  return credentials.flatMap(({ identity }, index) => {
    const isCommandLine =
      tokens.keys.kind === "own" &&
      identity.kind === "jwt" &&
      identity.issuer === tokens.issuer &&
      isCommandLineSubject(identity.subject);
    if (!isCommandLine && !platformIdentities.has(identityText(identity))) return [];
    return [{ field: `credential_identities[${index}]`, description: "is an identity of the platform" }];
  });
}
